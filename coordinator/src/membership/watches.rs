//! Waiting registrations: each receives the progress of its function.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use udfleet_proto::error::Error;
use udfleet_proto::v1::{BuildLogLine, ErrorCode};

use super::message::{Unplaced, WatchEvent};
use crate::snapshot::{FunctionEntry, RegistrationOutcome, Snapshot};

struct Watch {
    environment: String,
    unplaced: Unplaced,
    events: mpsc::UnboundedSender<WatchEvent>,
    /// The line that it was told last.
    told: String,
    /// It has been told that some executor serves the function.
    served: bool,
}

/// By the function (`add@3`) that they wait for.
#[derive(Default)]
pub(super) struct Watches(HashMap<String, Vec<Watch>>);

impl Watches {
    /// Tells how the function stands, and goes on telling until that is settled.
    pub fn begin(
        &mut self,
        function: &str,
        unplaced: Unplaced,
        events: mpsc::UnboundedSender<WatchEvent>,
        now: &Snapshot,
    ) {
        let environment = now.functions.get(function).map(|e| e.function.environment.clone()).unwrap_or_default();
        let watch = Watch { environment, unplaced, events, told: String::new(), served: false };
        self.0.entry(function.to_owned()).or_default().push(watch);
        self.advance([function], now);
    }

    /// Tells those who wait for these functions, which have changed.
    pub fn advance<'a>(&mut self, changed: impl IntoIterator<Item = &'a str>, now: &Snapshot) {
        for function in changed {
            let Some(watches) = self.0.remove(function) else { continue };
            let entry = now.functions.get(function);
            let waiting: Vec<Watch> = watches.into_iter().filter_map(|watch| watch.advance(function, entry)).collect();
            if !waiting.is_empty() {
                self.0.insert(function.to_owned(), waiting);
            }
        }
    }

    /// Passes on what a build prints.
    pub fn build_log(&self, lines: &[BuildLogLine]) {
        for watch in self.0.values().flatten() {
            for line in lines.iter().filter(|line| line.environment == watch.environment) {
                // Who waited may be gone.
                let _ = watch.events.send(WatchEvent::BuildLog(line.clone()));
            }
        }
    }
}

impl Watch {
    /// `None` once it need not wait on.
    fn advance(mut self, function: &str, entry: Option<&Arc<FunctionEntry>>) -> Option<Self> {
        if !self.served && entry.is_some_and(|entry| entry.is_served()) {
            self.served = true;
            // Who waited may be gone.
            let _ = self.events.send(WatchEvent::Served);
        }
        let event = match entry.map(|entry| (entry, entry.outcome())) {
            None => {
                let error = Error::new(ErrorCode::FunctionNotFound, "it was dropped meanwhile").function(function);
                WatchEvent::Failed(Box::new(error.into_info()))
            }
            Some((entry, RegistrationOutcome::Ready)) => WatchEvent::Ready(Box::new(entry.info())),
            Some((entry, RegistrationOutcome::Failed(info)))
                if entry.is_placed() || self.unplaced == Unplaced::Fails =>
            {
                WatchEvent::Failed(info)
            }
            Some((entry, _)) => {
                let line = entry.progress_line();
                if line == self.told {
                    return (!self.events.is_closed()).then_some(self);
                }
                self.told.clone_from(&line);
                return self.events.send(WatchEvent::Progress(line)).is_ok().then_some(self);
            }
        };
        // Who waited may be gone.
        let _ = self.events.send(event);
        None
    }
}
