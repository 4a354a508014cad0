//! Failed logins: counted all, logged a few.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::gate::LoginFailure;

/// At most one line in this time: who tries tokens must not fill the log.
const LOG_EVERY: Duration = Duration::from_secs(1);

/// Counts failed logins of a process, and logs them.
#[derive(Debug, Default)]
pub struct LoginFailures {
    /// By [`LoginFailure::REASONS`].
    counts: [AtomicU64; LoginFailure::REASONS.len()],
    logged: Mutex<LastLine>,
}

#[derive(Debug, Default)]
struct LastLine {
    at: Option<Instant>,
    unlogged: u64,
}

impl LastLine {
    /// How many went unlogged before this one, where it may be logged.
    fn take(&mut self, now: Instant) -> Option<u64> {
        if self.at.is_some_and(|at| now.duration_since(at) < LOG_EVERY) {
            self.unlogged += 1;
            return None;
        }
        self.at = Some(now);
        Some(std::mem::take(&mut self.unlogged))
    }
}

impl LoginFailures {
    /// Notes one.
    pub fn note(&self, failure: &LoginFailure, path: &str, from: Option<SocketAddr>) {
        let reason = failure.reason();
        if let Some(index) = LoginFailure::REASONS.iter().position(|known| *known == reason) {
            self.counts[index].fetch_add(1, Ordering::Relaxed);
        }
        let Some(unlogged) = self.logged.lock().take(Instant::now()) else { return };
        let from = from.map(|from| from.to_string()).unwrap_or_default();
        // The path comes from a stranger.
        let path: String = path.chars().filter(|c| c.is_ascii_graphic()).take(100).collect();
        match failure {
            LoginFailure::Expired(token) | LoginFailure::Revoked(token) => {
                tracing::warn!(from, path, reason, token, unlogged, "a login failed");
            }
            LoginFailure::Missing | LoginFailure::Wrong => {
                tracing::warn!(from, path, reason, unlogged, "a login failed");
            }
        }
    }

    /// How many there were, by reason.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        LoginFailure::REASONS.into_iter().zip(counts.collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_and_few_are_logged() {
        let failures = LoginFailures::default();
        for _ in 0..5 {
            failures.note(&LoginFailure::Wrong, "/x", None);
        }
        failures.note(&LoginFailure::Revoked("ci".to_owned()), "/x", None);
        let counts: Vec<_> = failures.counts().collect();
        assert_eq!(counts, [("missing", 0), ("wrong", 5), ("expired", 0), ("revoked", 1)]);
        let (mut line, start) = (LastLine::default(), Instant::now());
        assert_eq!(line.take(start), Some(0));
        assert_eq!((line.take(start), line.take(start)), (None, None));
        assert_eq!(line.take(start + LOG_EVERY), Some(2));
    }
}
