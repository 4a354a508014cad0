//! The current state of this node: actors write it, reports read it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use udfleet_edge::tracked::Difference;
use udfleet_proto::v1::{BuildLogLine, EnvironmentLoad, FunctionReference, FunctionStatus, LoadState};

use super::desired::Desired;

/// Lines of build output that are kept for a coordinator that was away.
const KEPT_LINES: usize = 2000;
/// Longer lines are cut, bytes.
const LONGEST_LINE: usize = 16 << 10;

struct FunctionEntry {
    reference: Arc<FunctionReference>,
    status: FunctionStatus,
    /// Number of the change that made it so.
    changed: u64,
}

#[derive(Default)]
struct BoardState {
    desired: Arc<Desired>,
    functions: BTreeMap<String, FunctionEntry>,
    /// Names of functions by the numbers of their last changes.
    by_change: BTreeMap<u64, String>,
    /// Counts changes of functions.
    changes: u64,
    build_log: VecDeque<BuildLogLine>,
    last_line: u64,
    built: Vec<String>,
    /// By environment.
    loads: BTreeMap<String, EnvironmentLoad>,
}

impl BoardState {
    /// A function that there is has changed.
    fn change(&mut self, name: &str, change: impl FnOnce(&mut FunctionEntry)) {
        let Some(entry) = self.functions.get_mut(name) else { return };
        change(entry);
        self.changes += 1;
        self.by_change.remove(&entry.changed);
        self.by_change.insert(self.changes, name.to_owned());
        entry.changed = self.changes;
    }

    fn remove(&mut self, name: &str) {
        if let Some(entry) = self.functions.remove(name) {
            self.by_change.remove(&entry.changed);
        }
    }
}

/// The node's own view of itself.
pub struct Board {
    state: Mutex<BoardState>,
    changed: watch::Sender<()>,
}

/// A copy of the board.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The newest desired state that the node works on.
    pub desired: Arc<Desired>,
    /// Of wanted functions, each with the number of the change that made it so: those that are newer than asked for, in
    /// the order of their changes.
    pub functions: Vec<(u64, FunctionStatus)>,
    /// Lines newer than asked for.
    pub build_log: Vec<BuildLogLine>,
    /// Hashes of environments on disk.
    pub built: Vec<String>,
    /// What interpreters are doing, by environment.
    pub loads: Vec<EnvironmentLoad>,
}

impl Default for Board {
    fn default() -> Self {
        Self { state: Mutex::default(), changed: watch::channel(()).0 }
    }
}

impl Board {
    /// Wakes up whenever the board changes.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// The node works on a new desired state: every function of it has a status from this moment on. One whose
    /// reference is new is told again, even if nothing changes for it here; with another definition it begins anew.
    pub fn desired(&self, desired: &Arc<Desired>) {
        let mut state = self.state.lock();
        let before = std::mem::replace(&mut state.desired, Arc::clone(desired));
        for Difference { key, now, .. } in desired.functions.since(&before.functions, |before, now| before == now) {
            let Some(reference) = now else {
                state.remove(key);
                continue;
            };
            if state.functions.get(key).is_none_or(|held| held.reference.definition != reference.definition) {
                state.remove(key);
                state.functions.insert(key.clone(), new_entry(reference));
            }
            state.change(key, |entry| entry.reference = Arc::clone(reference));
        }
        drop(state);
        self.changed.send_replace(());
    }

    /// News of functions; those that are not wanted any more are ignored.
    pub fn functions(&self, statuses: Vec<FunctionStatus>) {
        let mut state = self.state.lock();
        let mut news = false;
        for status in statuses {
            if let Some(held) = state.functions.get(&status.function).filter(|held| held.status != status) {
                if held.status.state != status.state {
                    tracing::info!(function = status.function, state = status.state().as_str_name(), "function");
                }
                let name = status.function.clone();
                state.change(&name, |entry| entry.status = status);
                news = true;
            }
        }
        drop(state);
        if news {
            self.changed.send_replace(());
        }
    }

    /// What the interpreters of an environment are doing. Whether they are all held is news, the rest goes along with the
    /// next report.
    pub fn load(&self, load: EnvironmentLoad) {
        let held = |load: &EnvironmentLoad| load.held >= load.interpreters;
        let now = held(&load);
        let before = self.state.lock().loads.insert(load.environment.clone(), load);
        if before.is_some_and(|before| held(&before) != now) {
            self.changed.send_replace(());
        }
    }

    /// An environment has no interpreters any more.
    pub fn forget_load(&self, environment: &str) {
        self.state.lock().loads.remove(environment);
    }

    /// One line of a build's output.
    pub fn build_line(&self, environment: &str, line: &str) {
        let mut state = self.state.lock();
        state.last_line += 1;
        let sequence = state.last_line;
        state.build_log.push_back(BuildLogLine {
            environment: environment.to_owned(),
            line: line[..line.floor_char_boundary(LONGEST_LINE)].to_owned(),
            sequence,
        });
        if state.build_log.len() > KEPT_LINES {
            state.build_log.pop_front();
        }
        drop(state);
        self.changed.send_replace(());
    }

    /// What is built on disk.
    pub fn built(&self, hashes: Vec<String>) {
        self.state.lock().built = hashes;
        self.changed.send_replace(());
    }

    /// Everything now, with the build lines after `after_line` and what has changed of functions after `after_change`.
    #[must_use]
    pub fn view(&self, after_line: u64, after_change: u64) -> View {
        let state = self.state.lock();
        let newer = state.by_change.range(after_change.saturating_add(1)..);
        let status = |(changed, name): (&u64, &String)| Some((*changed, state.functions.get(name)?.status.clone()));
        let functions = newer.filter_map(status).collect();
        View {
            desired: Arc::clone(&state.desired),
            functions,
            build_log: state.build_log.iter().filter(|line| line.sequence > after_line).cloned().collect(),
            built: state.built.clone(),
            loads: state.loads.values().cloned().collect(),
        }
    }

    /// True once a coordinator has said what this node shall hold.
    #[must_use]
    pub fn holds_desired_state(&self) -> bool {
        self.state.lock().desired.revision > 0
    }

    /// Hashes of environments on disk.
    #[must_use]
    pub fn built_environments(&self) -> Vec<String> {
        self.state.lock().built.clone()
    }
}

fn new_entry(reference: &Arc<FunctionReference>) -> FunctionEntry {
    let status = FunctionStatus {
        function: reference.function.clone(),
        state: LoadState::Pending as i32,
        ..FunctionStatus::default()
    };
    FunctionEntry { reference: Arc::clone(reference), status, changed: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn desired(revision: u64, functions: &[(&str, &'static str, u64)]) -> Arc<Desired> {
        let one = |(name, definition, since): &(&str, &'static str, u64)| {
            let reference = FunctionReference {
                function: (*name).to_owned(),
                definition: definition.as_bytes().into(),
                since: *since,
                ..Default::default()
            };
            ((*name).to_owned(), Arc::new(reference))
        };
        Arc::new(Desired { revision, functions: functions.iter().map(one).collect(), ..Desired::default() })
    }

    fn ready(name: &str) -> FunctionStatus {
        FunctionStatus { function: name.into(), state: LoadState::Ready as i32, ..Default::default() }
    }

    fn states(view: &View) -> Vec<(&str, LoadState)> {
        view.functions.iter().map(|(_, status)| (status.function.as_str(), status.state())).collect()
    }

    fn last(view: &View) -> u64 {
        view.functions.last().unwrap().0
    }

    #[test]
    fn every_wanted_function_has_a_status_and_no_other() {
        let board = Board::default();
        let mut changes = board.changes();
        board.desired(&desired(7, &[("f@1", "f", 7), ("g@1", "g", 7)]));
        assert!(changes.has_changed().unwrap());
        board.functions(vec![ready("f@1"), ready("stale@1")]);
        changes.mark_unchanged();
        board.functions(vec![ready("f@1")]);
        assert!(!changes.has_changed().unwrap(), "no news");
        let view = board.view(0, 0);
        assert_eq!(
            (view.desired.revision, states(&view)),
            (7, vec![("g@1", LoadState::Pending), ("f@1", LoadState::Ready)])
        );
        board.desired(&desired(8, &[("g@1", "g", 7)]));
        assert_eq!(board.view(0, 0).functions.len(), 1);
    }

    #[test]
    fn only_what_has_changed_is_told_again() {
        let board = Board::default();
        board.desired(&desired(1, &[("f@1", "f", 1), ("g@1", "g", 1)]));
        board.functions(vec![ready("f@1"), ready("g@1")]);
        let seen = last(&board.view(0, 0));
        assert!(board.view(0, seen).functions.is_empty());
        board.desired(&desired(2, &[("f@1", "f", 1), ("g@1", "g", 1), ("h@1", "h", 2)]));
        assert_eq!(states(&board.view(0, seen)), [("h@1", LoadState::Pending)]);
        let seen = last(&board.view(0, seen));
        // g was taken away and given back before this node heard of it; f's name stands for another definition.
        board.desired(&desired(4, &[("f@1", "other", 4), ("g@1", "g", 4), ("h@1", "h", 2)]));
        let view = board.view(0, seen);
        assert_eq!(states(&view), [("f@1", LoadState::Pending), ("g@1", LoadState::Ready)]);
    }

    #[test]
    fn that_all_interpreters_are_held_is_told_at_once() {
        let (board, load) =
            (Board::default(), |interpreters, held| EnvironmentLoad { interpreters, held, ..Default::default() });
        let mut changes = board.changes();
        board.load(load(2, 0));
        board.load(load(2, 1));
        assert!(!changes.has_changed().unwrap());
        board.load(load(2, 2));
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        board.load(load(3, 2));
        assert!(changes.has_changed().unwrap());
        assert_eq!(board.view(0, 0).loads, [load(3, 2)]);
        board.forget_load("");
        assert!(board.view(0, 0).loads.is_empty());
    }

    #[test]
    fn build_lines_count_up_and_are_bounded() {
        let board = Board::default();
        for line in 0..(KEPT_LINES + 5) {
            board.build_line("h", &line.to_string());
        }
        assert_eq!(board.view(0, 0).build_log.len(), KEPT_LINES);
        let newest = board.view((KEPT_LINES + 4) as u64, 0).build_log;
        assert_eq!((newest.len(), newest[0].sequence), (1, (KEPT_LINES + 5) as u64));
    }

    #[test]
    fn long_lines_are_cut() {
        let board = Board::default();
        board.build_line("h", &"é".repeat(LONGEST_LINE));
        assert_eq!(board.view(0, 0).build_log[0].line.len(), LONGEST_LINE);
    }
}
