//! Attributes output and profile samples to functions: a marker is written whenever another function starts to run.

use pyo3::prelude::*;

use crate::child::end_if_forked;
use crate::function::Function;
use crate::profile::Profiler;
use crate::stdio::Stdio;

/// What has to know which function runs.
pub struct Output {
    pub stdio: Stdio,
    pub profiler: Profiler,
}

impl Output {
    /// Output and samples belong to this function from here on.
    pub fn switch_to(&mut self, py: Python<'_>, function: &Function) {
        // In a child that the function before has forked, no other function runs.
        end_if_forked(py, None);
        self.stdio.switch_to(py, function.number);
        self.profiler.enter(py, function);
    }
}
