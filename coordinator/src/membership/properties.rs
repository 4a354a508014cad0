//! Properties: after any history the snapshot and the routes equal those built from scratch, and the cost of a report
//! is that of its changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use proptest::prelude::*;
use tokio::sync::watch;
use udfleet_proto::v1::{
    Environment, EnvironmentLoad, EnvironmentReference, FunctionDefinition, FunctionMetrics, FunctionReference,
    FunctionStatus, FunctionWait, Hello, LoadState, PythonVersion, Report,
};

use super::core::MembershipCore;
use super::demand::loads;
use super::message::{NewAttachment, Origin, Outbound};
use super::publish::unplaced_reason;
use crate::registry::{Catalog, Function};
use crate::routes::RouteTable;
use crate::snapshot::SnapshotCell;

mod checks;

const TIMEOUT: Duration = Duration::from_secs(10);

/// What the interpreters of an environment do.
#[derive(Debug, Clone)]
struct Load {
    interpreters: u8,
    held: u8,
    /// Functions whose calls wait, as bits.
    waiting: u8,
}

/// One thing that happens to a fleet; small numbers name executors and functions.
#[derive(Debug, Clone)]
enum Event {
    Attach { executor: u8, process: u8 },
    Report { executor: u8, states: Vec<u8>, calls: Vec<u8>, built: u8, drained: bool, loads: Vec<Load> },
    Detach { executor: u8 },
    Goodbye { executor: u8 },
    Drain { executor: u8, draining: bool },
    Register { function: u8, versions: u8 },
    Wait { seconds: u8 },
    Lead { leads: bool },
}

fn load() -> impl Strategy<Value = Load> {
    (0..3u8, 0..3u8, any::<u8>()).prop_map(|(interpreters, held, waiting)| Load { interpreters, held, waiting })
}

fn event() -> impl Strategy<Value = Event> {
    let executor = 0..4u8;
    prop_oneof![
        3 => (executor.clone(), 0..2u8).prop_map(|(executor, process)| Event::Attach { executor, process }),
        6 => (
            executor.clone(),
            prop::collection::vec(0..6u8, 8),
            prop::collection::vec(0..5u8, 8),
            0..8u8,
            any::<bool>(),
            prop::collection::vec(load(), 0..4),
        )
            .prop_map(|(executor, states, calls, built, drained, loads)| Event::Report {
                executor,
                states,
                calls,
                built,
                drained,
                loads,
            }),
        1 => executor.clone().prop_map(|executor| Event::Detach { executor }),
        1 => executor.clone().prop_map(|executor| Event::Goodbye { executor }),
        1 => (executor, any::<bool>()).prop_map(|(executor, draining)| Event::Drain { executor, draining }),
        3 => (0..4u8, 0..3u8).prop_map(|(function, versions)| Event::Register { function, versions }),
        1 => (1..8u8).prop_map(|seconds| Event::Wait { seconds }),
        1 => any::<bool>().prop_map(|leads| Event::Lead { leads }),
    ]
}

/// The fleet, and what is needed to check it.
struct SimulatedFleet {
    core: MembershipCore,
    routes: Arc<RouteTable>,
    snapshots: Arc<SnapshotCell>,
    catalog: Catalog,
    /// The loads of each executor's latest report under its present attachment.
    reported: BTreeMap<String, Vec<EnvironmentLoad>>,
    now: Instant,
    epoch: u64,
    sequence: u64,
    links: Vec<watch::Receiver<Outbound>>,
    counted: Counted,
}

/// What executors have counted, by (function, executor): (calls of the process that runs, of earlier ones).
#[derive(Default)]
struct Counted {
    calls: BTreeMap<(String, String), (u64, u64)>,
    process: BTreeMap<String, String>,
}

impl Counted {
    fn end(&mut self, executor: &str, but: &BTreeSet<String>) {
        for ((_, _), (now, past)) in self.calls.iter_mut().filter(|((f, e), _)| e == executor && !but.contains(f)) {
            *past += std::mem::take(now);
        }
    }

    fn report(&mut self, executor: &str, process: &str, metrics: &[FunctionMetrics]) {
        if self.process.insert(executor.to_owned(), process.to_owned()).is_some_and(|before| before != process) {
            self.end(executor, &BTreeSet::new());
        }
        self.end(executor, &metrics.iter().map(|m| m.function.clone()).collect());
        for m in metrics {
            let (now, past) = self.calls.entry((m.function.clone(), executor.to_owned())).or_default();
            if m.calls < *now {
                *past += *now;
            }
            *now = m.calls;
        }
    }
}

fn id(executor: u8) -> String {
    format!("executor-{executor}")
}

fn function(number: u8, version: u32) -> Arc<Function> {
    // Two functions share each environment; one asks for a Python that nobody has.
    let python = ["3.11", "3.11", "3.12", "2.7"][usize::from(number % 4)].to_owned();
    let environment = Some(Environment { python, ..Environment::default() });
    let definition = FunctionDefinition { name: format!("f{number}"), version, environment, ..Default::default() };
    Arc::new(Function::new(definition))
}

impl SimulatedFleet {
    fn new() -> Self {
        let (routes, snapshots) = (Arc::<RouteTable>::default(), Arc::<SnapshotCell>::default());
        let mut core = MembershipCore::new(Arc::default(), Arc::clone(&routes), Arc::clone(&snapshots), TIMEOUT);
        core.lead(1, BTreeSet::new(), Instant::now());
        Self {
            core,
            routes,
            snapshots,
            catalog: Catalog::default(),
            reported: BTreeMap::new(),
            now: Instant::now(),
            epoch: 0,
            sequence: 0,
            links: Vec::new(),
            counted: Counted::default(),
        }
    }

    fn attach(&mut self, executor: u8, process: u8) {
        let pythons = ["3.11.2", "3.12.1"].iter().take(1 + usize::from(executor % 2));
        let hello = Hello {
            executor: id(executor),
            incarnation: process.to_string(),
            address: "127.0.0.1:1".to_owned(),
            pythons: pythons.map(|v| PythonVersion { version: (*v).to_owned(), ..Default::default() }).collect(),
            max_interpreters: 3,
            ..Hello::default()
        };
        self.epoch += 1;
        let (link, receiver) = watch::channel(Outbound::default());
        self.links.push(receiver);
        let draining = self.core.members.get(&id(executor)).is_some_and(|member| member.draining);
        let origin = Origin { address: None, since: SystemTime::UNIX_EPOCH };
        // Refused where another process holds the id.
        let (epoch, number) = (self.epoch, self.epoch);
        let attachment = NewAttachment { hello, epoch, number, draining, revision: 0, link, origin };
        if self.core.attach(attachment, self.now).is_ok() {
            self.reported.remove(&id(executor));
        }
    }

    fn report(
        &mut self,
        executor: &str,
        functions: Vec<FunctionStatus>,
        metrics: Vec<FunctionMetrics>,
        report: Report,
    ) {
        let Some(member) = self.core.members.get(executor).filter(|member| member.attached()) else { return };
        let (number, process) = (member.number, member.hello.incarnation.clone());
        let desired = Arc::clone(&member.desired);
        // Of another leader, whatever it has been told since.
        let others = self.core.leadership.term().is_none();
        let told = |name: &str| {
            let registered = self.catalog.iter().find(|f| others && f.name == name)?;
            Some((registered, u64::from(registered.definition.version)))
        };
        let reference = |status: &FunctionStatus| {
            let wish = desired.function(&status.function).map(|wish| (&wish.function, wish.since));
            let (function, since) = told(&status.function).or(wish)?;
            Some(FunctionReference {
                function: status.function.clone(),
                definition: function.hash.clone(),
                environment: function.environment.clone(),
                since,
            })
        };
        let references: Vec<FunctionReference> = functions.iter().filter_map(reference).collect();
        let environments: BTreeMap<&str, u32> = references.iter().map(|held| (held.environment.as_str(), 1)).collect();
        let environments = environments
            .into_iter()
            .map(|(hash, interpreters)| EnvironmentReference { hash: hash.to_owned(), interpreters })
            .collect();
        let gone = |f: &&Arc<Function>| others && references.iter().all(|held| held.function != f.name);
        let unassigned = self.catalog.iter().filter(gone).map(|f| f.name.clone()).collect();
        let (term, revision) = (desired.term, desired.revision);
        self.sequence += 1;
        let known = metrics.iter().filter(|m| self.catalog.iter().any(|f| f.name == m.function)).cloned();
        self.counted.report(executor, &process, &known.collect::<Vec<_>>());
        let counts = |f: &Function| metrics.iter().any(|m| m.function == f.name);
        let forgotten = self.catalog.iter().filter(|f| !counts(f)).map(|f| f.name.clone()).collect();
        self.reported.insert(executor.to_owned(), report.loads.clone());
        let report = Report {
            sequence: self.sequence,
            term,
            revision,
            functions,
            references,
            unassigned,
            environments,
            environments_changed: others,
            metrics,
            forgotten,
            ..report
        };
        self.core.report(executor, number, report, self.now);
    }

    fn happens(&mut self, event: Event) {
        self.now += Duration::from_millis(100);
        match event {
            Event::Attach { executor, process } => self.attach(executor, process),
            Event::Report { executor, states, calls, built, drained, loads } => {
                let names: Vec<String> = self.catalog.iter().map(|f| f.name.clone()).collect();
                let status = |(name, state): (&String, &u8)| {
                    (*state > 0).then(|| FunctionStatus {
                        function: name.clone(),
                        state: i32::from(*state),
                        interpreters: u32::from(*state),
                        ..FunctionStatus::default()
                    })
                };
                let metrics = |(name, calls): (&String, &u8)| {
                    let (function, calls) = (name.clone(), u64::from(*calls));
                    (calls > 0).then(|| FunctionMetrics { function, calls, ..FunctionMetrics::default() })
                };
                let functions = names.iter().zip(states.iter().cycle()).filter_map(status).collect();
                let metrics = names.iter().zip(calls.iter().cycle()).filter_map(metrics).collect();
                let environments: BTreeSet<String> = (0..3).map(|n| function(n, 1).environment.clone()).collect();
                let on_disk = |(bit, hash): (usize, String)| (built & (1 << bit) != 0).then_some(hash);
                let built_environments = environments.into_iter().enumerate().filter_map(on_disk).collect();
                let loads = self.loads(executor, &loads);
                let report = Report { built_environments, built_changed: true, drained, loads, ..Report::default() };
                self.report(&id(executor), functions, metrics, report);
            }
            Event::Detach { executor } => {
                let number = self.core.members.get(&id(executor)).map_or(0, |member| member.number);
                self.core.detach(&id(executor), number, self.now);
            }
            Event::Goodbye { executor } => {
                let number = self.core.members.get(&id(executor)).map_or(0, |member| member.number);
                self.core.goodbye(&id(executor), number);
            }
            Event::Drain { executor, draining } => self.core.drain(&id(executor), draining),
            Event::Register { function: number, versions } => {
                let name = function(number, 1).definition.name.clone();
                let dropped: Vec<u32> = self.catalog.versions(&name).map(|f| f.definition.version).collect();
                let mut next = dropped.iter().fold(self.catalog.clone(), |all, version| all.without(&name, *version));
                for version in 1..=u32::from(versions) {
                    next = next.with(function(number, version));
                }
                let gone = |f: &str| next.iter().all(|held| held.name != f);
                self.counted.calls.retain(|(f, _), _| !gone(f));
                self.catalog = next;
                self.core.set_catalog(Arc::new(self.catalog.clone()));
            }
            Event::Wait { seconds } => {
                self.now += Duration::from_secs(u64::from(seconds));
                self.core.tick(self.now);
            }
            Event::Lead { leads: true } => {
                self.epoch += 1;
                self.core.lead(self.epoch, BTreeSet::new(), self.now);
            }
            Event::Lead { leads: false } => self.core.follow(),
        }
    }

    /// Loads of the environments, as executors report them.
    fn loads(&self, executor: u8, loads: &[Load]) -> Vec<EnvironmentLoad> {
        let environments: BTreeSet<String> = self.catalog.iter().map(|f| f.environment.clone()).collect();
        let load = |(environment, load): (String, &Load)| {
            let of_it = self.catalog.iter().filter(|f| f.environment == environment).enumerate();
            let waits = of_it.filter(|(bit, _)| load.waiting & (1 << (bit % 8)) != 0).map(|(_, f)| FunctionWait {
                function: f.name.clone(),
                reason: format!("{} waits on {executor} behind {}", f.name, load.held),
                ..FunctionWait::default()
            });
            EnvironmentLoad {
                interpreters: u32::from(load.interpreters),
                held: u32::from(load.held),
                waits: waits.collect(),
                environment,
            }
        };
        environments.into_iter().zip(loads).map(load).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn what_is_kept_up_to_date_is_what_would_be_made_anew(events in prop::collection::vec(event(), 1..60)) {
        // Endpoints need a runtime, nothing more.
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _inside = runtime.enter();
        let mut fleet = SimulatedFleet::new();
        for event in events {
            fleet.happens(event);
            fleet.check();
        }
    }
}

/// Entries that one report touches in a fleet of this size, where one function's state and numbers have changed.
fn touched_by_a_report(functions: u32, executors: u8) -> u64 {
    let mut fleet = SimulatedFleet::new();
    for executor in 0..executors {
        fleet.attach(executor, 0);
        fleet.report(&id(executor), Vec::new(), Vec::new(), Report::default());
    }
    // One environment, so that everybody has room for all.
    let catalog = (1..=functions).fold(Catalog::default(), |all, version| all.with(function(0, version)));
    fleet.core.set_catalog(Arc::new(catalog.clone()));
    fleet.catalog = catalog;
    let all = |changed: bool| -> (Vec<FunctionStatus>, Vec<FunctionMetrics>) {
        let one = |version: u32| {
            let differs = changed && version == functions / 2;
            let state = if differs { LoadState::Loading } else { LoadState::Ready } as i32;
            let (function, calls) = (format!("f0@{version}"), 5 + u64::from(differs));
            let status = FunctionStatus { function: function.clone(), state, interpreters: 1, ..Default::default() };
            (status, FunctionMetrics { function, calls, ..FunctionMetrics::default() })
        };
        (1..=functions).map(one).unzip()
    };
    for executor in 0..executors {
        let (statuses, metrics) = all(false);
        fleet.report(&id(executor), statuses, metrics, Report::default());
    }
    let before = fleet.snapshots.load().replaced;
    assert!(fleet.snapshots.load().functions.values().all(|f| f.on.size() == usize::from(executors)));
    let (statuses, metrics) = all(true);
    fleet.report(&id(executors / 2), statuses, metrics, Report::default());
    fleet.snapshots.load().replaced - before
}

#[tokio::test]
async fn the_cost_of_a_report_grows_neither_with_functions_nor_with_executors() {
    let small = touched_by_a_report(10, 10);
    assert_eq!(small, 3, "the function, its numbers and the executor");
    assert_eq!(touched_by_a_report(1000, 100), small);
}
