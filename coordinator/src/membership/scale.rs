//! What a change costs in a large fleet, on each of several coordinators: little, and it does not grow with the number of
//! functions. `make bench` prints what these tests measure.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;
use udfleet_proto::v1::{
    DesiredState, Environment, FunctionDefinition, FunctionStatus, Hello, LoadState, PythonVersion, Report,
};

use super::core::MembershipCore;
use super::desired::Desired;
use super::message::{NewAttachment, Origin, Outbound};
use crate::registry::{Catalog, Function};

const COORDINATORS: usize = 3;
const EXECUTORS: usize = 100;
const FUNCTIONS: u32 = 1_000;

/// CPU time of this thread: others on the machine do not count.
fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.try_into().unwrap(), now.tv_nsec.try_into().unwrap())
}

/// One coordinator, and what each executor was told last.
struct Coordinator {
    core: MembershipCore,
    links: Vec<watch::Receiver<Outbound>>,
    told: Vec<Arc<Desired>>,
}

impl Coordinator {
    fn new(executors: usize, catalog: &Arc<Catalog>) -> Self {
        let timeout = Duration::from_secs(10);
        let mut core = MembershipCore::new(Arc::clone(catalog), Arc::default(), Arc::default(), timeout);
        core.lead(1, BTreeSet::new(), Instant::now());
        let mut coordinator = Self { core, links: Vec::new(), told: Vec::new() };
        (0..executors).for_each(|executor| coordinator.attach(executor));
        coordinator
    }

    fn attach(&mut self, executor: usize) {
        let hello = Hello {
            executor: format!("executor-{executor}"),
            address: "127.0.0.1:1".to_owned(),
            pythons: vec![PythonVersion { version: "3.11.2".to_owned(), ..Default::default() }],
            max_interpreters: 64,
            interpreters_per_environment: 2,
            ..Hello::default()
        };
        let (link, receiver) = watch::channel(Outbound::default());
        self.links.push(receiver);
        let origin = Origin { address: None, since: SystemTime::UNIX_EPOCH };
        let number = self.links.len() as u64;
        let id = hello.executor.clone();
        let attachment = NewAttachment { hello, epoch: number, number, draining: false, revision: 0, link, origin };
        self.core.attach(attachment, Instant::now()).unwrap();
        self.core.report(&id, number, Report::default(), Instant::now());
    }

    /// Everybody reports that it serves everything that it should.
    fn serve(&mut self) {
        let members: Vec<(String, u64, Report)> = self
            .core
            .members
            .values()
            .map(|member| {
                let status = |name: &Arc<str>| FunctionStatus {
                    function: name.to_string(),
                    state: LoadState::Ready as i32,
                    interpreters: 2,
                    ..FunctionStatus::default()
                };
                let functions = member.desired.functions.iter().map(|(name, _)| status(name)).collect();
                let references = member.desired.functions.iter().map(|(_, desired)| desired.reference()).collect();
                let sequence = member.report.sequence + 1;
                let (term, revision) = (member.desired.term, member.desired.revision);
                let report = Report { sequence, term, revision, functions, references, ..Report::default() };
                (member.id().to_owned(), member.number, report)
            })
            .collect();
        for (executor, number, report) in members {
            self.core.report(&executor, number, report, Instant::now());
        }
    }

    /// The messages that executors have not been sent yet.
    fn sent(&mut self) -> Vec<DesiredState> {
        let desired: Vec<Arc<Desired>> =
            self.links.iter().map(|link| link.borrow().desired.clone().unwrap_or_default()).collect();
        let before = self.told.iter().map(Some).chain(std::iter::repeat(None));
        let news = desired.iter().zip(before).filter(|(now, before)| before.is_none_or(|b| b.revision != now.revision));
        let messages = news.flat_map(|(now, before)| now.messages(before.map(|before| &**before))).collect();
        self.told = desired;
        messages
    }
}

/// What one change took on the slowest coordinator, and what was sent for it by each.
struct Cost {
    cpu: Duration,
    /// Entries of the snapshot that were replaced.
    replaced: u64,
    messages: Vec<DesiredState>,
}

impl Cost {
    /// Environments and functions that were named.
    fn named(&self) -> (usize, usize) {
        let environments = |m: &DesiredState| m.environments.len() + m.removed_environments.len();
        let functions = |m: &DesiredState| m.functions.len() + m.removed_functions.len();
        (self.messages.iter().map(environments).sum(), self.messages.iter().map(functions).sum())
    }
}

/// A fleet with so many functions, `sharing` of them in one environment each time.
struct LargeFleet {
    coordinators: Vec<Coordinator>,
    catalog: Arc<Catalog>,
    sharing: u32,
}

fn function(number: u32, sharing: u32) -> Arc<Function> {
    let requirements = vec![format!("package-{}", number / sharing)];
    let environment = Some(Environment { requirements, ..Environment::default() });
    let definition = FunctionDefinition { name: format!("f{number}"), version: 1, environment, ..Default::default() };
    Arc::new(Function::new(definition))
}

impl LargeFleet {
    fn new(executors: usize, functions: u32, sharing: u32) -> Self {
        let all = (0..functions).fold(Catalog::default(), |all, number| all.with(function(number, sharing)));
        let catalog = Arc::new(all);
        let mut coordinators: Vec<Coordinator> =
            (0..COORDINATORS).map(|_| Coordinator::new(executors, &catalog)).collect();
        // One of them routes: that takes longest to set up.
        coordinators[0].serve();
        for coordinator in &mut coordinators {
            coordinator.sent();
        }
        Self { coordinators, catalog, sharing }
    }

    fn cost(&mut self, what: &str, change: impl Fn(&mut MembershipCore)) -> Cost {
        let (mut most, mut replaced) = (Duration::ZERO, 0);
        for coordinator in &mut self.coordinators {
            let (began, before) = (cpu(), coordinator.core.builder.now().replaced);
            change(&mut coordinator.core);
            most = most.max(cpu() - began);
            replaced = replaced.max(coordinator.core.builder.now().replaced - before);
        }
        let messages = self.coordinators.iter_mut().map(Coordinator::sent).last().unwrap_or_default();
        let cost = Cost { cpu: most, replaced, messages };
        let (functions, executors) = (self.catalog.iter().count(), self.coordinators[0].core.members.len());
        let (_, named) = cost.named();
        println!(
            "replanning: {what}, {executors} executors, {functions} functions, {}: {:.3} ms, {} messages, {named} functions named",
            if self.sharing == 1 { "each its own environment" } else { "one environment" },
            cost.cpu.as_secs_f64() * 1e3,
            cost.messages.len()
        );
        cost
    }

    fn register(&mut self, number: u32) -> Cost {
        self.catalog = Arc::new(self.catalog.with(function(number, self.sharing)));
        let catalog = Arc::clone(&self.catalog);
        self.cost("one function more", |core| core.set_catalog(Arc::clone(&catalog)))
    }

    fn drop_function(&mut self, number: u32) -> Cost {
        self.catalog = Arc::new(self.catalog.without(&format!("f{number}"), 1));
        let catalog = Arc::clone(&self.catalog);
        self.cost("one function dropped", |core| core.set_catalog(Arc::clone(&catalog)))
    }

    fn lose(&mut self, executor: usize) -> Cost {
        let id = format!("executor-{executor}");
        self.cost("one executor lost", |core| {
            let number = core.members.get(&id).map_or(0, |member| member.number);
            core.detach(&id, number, Instant::now());
        })
    }
}

#[tokio::test]
async fn one_environment_for_all_functions() {
    let mut fleet = LargeFleet::new(EXECUTORS, FUNCTIONS, FUNCTIONS + 1);
    let more = fleet.register(FUNCTIONS);
    assert_eq!((more.messages.len(), more.named()), (EXECUTORS, (0, EXECUTORS)), "everybody hears of the one function");
    let fewer = fleet.drop_function(7);
    assert_eq!((fewer.messages.len(), fewer.named()), (EXECUTORS, (0, EXECUTORS)));
    let lost = fleet.lose(50);
    assert!(lost.messages.is_empty(), "the others hold it already");
}

#[tokio::test]
async fn an_environment_for_each_function_where_not_all_have_room_everywhere() {
    let mut fleet = LargeFleet::new(EXECUTORS, FUNCTIONS, 1);
    let more = fleet.register(FUNCTIONS);
    let (_, named) = more.named();
    assert!((1..=EXECUTORS).contains(&named), "{named} functions named");
    let fewer = fleet.drop_function(7);
    let (_, named) = fewer.named();
    assert!(named <= EXECUTORS, "where it was, another takes its place: {named} functions named");
    let lost = fleet.lose(50);
    assert!(lost.named().1 <= 64, "those that it had");
}

#[tokio::test]
async fn the_cost_of_a_function_does_not_grow_with_the_number_of_functions() {
    let cost = |functions: u32| {
        let catalog = (0..functions).fold(Catalog::default(), |all, number| all.with(function(number, u32::MAX)));
        let coordinators = vec![Coordinator::new(10, &Arc::new(catalog.clone()))];
        let mut fleet = LargeFleet { coordinators, catalog: Arc::new(catalog), sharing: u32::MAX };
        let costs: Vec<Cost> = (0..20).map(|more| fleet.register(functions + more)).collect();
        // What it takes is printed for the benchmark; here, what it touches counts.
        // With the first, executors are told the whole.
        costs.into_iter().skip(1).map(|cost| (cost.replaced, cost.messages.len(), cost.named())).max()
    };
    assert_eq!(cost(5_000), cost(50), "a hundred times as many functions");
}
