//! Which failures are retried, and for how long.

use std::error::Error as _;
use std::fmt;
use std::time::{Duration, Instant};

use tonic::{Code, Status};
use udfleet_edge::channel::{is_unreached, reason, refused_by_tls};
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Why a call did not work.
#[derive(Debug)]
pub enum Failure {
    /// What the fleet says.
    Told(Error),
    /// There was no connection: nothing was sent.
    Unreached(String),
    /// The connection is gone: what was sent may have run.
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
        if !typed && let Some(error) = refused_by_tls(status, address) {
            return Self::Told(error);
        }
        match status.code() {
            Code::Unavailable if !typed => Self::lost(address, status),
            _ if made_here && !typed => Self::lost(address, status),
            _ => Self::Told(status.into()),
        }
    }

    fn lost(address: &str, status: &Status) -> Self {
        let text = format!("no answer from {address}: {}", reason(status));
        if is_unreached(status) { Self::Unreached(text) } else { Self::Lost(text) }
    }

    /// True where batches that were sent may have run.
    pub fn may_have_run(&self) -> bool {
        match self {
            Self::Told(error) => !error.has_no_side_effects(),
            Self::Unreached(_) => false,
            Self::Lost(_) => true,
        }
    }

    /// True where the same call may work a little later: nothing is wrong with it.
    fn passing(&self) -> bool {
        match self {
            Self::Unreached(_) | Self::Lost(_) => true,
            // The fleet has tried crashes again itself, as often as the function allows.
            Self::Told(error) => matches!(error.code(), ErrorCode::NoCapacity | ErrorCode::ExecutorLost),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Told(error) => error.fmt(f),
            Self::Unreached(text) | Self::Lost(text) => {
                write!(f, "UNREACHABLE: {text} (hint: is the fleet running? --address names its coordinator)")
            }
        }
    }
}

/// How often the batches of a chunk may run that have side effects; those of other functions as often as one likes.
#[derive(Debug, Clone, Copy)]
pub struct Attempts {
    most: Option<u32>,
    /// The number of the next one.
    next: u32,
}

impl Attempts {
    /// `most`: of a function that may have side effects.
    pub fn new(most: Option<u32>) -> Self {
        Self { most, next: 1 }
    }

    /// The number of the next attempt; 1 where attempts are not counted.
    pub fn number(self) -> u32 {
        self.next
    }

    /// Counts an attempt that has failed; batches of it may have run.
    ///
    /// # Errors
    /// [`ErrorCode::ExecutorLost`] where they must not run once more.
    pub fn failed(&mut self, failure: &Failure) -> Result<(), Error> {
        let Some(most) = self.most else { return Ok(()) };
        self.next += 1;
        if self.next <= most {
            return Ok(());
        }
        let message = match most {
            1 => format!("{failure}; rows without an answer may have run, and the function is to run once"),
            most => format!("{failure}; rows without an answer may have run {most} times"),
        };
        Err(Error::new(ErrorCode::ExecutorLost, message).hint(
            "what is not deterministic runs again only where udfleet.retry.max-attempts says so, and as often as it says",
        ))
    }
}

/// The tries of one chunk.
#[derive(Debug)]
pub struct Retry {
    patience: Duration,
    /// How many coordinators there are besides the one that is asked first.
    others: usize,
    /// How many of them have not been asked in this round.
    untried: usize,
    failing_since: Option<Instant>,
    pause: Duration,
}

impl Retry {
    /// Gives up when nothing has worked for this long, and each of so many coordinators has been asked.
    pub fn new(patience: Duration, coordinators: usize) -> Self {
        let others = coordinators.saturating_sub(1);
        Self { patience, others, untried: others, failing_since: None, pause: FIRST_PAUSE }
    }

    /// Something has worked.
    pub fn progress(&mut self) {
        *self = Self::new(self.patience, self.others + 1);
    }

    /// How long to wait before the next try, which another coordinator gets: not at all until all have had theirs.
    ///
    /// # Errors
    /// The failure, where another try would not help or it has been tried for long enough.
    pub fn after(&mut self, failure: Failure, now: Instant) -> Result<Duration, Failure> {
        let since = *self.failing_since.get_or_insert(now);
        if failure.passing() && self.untried > 0 {
            self.untried -= 1;
            return Ok(Duration::ZERO);
        }
        if !failure.passing() || now.duration_since(since) + self.pause > self.patience {
            return Err(failure);
        }
        self.untried = self.others;
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
            let again = Retry::new(Duration::from_secs(30), 2).after(told(code), Instant::now()).is_ok();
            assert_eq!(again, matches!(code, ErrorCode::NoCapacity | ErrorCode::ExecutorLost), "{code:?}");
        }
    }

    #[test]
    fn pauses_grow_until_patience_ends() {
        let (mut retry, mut now) = (Retry::new(Duration::from_secs(5), 1), Instant::now());
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
        assert!(Retry::new(Duration::ZERO, 1).after(told(ErrorCode::NoCapacity), now).is_err());
    }

    #[test]
    fn each_coordinator_is_asked_before_there_is_a_pause() {
        let (mut retry, now) = (Retry::new(Duration::from_secs(5), 3), Instant::now());
        let pauses: Vec<_> = (0..6).map(|_| retry.after(Failure::Lost("gone".to_owned()), now).unwrap()).collect();
        let none = Duration::ZERO;
        assert_eq!(pauses, [none, none, FIRST_PAUSE, none, none, FIRST_PAUSE * 2]);
        let mut at_once = Retry::new(Duration::ZERO, 2);
        assert_eq!(at_once.after(told(ErrorCode::NoCapacity), now).unwrap(), none);
        assert!(at_once.after(told(ErrorCode::NoCapacity), now).is_err());
    }

    #[test]
    fn what_has_side_effects_runs_as_often_as_it_may() {
        let lost = || Failure::Lost("gone".to_owned());
        let mut any = Attempts::new(None);
        assert!((0..100).all(|_| any.failed(&lost()).is_ok()) && any.number() == 1);
        assert_eq!(Attempts::new(Some(1)).failed(&lost()).unwrap_err().code(), ErrorCode::ExecutorLost);
        let mut three = Attempts::new(Some(3));
        assert!(three.failed(&lost()).is_ok() && three.failed(&lost()).is_ok() && three.number() == 3);
        assert!(three.failed(&lost()).is_err());
        assert!(lost().may_have_run() && !Failure::Unreached("none".to_owned()).may_have_run());
        assert!(told(ErrorCode::ExecutorLost).may_have_run());
        let refused = Error::new(ErrorCode::NoCapacity, "full").with(|info| info.has_no_side_effects = true);
        assert!(!Failure::Told(refused).may_have_run());
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
