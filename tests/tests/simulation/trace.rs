//! What happened in one run, in order, and what went wrong in it.

use std::sync::Mutex;
use std::time::Instant;

use udfleet_edge::clock;

/// See the module.
pub struct Trace {
    begun: Instant,
    lines: Mutex<Vec<String>>,
    violation: Mutex<Option<String>>,
}

impl Trace {
    /// An empty one that begins now.
    pub fn new() -> Self {
        Self { begun: clock::now(), lines: Mutex::default(), violation: Mutex::default() }
    }

    pub fn note(&self, line: impl AsRef<str>) {
        let at = (clock::now() - self.begun).as_secs_f64();
        self.lines.lock().unwrap().push(format!("{at:9.3} {}", line.as_ref()));
    }

    /// A property does not hold. The first counts.
    pub fn violated(&self, what: impl Into<String>) {
        let what = what.into();
        self.note(format!("VIOLATED: {what}"));
        self.violation.lock().unwrap().get_or_insert(what);
    }

    pub fn violation(&self) -> Option<String> {
        self.violation.lock().unwrap().clone()
    }

    pub fn text(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }
}
