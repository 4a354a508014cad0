//! What this node can say of itself at any moment: actors write it, reports read it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use parking_lot::Mutex;
use tokio::sync::watch;
use udfleet_proto::v1::{BuildLogLine, FunctionStatus, LoadState};

use super::reconcile::Wanted;

/// Lines of build output that are kept for a coordinator that was away.
const KEPT_LINES: usize = 2000;

#[derive(Default)]
struct State {
    revision: u64,
    draining: bool,
    functions: BTreeMap<String, FunctionStatus>,
    build_log: VecDeque<BuildLogLine>,
    last_line: u64,
    built: Vec<String>,
}

/// The node's own view of itself.
pub struct Board {
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

/// A copy of the board.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The newest desired state that the node works on.
    pub revision: u64,
    /// Taking nothing new.
    pub draining: bool,
    /// Of every wanted function.
    pub functions: Vec<FunctionStatus>,
    /// Lines newer than asked for.
    pub build_log: Vec<BuildLogLine>,
    /// Hashes of environments on disk.
    pub built: Vec<String>,
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

    /// The node works on a new desired state: every function of it has a status from this moment on.
    pub fn desired(&self, revision: u64, draining: bool, wanted: &Wanted) {
        let mut state = self.state.lock();
        (state.revision, state.draining) = (revision, draining);
        let names: BTreeSet<&String> = wanted.values().flat_map(|e| e.functions.keys()).collect();
        state.functions.retain(|name, _| names.contains(name));
        for name in names {
            state.functions.entry(name.clone()).or_insert_with(|| FunctionStatus {
                function: name.clone(),
                state: LoadState::Pending as i32,
                ..FunctionStatus::default()
            });
        }
        drop(state);
        self.changed.send_replace(());
    }

    /// News of functions; those that are not wanted any more are ignored.
    pub fn functions(&self, statuses: Vec<FunctionStatus>) {
        let mut state = self.state.lock();
        let mut news = false;
        for status in statuses {
            if let Some(held) = state.functions.get_mut(&status.function).filter(|held| **held != status) {
                if held.state != status.state {
                    tracing::info!(function = status.function, state = status.state().as_str_name(), "function");
                }
                *held = status;
                news = true;
            }
        }
        drop(state);
        if news {
            self.changed.send_replace(());
        }
    }

    /// One line of a build's output.
    pub fn build_line(&self, environment: &str, line: &str) {
        let mut state = self.state.lock();
        state.last_line += 1;
        let sequence = state.last_line;
        state.build_log.push_back(BuildLogLine {
            environment: environment.to_owned(),
            line: line.to_owned(),
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

    /// Everything now, with the build lines after `after_line`.
    #[must_use]
    pub fn view(&self, after_line: u64) -> View {
        let state = self.state.lock();
        View {
            revision: state.revision,
            draining: state.draining,
            functions: state.functions.values().cloned().collect(),
            build_log: state.build_log.iter().filter(|line| line.sequence > after_line).cloned().collect(),
            built: state.built.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::reconcile::WantedEnvironment;
    use super::*;

    fn wanted(names: &[&str]) -> Wanted {
        let functions = names.iter().map(|name| ((*name).to_owned(), Arc::default())).collect();
        Wanted::from([("h".to_owned(), WantedEnvironment { functions, ..WantedEnvironment::default() })])
    }

    #[test]
    fn every_wanted_function_has_a_status_and_no_other() {
        let board = Board::default();
        let mut changes = board.changes();
        board.desired(7, false, &wanted(&["f@1", "g@1"]));
        assert!(changes.has_changed().unwrap());
        let ready =
            |name: &str| FunctionStatus { function: name.into(), state: LoadState::Ready as i32, ..Default::default() };
        board.functions(vec![ready("f@1"), ready("stale@1")]);
        changes.mark_unchanged();
        board.functions(vec![ready("f@1")]);
        assert!(!changes.has_changed().unwrap(), "no news");
        let states: Vec<LoadState> = board.view(0).functions.iter().map(FunctionStatus::state).collect();
        assert_eq!((board.view(0).revision, states), (7, vec![LoadState::Ready, LoadState::Pending]));
        board.desired(8, true, &wanted(&["g@1"]));
        assert_eq!(board.view(0).functions.len(), 1);
    }

    #[test]
    fn build_lines_count_up_and_are_bounded() {
        let board = Board::default();
        for line in 0..(KEPT_LINES + 5) {
            board.build_line("h", &line.to_string());
        }
        assert_eq!(board.view(0).build_log.len(), KEPT_LINES);
        let newest = board.view((KEPT_LINES + 4) as u64).build_log;
        assert_eq!((newest.len(), newest[0].sequence), (1, (KEPT_LINES + 5) as u64));
    }
}
