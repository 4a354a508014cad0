//! What goes wrong in a run, drawn from its seed.

use std::sync::Arc;
use std::time::Duration;

use udfleet_edge::clock;

use super::network::{Node, Weather};
use super::world::World;

/// Lets things go wrong for so long.
pub async fn happen(world: &Arc<World>, during: Duration) {
    let end = clock::now() + during;
    while clock::now() < end {
        clock::sleep(world.network.between("faults", 200, 2500)).await;
        one(world);
    }
}

fn one(world: &Arc<World>) {
    let network = &world.network;
    let coordinator = network.roll("faults", world.coordinators() as u64) as usize;
    let executors = world.executor_ids();
    let executor = executors[network.roll("faults", executors.len() as u64) as usize].clone();
    match network.roll("faults", 11) {
        0 | 1 => crash(world, coordinator),
        2 | 3 => cut(world, Node::Coordinator(coordinator), Node::Store),
        4 => cut(world, Node::Coordinator(coordinator), world.executor(&executor).node),
        5 => isolate(world, coordinator),
        6 => replace(world, executor),
        7 => usurp(world, &executor, coordinator),
        8 => world.store.lock().unwrap().compact(),
        _ => change_weather(world),
    }
}

fn later(world: &Arc<World>, what: impl Future<Output = ()> + Send + 'static) {
    let pause = world.network.between("faults", 300, 7000);
    tokio::spawn(async move {
        clock::sleep(pause).await;
        what.await;
    });
}

fn crash(world: &Arc<World>, coordinator: usize) {
    if world.crash_coordinator(coordinator) {
        later(world, Arc::clone(world).start_coordinator(coordinator));
    }
}

/// One way, the other, or both.
fn cut(world: &Arc<World>, one: Node, other: Node) {
    let ways = match world.network.roll("faults", 4) {
        0 => vec![(one, other)],
        1 => vec![(other, one)],
        _ => vec![(one, other), (other, one)],
    };
    world.trace.note(format!("cut: {ways:?}"));
    ways.iter().for_each(|(from, to)| world.network.cut(*from, *to));
    let mended = Arc::clone(world);
    later(world, async move {
        mended.trace.note(format!("mended: {ways:?}"));
        ways.iter().for_each(|(from, to)| mended.network.mend(*from, *to));
    });
}

/// A coordinator reaches nobody.
fn isolate(world: &Arc<World>, coordinator: usize) {
    let one = Node::Coordinator(coordinator);
    cut(world, one, Node::Store);
    world.executor_ids().iter().for_each(|id| cut(world, one, world.executor(id).node));
}

/// Another process takes the place of one that has died.
fn replace(world: &Arc<World>, executor: String) {
    world.kill_executor(&executor);
    let starts = Arc::clone(world);
    later(world, async move { starts.start_executor(&executor) });
}

/// Another process starts under the id of one that lives on, attached to a coordinator that has lost the store.
fn usurp(world: &Arc<World>, executor: &str, coordinator: usize) {
    let old = world.executor(executor).node;
    let cut = [Node::Store].into_iter().map(|node| (Node::Coordinator(coordinator), node));
    let others = (0..world.coordinators()).filter(|other| *other != coordinator);
    let cut: Vec<(Node, Node)> = cut.chain(others.map(|other| (Node::Coordinator(other), old))).collect();
    world.trace.note(format!("two processes of {executor}: cut {cut:?}"));
    for (one, other) in &cut {
        world.network.cut(*one, *other);
        world.network.cut(*other, *one);
    }
    world.start_executor(executor);
    let mended = Arc::clone(world);
    tokio::spawn(async move {
        clock::sleep(Duration::from_secs(9)).await;
        mended.trace.note(format!("mended: {cut:?}"));
        for (one, other) in cut {
            mended.network.mend(one, other);
            mended.network.mend(other, one);
        }
    });
}

fn change_weather(world: &Arc<World>) {
    let network = &world.network;
    let weather = Weather {
        late_ms: 1 + network.roll("faults", 300),
        stuck: network.roll("faults", 8) as u32,
        lost: network.roll("faults", 8) as u32,
    };
    world.trace.note(format!("{weather:?}"));
    network.set_weather(weather);
}
