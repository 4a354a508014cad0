//! Tells the executor whose output follows: a marker line on stdout and stderr whenever the running function changes.
//!
//! The marker travels in the same pipes as the output, so the order is exact and no message is needed per call.

use std::os::fd::BorrowedFd;

use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Marker lines start with this.
pub const MARKER: &str = "\u{1e}udfleet-function:";

/// Which function owns the output now.
pub struct Stdio {
    current: Option<u32>,
}

impl Stdio {
    /// Makes Python write whole lines at once, so that logs are complete when a call is answered without a flush per
    /// call.
    pub fn start(py: Python<'_>) -> PyResult<Self> {
        let sys = py.import("sys")?;
        let options = PyDict::new(py);
        options.set_item("line_buffering", true)?;
        for name in ["stdout", "stderr"] {
            sys.getattr(name)?.call_method("reconfigure", (), Some(&options))?;
        }
        Ok(Self { current: None })
    }

    /// Flushes Python's buffers when the owner changes, then marks the change.
    pub fn switch_to(&mut self, py: Python<'_>, function: u32) {
        if self.current == Some(function) {
            return;
        }
        self.flush(py);
        self.current = Some(function);
        let marker = format!("{MARKER}{function}\n");
        for descriptor in [1, 2] {
            // SAFETY: descriptors 1 and 2 are open for the life of the process unless user code closed them, in which
            // case the write fails and is ignored.
            let descriptor = unsafe { BorrowedFd::borrow_raw(descriptor) };
            let _ = rustix::io::write(descriptor, marker.as_bytes());
        }
    }

    /// Sends what Python holds back: unfinished lines.
    pub fn flush(&self, py: Python<'_>) {
        for (name, descriptor) in [("stdout", 1), ("stderr", 2)] {
            // User code may have put something else there, that can't be flushed.
            drop(flush_or_reopen(py, name, descriptor));
        }
    }
}

/// A function that closes a stream must not make the others fail that print.
fn flush_or_reopen(py: Python<'_>, name: &str, descriptor: i32) -> PyResult<()> {
    let sys = py.import("sys")?;
    let stream = sys.getattr(name)?;
    if !stream.getattr("closed")?.is_truthy()? {
        return stream.call_method0("flush").map(drop);
    }
    // Python's own streams leave the descriptor open when they are closed.
    let options = PyDict::new(py);
    for option in ["encoding", "errors"] {
        options.set_item(option, stream.getattr(option)?)?;
    }
    options.set_item("buffering", 1)?;
    options.set_item("closefd", false)?;
    sys.setattr(name, py.import("io")?.call_method("open", (descriptor, "w"), Some(&options))?)
}
