//! Named places in the programs, where a test lets a process end or stop. Without the feature `armed`, which only the tests'
//! programs have (`tests/Cargo.toml`), nothing is compiled in.
//!
//! A test writes `kill` or `stop` into a file of the point's name in the folder that `UDFLEET_TEST_KILL_POINTS` names. The
//! first process that comes to the point renames the file to `POINT.PID`, and gets that signal there.

/// This process has come to the point.
#[cfg(not(feature = "armed"))]
#[inline(always)]
pub fn reach(_point: &str) {}

#[cfg(feature = "armed")]
pub use armed::reach;

#[cfg(feature = "armed")]
mod armed {
    use std::path::PathBuf;
    use std::sync::OnceLock;

    use rustix::process::{Signal, getpid, kill_process};

    const FOLDER: &str = "UDFLEET_TEST_KILL_POINTS";

    /// This process has come to the point: it ends or stops here where a test wants that.
    pub fn reach(point: &str) {
        static ARMED: OnceLock<Option<PathBuf>> = OnceLock::new();
        let Some(folder) = ARMED.get_or_init(|| std::env::var_os(FOLDER).map(PathBuf::from)) else { return };
        let armed = folder.join(point);
        let Ok(order) = std::fs::read_to_string(&armed) else { return };
        let signal = match order.trim() {
            "kill" => Signal::KILL,
            "stop" => Signal::STOP,
            _ => return,
        };
        let taken = folder.join(format!("{point}.{}", getpid().as_raw_nonzero()));
        if std::fs::rename(&armed, taken).is_ok() {
            // Nothing can be done where a process can't signal itself: the test sees that it goes on.
            let _ = kill_process(getpid(), signal);
        }
    }
}
