//! Profiles: a thread samples what functions with `python.profile.enabled` do.

use pyo3::ffi::c_str;
use pyo3::prelude::*;
use udfleet_proto::v1::{ProfileStacks, StackSamples};

use crate::failure::log;
use crate::function::Function;

/// The sampler, started when the first profiled function runs.
#[derive(Default)]
pub struct Profiler {
    sampler: Option<Py<PyAny>>,
}

fn start(py: Python<'_>) -> PyResult<Py<PyAny>> {
    let code = c_str!(include_str!("../python/profile.py"));
    let module = PyModule::from_code(py, code, c"_udfleet_profile.py", c"_udfleet_profile")?;
    Ok(module.getattr("Sampler")?.call0()?.unbind())
}

impl Profiler {
    /// From here on the time is this function's. Profiles are no reason to fail a call: errors go to its log.
    pub fn enter(&mut self, py: Python<'_>, function: &Function) {
        if let Err(error) = self.try_enter(py, function) {
            log(py, &error);
        }
    }

    fn try_enter(&mut self, py: Python<'_>, function: &Function) -> PyResult<()> {
        if !function.profiled {
            self.leave(py);
            return Ok(());
        }
        let sampler = match &self.sampler {
            Some(sampler) => sampler,
            None => self.sampler.insert(start(py)?),
        };
        sampler.call_method1(py, "enter", (function.number,)).map(drop)
    }

    fn call(&self, py: Python<'_>, method: &str, function: Option<u32>) {
        if let Some(sampler) = &self.sampler {
            let called = match function {
                Some(function) => sampler.call_method1(py, method, (function,)),
                None => sampler.call_method0(py, method),
            };
            if let Err(error) = called {
                log(py, &error);
            }
        }
    }

    /// No function runs.
    pub fn leave(&self, py: Python<'_>) {
        self.call(py, "leave", None);
    }

    /// The function is gone.
    pub fn forget(&self, py: Python<'_>, function: u32) {
        self.call(py, "forget", Some(function));
    }

    /// Where the function has spent its time.
    pub fn stacks(&self, py: Python<'_>, function: u32) -> PyResult<ProfileStacks> {
        let Some(sampler) = &self.sampler else { return Ok(ProfileStacks::default()) };
        let period_ns = sampler.bind(py).getattr("enter")?.getattr("__globals__")?.get_item("PERIOD_NS")?.extract()?;
        let stacks: Vec<(String, u64)> = sampler.call_method1(py, "stacks", (function,))?.extract(py)?;
        let stacks = stacks.into_iter().map(|(stack, samples)| StackSamples { stack, samples }).collect();
        Ok(ProfileStacks { stacks, period_ns })
    }
}
