//! The control plane on a simulated network: the coordinators' sessions, elections, membership, registry and attach service
//! and the executors' own decisions run as they are, over a store and links that lose, delay and reorder, through crashes,
//! partitions and clocks that drift. Time is simulated too, so that a run takes milliseconds.
//!
//! A seed decides what goes wrong, and how every message fares. A failure prints it with the trace:
//! `UDFLEET_SIMULATION_SEED=17 cargo test --release -p udfleet-tests --test simulation` repeats it;
//! `UDFLEET_SIMULATION_SEEDS=100000` tries that many. tokio wakes those who wait for one value in no fixed order, so that now
//! and then a run takes another turn: then repeat it a few times.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod client;
mod converged;
mod coordinator;
mod executor;
mod faults;
mod link;
mod network;
mod plant;
mod store_access;
mod store_data;
mod trace;
mod world;

use std::sync::Arc;
use std::time::Duration;

use udfleet_coordinator::audit::AuditLog;
use udfleet_edge::clock;

use plant::PlantedBug;
use world::World;

/// Seeds of a run of the test.
const SEEDS: u64 = 500;
/// Things go wrong for so long.
const TROUBLE: Duration = Duration::from_secs(20);
/// After that, everything has to be as it should be within so long.
const SETTLES_WITHIN: Duration = Duration::from_secs(45);

/// What came of a run.
struct SimulationRun {
    violation: Option<String>,
    trace: String,
}

fn run(seed: u64, planted: PlantedBug) -> SimulationRun {
    let folder = tempfile::tempdir().unwrap();
    let audit = AuditLog::open(folder.path()).unwrap();
    fastrand::seed(seed);
    clock::simulate();
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.on_thread_park(|| _ = clock::advance()).build().unwrap();
    let run = runtime.block_on(async {
        let world = World::new(seed, planted, &audit);
        let clients = tokio::spawn(client::work(Arc::clone(&world), TROUBLE));
        faults::happen(&world, TROUBLE).await;
        clients.await.unwrap();
        world.trace.note("all is well from now on");
        world.network.calm();
        settle(&world).await;
        SimulationRun { violation: world.trace.violation(), trace: world.trace.text() }
    });
    drop(runtime);
    clock::stop_simulating();
    run
}

async fn settle(world: &Arc<World>) {
    let begun = clock::now();
    let mut good = 0;
    // Registrations and repairs that are under way may still change something.
    while good < 10 {
        clock::sleep(Duration::from_secs(1)).await;
        world.network.calm();
        for id in world.executor_ids() {
            if world.executor(&id).dead.is_cancelled() {
                world.start_executor(&id);
            }
        }
        match converged::check(world) {
            Ok(()) => good += 1,
            Err(reason) if clock::now() - begun > SETTLES_WITHIN => return world.trace.violated(reason),
            Err(_) => good = 0,
        }
    }
}

/// All of them that are even, or odd.
fn seeds(odd: bool) -> impl Iterator<Item = u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let all = match number("UDFLEET_SIMULATION_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("UDFLEET_SIMULATION_SEEDS").unwrap_or(SEEDS),
    };
    all.filter(move |seed| (seed % 2 == 1) == odd)
}

fn all_is_well(seeds: impl Iterator<Item = u64>) {
    for seed in seeds {
        let SimulationRun { violation, trace } = run(seed, PlantedBug::None);
        if let Some(violation) = violation {
            panic!("{trace}\nseed {seed}: {violation}\nrepeat it with UDFLEET_SIMULATION_SEED={seed}");
        }
    }
}

fn found(planted: PlantedBug) {
    let run = |seed| run(seed, planted).violation.map(|violation| (seed, violation));
    let (seed, violation) = (0..SEEDS).find_map(run).unwrap_or_else(|| panic!("{planted:?} is not found"));
    println!("{planted:?} is found by seed {seed}: {violation}");
}

#[test]
fn nothing_that_was_acknowledged_is_lost_and_everything_converges() {
    all_is_well(seeds(false));
}

#[test]
fn nothing_that_was_acknowledged_is_lost_with_odd_seeds() {
    all_is_well(seeds(true));
}

#[test]
fn writes_of_a_leader_that_do_not_depend_on_its_term_are_found() {
    found(PlantedBug::FencingOff);
}

#[test]
fn desired_state_that_is_taken_whatever_its_term_is_found() {
    found(PlantedBug::AnyTerm);
}

#[test]
fn epochs_that_coordinators_do_not_hear_of_are_found() {
    found(PlantedBug::EpochsUnseen);
}
