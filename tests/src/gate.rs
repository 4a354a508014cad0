//! A gate at which the function `wait` stops: a test knows that a batch is running, and decides for how long.

use std::path::{Path, PathBuf};

use crate::wait::eventually;

/// Two files: who has come to the gate, and whether it is open.
pub struct Gate {
    path: PathBuf,
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new(folder: &Path, name: &str) -> Self {
        Self { path: folder.join(name) }
    }

    fn beside(&self, what: &str) -> PathBuf {
        PathBuf::from(format!("{}.{what}", self.path.display()))
    }

    /// The argument of `wait`.
    #[must_use]
    pub fn argument(&self) -> String {
        self.path.display().to_string()
    }

    /// Calls that have come to the gate.
    #[must_use]
    pub fn entered(&self) -> usize {
        std::fs::read_to_string(self.beside("entered")).unwrap_or_default().lines().count()
    }

    /// The interpreters of these calls.
    ///
    /// # Panics
    /// When a line is no process id.
    #[must_use]
    pub fn processes(&self) -> Vec<u32> {
        let lines = std::fs::read_to_string(self.beside("entered")).unwrap_or_default();
        lines.lines().map(|line| line.parse().expect("a process id")).collect()
    }

    /// Waits until this many calls have come to the gate.
    pub async fn wait_entered(&self, calls: usize) {
        eventually("calls come to the gate", async || (self.entered() >= calls).then_some(())).await;
    }

    /// Lets everybody through.
    ///
    /// # Panics
    /// When the file can't be made.
    pub fn open(&self) {
        std::fs::write(self.beside("open"), "").expect("a file");
    }
}
