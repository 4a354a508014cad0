//! The module that runs inside an interpreter process: it receives commands from the executor, converts Arrow batches
//! in shared memory to Python values, calls the functions, and writes the results back as Arrow.
//!
//! One thread holds one thread state for the life of the process; the GIL is taken per batch, not per row.

mod arguments;
mod channel;
mod child;
mod descendants;
mod encode;
mod eval;
mod failure;
mod from_python;
mod function;
mod functions;
mod input;
mod keyed;
mod load;
mod mapping;
mod metrics;
mod orphan;
mod output;
mod private;
mod profile;
mod region;
mod runner;
mod session;
mod stage;
mod stdio;
mod tally;
mod to_python;

use pyo3::prelude::*;

/// Serves the executor until it says to stop or goes away.
#[pyfunction]
fn main(py: Python<'_>) -> PyResult<()> {
    session::Session::start(py)?.run(py)
}

#[pymodule]
#[pyo3(name = "_udfleet_interpreter")]
fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(main, m)?)
}
