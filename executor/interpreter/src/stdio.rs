//! Tells the executor whose output follows: a marker line on stdout and stderr whenever the running function changes.
//!
//! The marker travels in the same pipes as the output, so the order is exact and no message is needed per call.

use std::os::fd::BorrowedFd;

use pyo3::prelude::*;

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
        let options = pyo3::types::PyDict::new(py);
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
        for name in ["stdout", "stderr"] {
            let flushed =
                py.import("sys").and_then(|sys| sys.getattr(name)).and_then(|stream| stream.call_method0("flush"));
            // User code may have replaced or closed its streams: nothing to flush then.
            drop(flushed);
        }
    }
}
