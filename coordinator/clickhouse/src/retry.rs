//! What is worth another try, and for how long.

use std::error::Error as _;
use std::fmt;
use std::time::{Duration, Instant};

use tonic::{Code, Status};
use udfleet_edge::channel::reason;
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Why a call did not work.
#[derive(Debug)]
pub enum Failure {
    /// What the fleet says.
    Told(Error),
    /// The connection is gone, or there was none.
    Lost(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Told(error)
    }
}

impl Failure {
    /// What a status of a call to `address` means.
    pub fn of(status: &Status, address: &str) -> Self {
        // Statuses that the connection made, and no peer, say what they came from.
        let made_here = status.source().is_some();
        let typed = !status.details().is_empty();
        match status.code() {
            Code::Unavailable if !typed => Self::lost(address, status),
            _ if made_here && !typed => Self::lost(address, status),
            _ => Self::Told(status.into()),
        }
    }

    fn lost(address: &str, status: &Status) -> Self {
        Self::Lost(format!("no answer from {address}: {}", reason(status)))
    }

    /// True where the same call may work a little later: nothing is wrong with it.
    fn passing(&self) -> bool {
        match self {
            Self::Lost(_) => true,
            // The fleet has tried crashes again itself, as often as the function allows.
            Self::Told(error) => matches!(error.code(), ErrorCode::NoCapacity | ErrorCode::ExecutorLost),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Told(error) => error.fmt(f),
            Self::Lost(text) => {
                write!(f, "UNREACHABLE: {text} (hint: is the fleet running? --address names its coordinator)")
            }
        }
    }
}

/// The tries of one chunk.
#[derive(Debug)]
pub struct Retry {
    patience: Duration,
    failing_since: Option<Instant>,
    pause: Duration,
}

impl Retry {
    /// Gives up when nothing has worked for this long.
    pub fn new(patience: Duration) -> Self {
        Self { patience, failing_since: None, pause: FIRST_PAUSE }
    }

    /// Something has worked.
    pub fn progress(&mut self) {
        *self = Self::new(self.patience);
    }

    /// How long to wait before the next try.
    ///
    /// # Errors
    /// The failure, where another try would not help or it has been tried for long enough.
    pub fn after(&mut self, failure: Failure, now: Instant) -> Result<Duration, Failure> {
        let since = *self.failing_since.get_or_insert(now);
        if !failure.passing() || now.duration_since(since) + self.pause > self.patience {
            return Err(failure);
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        Ok(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(code: ErrorCode) -> Failure {
        Failure::Told(Error::new(code, "so"))
    }

    #[test]
    fn only_what_passes_is_tried_again() {
        for code in ErrorCode::ALL {
            let again = Retry::new(Duration::from_secs(30)).after(told(code), Instant::now()).is_ok();
            assert_eq!(again, matches!(code, ErrorCode::NoCapacity | ErrorCode::ExecutorLost), "{code:?}");
        }
    }

    #[test]
    fn pauses_grow_until_patience_ends() {
        let (mut retry, mut now) = (Retry::new(Duration::from_secs(5)), Instant::now());
        let begin = now;
        let mut pauses = Vec::new();
        while let Ok(pause) = retry.after(Failure::Lost("gone".to_owned()), now) {
            pauses.push(pause);
            now += pause;
        }
        assert!(pauses.is_sorted() && pauses.len() > 5, "{pauses:?}");
        let tried = now - begin;
        assert!(tried > Duration::from_secs(4) && tried <= Duration::from_secs(5), "{tried:?}");
        retry.progress();
        assert_eq!(retry.after(told(ErrorCode::NoCapacity), now).unwrap(), FIRST_PAUSE);
        assert!(Retry::new(Duration::ZERO).after(told(ErrorCode::NoCapacity), now).is_err());
    }

    #[test]
    fn a_typed_refusal_is_told_and_a_missing_peer_is_lost() {
        let typed = Status::from(Error::new(ErrorCode::NoCapacity, "full"));
        assert!(matches!(Failure::of(&typed, "h:1"), Failure::Told(error) if error.code() == ErrorCode::NoCapacity));
        let lost = Failure::of(&Status::unavailable("tcp connect error"), "h:1");
        assert_eq!(
            lost.to_string(),
            "UNREACHABLE: no answer from h:1: tcp connect error \
             (hint: is the fleet running? --address names its coordinator)"
        );
        assert!(matches!(Failure::of(&Status::unimplemented("no"), "h:1"), Failure::Told(_)));
    }
}
