//! What a change costs in a large fleet, at the leader and at the other coordinators: it looks at what it concerns, and does not
//! grow with the number of functions. `make bench` prints the time that these tests measure.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;
use udfleet_edge::tracked::Difference;
use udfleet_proto::v1::{
    DesiredState, Environment, EnvironmentReference, FunctionDefinition, FunctionStatus, Hello, LoadState,
    PythonVersion, Report,
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

/// One coordinator.
struct Coordinator {
    core: MembershipCore,
    links: Vec<watch::Receiver<Outbound>>,
}

impl Coordinator {
    fn new(executors: usize, catalog: &Arc<Catalog>, leads: bool) -> Self {
        let timeout = Duration::from_secs(10);
        let mut core = MembershipCore::new(Arc::clone(catalog), Arc::default(), Arc::default(), timeout);
        if leads {
            core.lead(1, BTreeSet::new(), Instant::now());
        }
        let mut coordinator = Self { core, links: Vec::new() };
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
}

/// An executor that does at once what it is told, and reports it to all coordinators.
#[derive(Default)]
struct Executor {
    told: Arc<Desired>,
    sequence: u64,
}

impl Executor {
    /// What it reports of what it is told now.
    fn take(&mut self, desired: Arc<Desired>) -> Report {
        let before = std::mem::replace(&mut self.told, desired);
        let mut report = Report {
            term: self.told.term,
            revision: self.told.revision,
            environments_changed: !self.told.environments.is(&before.environments),
            ..Report::default()
        };
        if report.environments_changed {
            let all = self.told.environments.iter();
            let reference = |(hash, interpreters): (&Arc<str>, &u32)| EnvironmentReference {
                hash: hash.to_string(),
                interpreters: *interpreters,
            };
            report.environments = all.map(reference).collect();
        }
        for Difference { key: name, now, .. } in self.told.changed_functions(&before) {
            let Some(function) = now else {
                report.unassigned.push(name.to_string());
                continue;
            };
            let (function, state) = (function.reference(), LoadState::Ready as i32);
            let status = FunctionStatus { function: name.to_string(), state, interpreters: 2, ..Default::default() };
            report.references.push(function);
            report.functions.push(status);
        }
        self.sequence += 1;
        Report { sequence: self.sequence, ..report }
    }
}

/// What a change has cost one coordinator.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Work {
    cpu: Duration,
    /// Entries of the snapshot that were replaced.
    replaced: u64,
    /// Functions that were looked at, for each executor that they concern.
    looked_at: u64,
}

impl Work {
    fn of(core: &mut MembershipCore, change: impl FnOnce(&mut MembershipCore)) -> Self {
        let (began, replaced, looked_at) = (cpu(), core.builder.now().replaced, core.looked_at);
        change(core);
        Self {
            cpu: cpu() - began,
            replaced: core.builder.now().replaced - replaced,
            looked_at: core.looked_at - looked_at,
        }
    }
}

/// What one change took: at the leader, at the slowest of the others, and what the leader has sent for it.
struct Cost {
    leader: Work,
    follower: Work,
    messages: Vec<DesiredState>,
    /// What the reports on it took that executors have sent to each coordinator, likewise.
    reports: (Work, Work),
}

impl Cost {
    /// Environments and functions that were named.
    fn named(&self) -> (usize, usize) {
        let environments = |m: &DesiredState| m.environments.len() + m.removed_environments.len();
        let functions = |m: &DesiredState| m.functions.len() + m.removed_functions.len();
        (self.messages.iter().map(environments).sum(), self.messages.iter().map(functions).sum())
    }

    /// The most functions that anybody has looked at: for the change, and for the reports.
    fn looked_at(&self) -> (u64, u64) {
        let (leader, follower) = self.reports;
        (self.leader.looked_at.max(self.follower.looked_at), leader.looked_at.max(follower.looked_at))
    }

    /// The most entries that anybody's snapshot has got anew.
    fn replaced(&self) -> u64 {
        let (leader, follower) = self.reports;
        (self.leader.replaced + leader.replaced).max(self.follower.replaced + follower.replaced)
    }
}

/// A fleet with so many functions, `sharing` of them in one environment each time. The first coordinator leads.
struct LargeFleet {
    coordinators: Vec<Coordinator>,
    executors: Vec<Executor>,
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
        let coordinators = (0..COORDINATORS).map(|at| Coordinator::new(executors, &catalog, at == 0)).collect();
        let executors = (0..executors).map(|_| Executor::default()).collect();
        let mut fleet = Self { coordinators, executors, catalog, sharing };
        fleet.report();
        fleet
    }

    /// Executors do what the leader has sent them, and report it: the messages, and what the reports cost.
    fn report(&mut self) -> (Vec<DesiredState>, (Work, Work)) {
        let (mut messages, mut reports) = (Vec::new(), Vec::new());
        for (at, executor) in self.executors.iter_mut().enumerate() {
            let Some(desired) = self.coordinators[0].links[at].borrow().desired.clone() else { continue };
            if desired.revision != executor.told.revision {
                let before = Some(&*executor.told).filter(|told| told.revision > 0);
                messages.extend(desired.messages(before));
                reports.push((format!("executor-{at}"), at as u64 + 1, executor.take(desired)));
            }
        }
        let mut work = self.coordinators.iter_mut().map(|coordinator| {
            let reports = reports.clone();
            Work::of(&mut coordinator.core, |core| {
                reports.into_iter().for_each(|(id, number, report)| core.report(&id, number, report, Instant::now()));
            })
        });
        let leader = work.next().unwrap();
        let followers = work.max().unwrap_or_default();
        (messages, (leader, followers))
    }

    fn cost(&mut self, what: &str, change: impl Fn(&mut MembershipCore)) -> Cost {
        let mut work = self.coordinators.iter_mut().map(|coordinator| Work::of(&mut coordinator.core, &change));
        let (leader, follower) = (work.next().unwrap(), work.max().unwrap_or_default());
        let (messages, reports) = self.report();
        let cost = Cost { leader, follower, messages, reports };
        self.print(what, &cost);
        cost
    }

    fn print(&self, what: &str, cost: &Cost) {
        let (functions, executors) = (self.catalog.iter().count(), self.coordinators[0].core.members.len());
        let sharing = if self.sharing == 1 { "each its own environment" } else { "one environment" };
        let (leader, follower) = cost.reports;
        let parts = [
            ("the leader", cost.leader),
            ("another coordinator", cost.follower),
            ("the leader, what executors report of it", leader),
            ("another coordinator, what executors report of it", follower),
        ];
        for (who, work) in parts {
            println!(
                "replanning: {what}, {executors} executors, {functions} functions, {sharing}, {who}: {:.3} ms, {} functions looked at, {} entries replaced",
                work.cpu.as_secs_f64() * 1e3,
                work.looked_at,
                work.replaced,
            );
        }
        println!("sent: {} messages, {} functions named", cost.messages.len(), cost.named().1);
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
    let everywhere = EXECUTORS as u64;
    for cost in [fleet.register(FUNCTIONS), fleet.drop_function(7)] {
        assert_eq!(
            (cost.messages.len(), cost.named()),
            (EXECUTORS, (0, EXECUTORS)),
            "everybody hears of the one function"
        );
        let (change, reports) = cost.looked_at();
        assert!(
            (1..=2 * everywhere).contains(&change),
            "{change} functions looked at, where one has changed on each executor"
        );
        assert!(reports <= everywhere, "{reports} functions looked at for a report from each executor");
        assert!(cost.replaced() <= 6 * everywhere, "{} entries replaced", cost.replaced());
    }
    let lost = fleet.lose(50);
    assert!(lost.messages.is_empty(), "the others hold it already");
    assert_eq!(lost.looked_at(), (0, 0));
}

#[tokio::test]
async fn an_environment_for_each_function_where_not_all_have_room_everywhere() {
    let mut fleet = LargeFleet::new(EXECUTORS, FUNCTIONS, 1);
    // Followers ask of each executor whether it holds the one function.
    let few = |cost: &Cost, changed: usize| {
        let (named, asked) = (cost.named().1, changed * EXECUTORS);
        let (change, reports) = cost.looked_at();
        assert!(change <= (3 * named + asked) as u64, "{change} functions looked at, {named} named");
        assert!(reports <= named as u64, "{reports} functions looked at for reports on {named}");
        named
    };
    let more = fleet.register(FUNCTIONS);
    assert!((1..=EXECUTORS).contains(&few(&more, 1)));
    let fewer = fleet.drop_function(7);
    assert!(few(&fewer, 1) <= EXECUTORS, "where it was, another takes its place");
    let lost = fleet.lose(50);
    assert!(few(&lost, 0) <= 64, "those that it had");
}

#[tokio::test]
async fn the_cost_of_a_function_does_not_grow_with_the_number_of_functions() {
    let cost = |functions: u32| {
        let mut fleet = LargeFleet::new(10, functions, u32::MAX);
        let costs: Vec<Cost> = (0..20).map(|more| fleet.register(functions + more)).collect();
        // What it takes is printed for the benchmark; here, what it touches counts.
        costs.into_iter().map(|cost| (cost.looked_at(), cost.replaced(), cost.messages.len(), cost.named())).max()
    };
    assert_eq!(cost(5_000), cost(50), "a hundred times as many functions");
}
