//! What a command reports besides its results: run time of each function, and rows that failed.

use std::collections::BTreeMap;
use std::rc::Rc;

use pyo3::prelude::*;
use udfleet_proto::error::Error;
use udfleet_proto::v1::{FunctionRowErrors, FunctionRun, RowErrors, UserMetrics};

use crate::failure::log;
use crate::function::Function;

/// How many row errors are kept whole, per function and command.
const KEPT: usize = 5;

/// The report of one command.
#[derive(Default)]
pub struct Tally {
    /// Time in user code.
    pub run_ns: u64,
    /// By slot of a stage.
    pub runs: Vec<FunctionRun>,
    failed: BTreeMap<u32, FunctionRowErrors>,
    ran: Vec<Rc<Function>>,
}

impl Tally {
    /// For the functions of a stage.
    pub fn of(slots: &[Rc<Function>]) -> Self {
        let runs = slots.iter().map(|function| FunctionRun { function: function.number, ..FunctionRun::default() });
        Self { runs: runs.collect(), ..Self::default() }
    }

    /// A function has run.
    pub fn ran(&mut self, function: &Rc<Function>) {
        if function.metrics.is_some() && !self.ran.iter().any(|earlier| earlier.number == function.number) {
            self.ran.push(Rc::clone(function));
        }
    }

    /// A slot's function has worked on so many rows.
    pub fn add(&mut self, slot: usize, rows: usize, run_ns: u64) {
        self.run_ns += run_ns;
        if let Some(run) = self.runs.get_mut(slot) {
            run.rows += rows as u64;
            run.run_ns += run_ns;
        }
    }

    /// Rows that failed and did not fail their stream.
    pub fn failures(&mut self, function: &Function, failures: Vec<Error>) {
        if failures.is_empty() {
            return;
        }
        let errors = self.failed.entry(function.number).or_default();
        errors.function = function.number;
        errors.count += failures.len() as u64;
        let room = KEPT.saturating_sub(errors.first.len());
        errors.first.extend(failures.into_iter().take(room).map(Error::into_info));
    }

    /// The row errors, for the executor.
    pub fn row_errors(&mut self) -> Option<RowErrors> {
        let functions: Vec<_> = std::mem::take(&mut self.failed).into_values().collect();
        (!functions.is_empty()).then_some(RowErrors { functions })
    }

    /// The metrics of functions that ran, where any has changed.
    pub fn metrics(&self, py: Python<'_>) -> Option<UserMetrics> {
        let changed = |function: &Rc<Function>| {
            let changed = function.metrics.as_ref()?.changed(py, function.number);
            changed.unwrap_or_else(|error| {
                // A metric that can't be read fails no call: the function's log tells.
                log(py, &error);
                None
            })
        };
        let functions: Vec<_> = self.ran.iter().filter_map(changed).collect();
        (!functions.is_empty()).then_some(UserMetrics { functions })
    }
}
