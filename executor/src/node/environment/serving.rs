//! The functions of an environment in the function table: when calls find them, and how they leave.

use std::sync::Arc;
use std::time::Duration;

use ractor::ActorRef;
use udfleet_proto::error::Error;
use udfleet_proto::v1::{ErrorCode, LoadState};

use super::{Build, EnvironmentMessage, EnvironmentState};
use crate::exchange::ServedFunction;

/// How long batches of a dropped function may continue.
const LEAVE_WITHIN: Duration = Duration::from_secs(30);
/// How often their end is checked.
const LEAVE_POLL: Duration = Duration::from_millis(20);

impl EnvironmentState {
    /// Sends [`EnvironmentMessage::Left`] when the last batch of a dropped function has ended.
    pub(super) fn see_off(&self, number: u32, myself: &ActorRef<EnvironmentMessage>) {
        let Some(entry) = self.roster.entry(number) else { return };
        let (stats, myself) = (self.context.stats.function(&entry.name), myself.clone());
        tokio::spawn(async move {
            let idle = async {
                while stats.in_flight() > 0 {
                    tokio::time::sleep(LEAVE_POLL).await;
                }
            };
            // After the bound it is unloaded anyway.
            let _ = tokio::time::timeout(LEAVE_WITHIN, idle).await;
            let _ = myself.send_message(EnvironmentMessage::Left(number));
        });
    }

    /// Open streams of a dropped function get the error with their next batch.
    pub(super) fn left(&mut self, number: u32) {
        if let Some(entry) = self.roster.entry(number) {
            let message = format!("function {} was dropped, or has left this executor", entry.name);
            let error = Error::new(ErrorCode::FunctionNotFound, message).function(&entry.name);
            self.pool.refuse(number, error.hint("open a new stream: `udfleet functions` lists what there is"));
        }
        if let Some(name) = self.roster.forget(number) {
            self.context.stats.forget(&name);
        }
    }

    /// Accepts no more calls, and refuses those that wait.
    pub(super) fn retire(&mut self) {
        for number in self.roster.withdraw_all() {
            self.withdraw(number);
        }
        if let Build::Running(task) = &self.build {
            task.abort();
        }
        let stopped = Error::new(ErrorCode::NoCapacity, "the function was taken off this executor");
        self.pool.close(stopped.hint("call again: another executor may serve it"));
        self.context.board.functions(self.all(LoadState::Pending, None));
        self.context.board.forget_load(&self.hash);
        self.context.devices.give_up(&self.hash);
        self.grants.clear();
    }

    /// Functions leave the table before they are unloaded, and enter it after they are loaded.
    pub(super) fn offer(&mut self) {
        let changes = self.roster.settle();
        changes.removed.into_iter().for_each(|number| self.withdraw(number));
        changes.added.into_iter().for_each(|number| self.introduce(number));
    }

    fn introduce(&self, number: u32) {
        let Some(entry) = self.roster.entry(number) else { return };
        let (context, pool) = (&self.context, Arc::clone(&self.pool));
        let stats = context.stats.function(&entry.name);
        let definition = entry.definition.as_ref().clone();
        match ServedFunction::new(definition, number, &self.hash, pool, stats, context.executor.clone()) {
            Ok(function) => {
                self.pool.accept(number);
                context.table.insert(function);
            }
            // The coordinator has checked the definition.
            Err(error) => tracing::error!(function = entry.name, "function can't be served: {error}"),
        }
    }

    fn withdraw(&self, number: u32) {
        if let Some(entry) = self.roster.entry(number) {
            self.context.table.remove(&entry.definition, number);
            if let Some(error) = self.roster.failure(number) {
                self.pool.refuse(number, error);
            }
        }
    }
}
