//! The actor's decisions without a network, with a clock of the tests. Endpoints need a runtime, nothing more.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{mpsc, oneshot, watch};
use udfleet_proto::error::Error;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::v1::{
    EnvironmentReference, ErrorCode, ExecutorState, FunctionDefinition, FunctionReference, FunctionStatus, Hello,
    LoadState, PythonVersion, Report,
};

use super::core::MembershipCore;
use super::fitness::STEADY;
use super::message::{NewAttachment, Origin, Outbound, Unplaced, WatchEvent};
use super::record::{Claim, Record};
use crate::registry::{Catalog, Function};
use crate::routes::RouteTable;

mod draining;
mod leadership;
mod reach;

const TIMEOUT: Duration = Duration::from_secs(10);

type Desired = watch::Receiver<Outbound>;

struct TestFleet {
    core: MembershipCore,
    routes: Arc<RouteTable>,
    now: Instant,
}

impl TestFleet {
    fn new(functions: &[&str]) -> Self {
        let routes = Arc::new(RouteTable::default());
        let mut core = MembershipCore::new(Arc::new(catalog(functions)), Arc::clone(&routes), Arc::default(), TIMEOUT);
        let now = Instant::now();
        core.lead(1, BTreeSet::new(), now);
        Self { core, routes, now }
    }

    fn attach(&mut self, id: &str, epoch: u64) -> Desired {
        self.attach_again(id, epoch, false)
    }

    /// With a first report: it holds nothing.
    fn attach_again(&mut self, id: &str, epoch: u64, draining: bool) -> Desired {
        let desired = self.attach_process(id, "first", epoch, draining).unwrap();
        self.core.report(id, epoch, Report::default(), self.now);
        desired
    }

    fn attach_process(&mut self, id: &str, process: &str, epoch: u64, draining: bool) -> Result<Desired, Error> {
        let hello = Hello {
            holds_desired_state: true,
            executor: id.to_owned(),
            incarnation: process.to_owned(),
            address: "127.0.0.1:1".to_owned(),
            pythons: vec![PythonVersion { version: "3.11.2".to_owned(), ..Default::default() }],
            max_interpreters: 4,
            ..Hello::default()
        };
        let (link, desired) = watch::channel(Outbound::default());
        let origin = Origin { address: None, since: SystemTime::UNIX_EPOCH };
        self.core
            .attach(NewAttachment { hello, epoch, number: epoch, draining, revision: 0, link, origin }, self.now)?;
        Ok(desired)
    }

    fn report(&mut self, id: &str, epoch: u64, sequence: u64, state: LoadState) {
        let revision = self.core.members.get(id).map_or(0, |member| member.desired.revision);
        self.report_at(id, epoch, sequence, revision, state);
    }

    fn report_at(&mut self, id: &str, epoch: u64, sequence: u64, revision: u64, state: LoadState) {
        let functions = vec![FunctionStatus { function: "f@1".to_owned(), state: state as i32, ..Default::default() }];
        let desired = self.core.members.get(id).map(|member| Arc::clone(&member.desired)).unwrap_or_default();
        let since = match desired.function("f@1") {
            Some(wish) if desired.revision == revision => wish.since,
            _ => revision,
        };
        let (references, term) = (vec![reference("f", since)], desired.term);
        let report = Report { sequence, term, revision, functions, references, ..Report::default() };
        self.core.report(id, epoch, report, self.now);
    }

    fn state(&self, id: &str) -> ExecutorState {
        self.core.snapshots.load().executors.get(id).unwrap().state
    }

    fn servers(&self) -> Vec<String> {
        let routes = self.routes.load();
        let target = routes.find(&FunctionRef::parse("f").unwrap()).unwrap();
        target.servers.iter().map(|s| s.endpoint.executor.clone()).collect()
    }
}

fn function(name: &str) -> Function {
    Function::new(FunctionDefinition { name: name.to_owned(), version: 1, ..Default::default() })
}

fn catalog(functions: &[&str]) -> Catalog {
    functions.iter().fold(Catalog::default(), |catalog, name| catalog.with(Arc::new(function(name))))
}

/// As desired state names it.
fn reference(name: &str, since: u64) -> FunctionReference {
    let Function { name, hash, environment, .. } = function(name);
    FunctionReference { function: name, definition: hash, environment, since }
}

#[tokio::test]
async fn silent_executors_are_lost() {
    let mut fleet = TestFleet::new(&["f"]);
    let (a, _b) = (fleet.attach("a", 1), fleet.attach("b", 1));
    for id in ["a", "b"] {
        fleet.report(id, 1, 1, LoadState::Ready);
    }
    assert_eq!(fleet.servers(), ["a", "b"]);
    fleet.now += TIMEOUT - Duration::from_secs(1);
    fleet.report("b", 1, 2, LoadState::Ready);
    fleet.now += Duration::from_secs(2);
    fleet.core.tick(fleet.now);
    assert_eq!(fleet.servers(), ["b"]);
    assert!(a.has_changed().is_err(), "its attach stream ends");
}

#[tokio::test]
async fn stale_epochs_and_old_reports_change_nothing() {
    let mut fleet = TestFleet::new(&["f"]);
    let first = fleet.attach("a", 1);
    fleet.report("a", 1, 1, LoadState::Ready);
    let _second = fleet.attach("a", 2);
    assert!(first.has_changed().is_err(), "the older attach is closed");
    assert!(fleet.servers().is_empty(), "what the older attach reported counts no more");
    fleet.report("a", 1, 9, LoadState::Ready);
    fleet.core.detach("a", 1, fleet.now);
    assert!(fleet.servers().is_empty());
    fleet.report("a", 2, 5, LoadState::Ready);
    fleet.report("a", 2, 4, LoadState::Failed);
    assert_eq!(fleet.servers(), ["a"]);
}

#[tokio::test]
async fn desired_state_has_growing_revisions_and_comes_only_with_changes() {
    let mut fleet = TestFleet::new(&["f"]);
    let mut desired = fleet.attach("a", 3);
    let first = desired.borrow_and_update().desired.clone().unwrap();
    assert_eq!((first.functions.len(), first.environments.len()), (1, 1));
    let again = fleet.attach("a", 4);
    let renewed = again.borrow().desired.clone().unwrap();
    assert!(renewed.revision > first.revision && renewed.same(&first), "all of it comes again with a new attach");
    let mut desired = again;
    desired.mark_unchanged();
    fleet.core.set_catalog(Arc::new(catalog(&["f"])));
    assert!(!desired.has_changed().unwrap());
    fleet.core.set_catalog(Arc::new(catalog(&["f", "g"])));
    let second = desired.borrow_and_update().desired.clone().unwrap();
    assert_eq!((second.functions.len(), second.environments.len()), (2, 1), "one environment serves both");
    assert!(second.revision > first.revision);
}

#[tokio::test]
async fn what_was_said_of_an_earlier_load_counts_no_more() {
    let mut fleet = TestFleet::new(&["f"]);
    let desired = fleet.attach("a", 1);
    let revision = |desired: &Desired| desired.borrow().desired.clone().unwrap().revision;
    fleet.report("a", 1, 1, LoadState::Ready);
    assert_eq!(fleet.servers(), ["a"]);
    let before = revision(&desired);
    // Taken away and given back: until it has loaded the function again, it does not serve it.
    fleet.core.set_catalog(Arc::new(catalog(&[])));
    fleet.core.set_catalog(Arc::new(catalog(&["f"])));
    assert!(fleet.servers().is_empty());
    fleet.report_at("a", 1, 2, before, LoadState::Ready);
    assert!(fleet.servers().is_empty(), "it had not heard yet when it said so");
    fleet.report_at("a", 1, 3, revision(&desired), LoadState::Ready);
    assert_eq!(fleet.servers(), ["a"]);
}

#[tokio::test]
async fn who_hears_ready_can_call_and_dropped_functions_end_waiting() {
    let mut fleet = TestFleet::new(&["f", "g"]);
    let _a = fleet.attach("a", 1);
    let (events, mut news) = mpsc::unbounded_channel();
    fleet.core.watch("f@1", Unplaced::Fails, events.clone());
    assert!(matches!(news.try_recv(), Ok(WatchEvent::Progress(line)) if line == "a: waiting"));
    fleet.report("a", 1, 1, LoadState::Loading);
    assert!(matches!(news.try_recv(), Ok(WatchEvent::Progress(line)) if line == "a: loading"));
    fleet.report("a", 1, 2, LoadState::Ready);
    assert!(matches!(news.try_recv(), Ok(WatchEvent::Served)));
    assert!(matches!(news.try_recv(), Ok(WatchEvent::Ready(info)) if info.state() == LoadState::Ready));
    assert_eq!(fleet.servers(), ["a"]);

    fleet.core.watch("g@1", Unplaced::Fails, events.clone());
    assert!(matches!(news.try_recv(), Ok(WatchEvent::Progress(_))));
    fleet.core.set_catalog(Arc::new(catalog(&["f"])));
    assert!(matches!(news.try_recv(), Ok(WatchEvent::Failed(_))));
    fleet.core.detach("a", 1, fleet.now);
    fleet.core.watch("f@1", Unplaced::Fails, events);
    let Ok(WatchEvent::Failed(info)) = news.try_recv() else { panic!("not failed") };
    assert_eq!(info.message, "no executor is attached");
}

#[tokio::test]
async fn numbers_of_now_wait_for_every_attached_executor() {
    let mut fleet = TestFleet::new(&["f"]);
    let ask = |fleet: &mut TestFleet| {
        let (reply, answer) = oneshot::channel();
        fleet.core.refresh(reply, fleet.now);
        answer
    };
    assert!(ask(&mut fleet).try_recv().is_ok(), "nobody to ask");
    let (a, _b) = (fleet.attach("a", 1), fleet.attach("b", 1));
    let mut answer = ask(&mut fleet);
    let answers = a.borrow().request;
    assert_eq!(answers, 2);
    fleet.core.report("a", 1, Report { sequence: 1, answers, ..Report::default() }, fleet.now);
    assert!(answer.try_recv().is_err(), "b has not answered");
    let c = fleet.attach("c", 1);
    assert_eq!(c.borrow().request, answers, "who comes meanwhile is asked too");
    fleet.core.report("b", 1, Report { sequence: 1, answers: 1, ..Report::default() }, fleet.now);
    fleet.core.report("c", 1, Report { sequence: 1, answers, ..Report::default() }, fleet.now);
    assert!(answer.try_recv().is_err(), "b has answered an older question");
    fleet.core.detach("b", 1, fleet.now);
    assert!(answer.try_recv().is_ok());
}

#[tokio::test]
async fn another_process_of_an_id_is_let_in_only_when_the_first_is_gone() {
    let mut fleet = TestFleet::new(&["f"]);
    let first = fleet.attach("a", 1);
    let refused = fleet.attach_process("a", "second", 2, false).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::InvalidConfig);
    assert!(first.has_changed().is_ok(), "the first one stays");
    // Silent for too long: its stream is dead although nobody has closed it.
    fleet.now += TIMEOUT + Duration::from_secs(1);
    fleet.core.tick(fleet.now);
    let _second = fleet.attach_process("a", "second", 3, false).unwrap();
    // One that stops in order gives its id away at once.
    fleet.core.goodbye("a", 3);
    fleet.attach_process("a", "third", 4, false).unwrap();
}

#[tokio::test]
async fn who_says_goodbye_gets_nothing_new_and_is_not_lost() {
    let mut fleet = TestFleet::new(&["f"]);
    let (a, _b) = (fleet.attach("a", 1), fleet.attach("b", 1));
    for id in ["a", "b"] {
        fleet.report(id, 1, 1, LoadState::Ready);
    }
    fleet.core.goodbye("a", 1);
    assert_eq!(fleet.servers(), ["b"]);
    assert_eq!(fleet.state("a"), ExecutorState::Stopped);
    assert!(a.has_changed().is_ok(), "it may still report");
    fleet.core.detach("a", 1, fleet.now);
    assert_eq!(fleet.state("a"), ExecutorState::Stopped);
    fleet.core.detach("b", 1, fleet.now);
    assert_eq!(fleet.state("b"), ExecutorState::Lost);
}

#[tokio::test]
async fn any_number_of_viewers_shares_one_round_of_reports() {
    let mut fleet = TestFleet::new(&["f"]);
    let a = fleet.attach("a", 1);
    let mut viewers: Vec<_> = (0..50)
        .map(|_| {
            let (reply, answer) = oneshot::channel();
            fleet.core.refresh(reply, fleet.now);
            answer
        })
        .collect();
    assert_eq!(a.borrow().request, 1);
    fleet.core.report("a", 1, Report { sequence: 1, answers: 1, ..Report::default() }, fleet.now);
    assert_eq!(a.borrow().request, 2, "those who came during the first round share the second");
    assert!(viewers[0].try_recv().is_ok() && viewers[1].try_recv().is_err());
    fleet.core.report("a", 1, Report { sequence: 2, answers: 2, ..Report::default() }, fleet.now);
    assert!(viewers[1..].iter_mut().all(|viewer| viewer.try_recv().is_ok()));
    assert_eq!(a.borrow().request, 2);
}

#[tokio::test]
async fn a_function_that_cant_be_read_is_shown_with_the_reason_and_goes_nowhere() {
    let mut fleet = TestFleet::new(&["a"]);
    let broken = Function::unreadable("broken", 1, "its entry can't be read".to_owned());
    fleet.core.set_catalog(Arc::new(catalog(&["a"]).with(Arc::new(broken))));
    let desired = fleet.attach("e", 1);
    let wanted = desired.borrow().desired.clone().unwrap();
    let names: Vec<_> = wanted.functions.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["a@1"]);
    for which in ["broken", "broken@1"] {
        let refused = fleet.routes.load().find(&FunctionRef::parse(which).unwrap()).map(drop).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::FunctionNotFound, "not as if it would come by itself");
    }
    let target = fleet.routes.load();
    assert!(target.exact("broken@1").unwrap().reason.contains("can't be read"));
}

#[tokio::test]
async fn what_is_heard_of_an_executor_while_it_is_let_in_counts() {
    let mut fleet = TestFleet::new(&["f"]);
    let record = |epoch, draining| Record { epoch, draining, incarnation: "other".to_owned() };
    fleet.core.remember("a", 7, record(2, false), fleet.now);
    let stale = fleet.attach_process("a", "first", 1, false);
    assert_eq!(stale.unwrap_err().code(), ErrorCode::ExecutorLost, "another process has the next epoch");
    fleet.core.remember("b", 8, record(1, true), fleet.now);
    let _b = fleet.attach("b", 1);
    assert_eq!(fleet.state("b"), ExecutorState::Draining);
}
