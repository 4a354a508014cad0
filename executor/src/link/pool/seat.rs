//! Chooses the interpreter of a pool that takes a call. Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::lane::{LONG_CALL, Pace, Turn};

/// Behind a call that has been running for longer than this no other is sent.
const STUCK: Duration = Duration::from_millis(10);
/// A lane that has no call at an interpreter waits no longer than this for one that is reserved for short calls.
const RESERVE_FOR: Duration = Duration::from_secs(5);

/// A call at an interpreter.
#[derive(Debug, Clone, Copy)]
pub(super) struct SeatedCall {
    pub(super) id: u64,
    pub(super) lane: u32,
    /// Interpreter time that its lane has been charged in advance.
    pub(super) charged: Duration,
    /// Its lane's, when it was sent.
    pub(super) pace: Pace,
}

/// The calls at one interpreter, in the order in which it works on them.
#[derive(Debug)]
pub(super) struct Seat {
    calls: VecDeque<SeatedCall>,
    /// Since when the first of them has been running, or there has been none.
    since: Instant,
}

impl Seat {
    pub(super) fn new(now: Instant) -> Self {
        Self { calls: VecDeque::new(), since: now }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.calls.is_empty()
    }

    /// Calls at it.
    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    /// The call that runs, and for how long.
    pub(super) fn running(&self, now: Instant) -> Option<(SeatedCall, Duration)> {
        self.calls.front().map(|call| (*call, now.saturating_duration_since(self.since)))
    }

    /// True where it has no call, and has had none for so long.
    pub(super) fn is_idle_for(&self, time: Duration, now: Instant) -> bool {
        self.is_idle() && now.saturating_duration_since(self.since) >= time
    }

    /// True where what is sent there may have to wait for long.
    pub(super) fn is_held_for_long(&self, now: Instant) -> bool {
        self.running(now).is_some_and(|(_, time)| time >= LONG_CALL)
            || self.calls.iter().any(|call| call.pace.is_long())
    }

    pub(super) fn begin(&mut self, call: SeatedCall, now: Instant) {
        if self.calls.is_empty() {
            self.since = now;
        }
        self.calls.push_back(call);
    }

    /// A call has ended, or was given up while it waited there. It, and for how long it has had the interpreter.
    pub(super) fn end(&mut self, id: u64, now: Instant) -> Option<(SeatedCall, Duration)> {
        let index = self.calls.iter().position(|call| call.id == id)?;
        let call = self.calls.remove(index)?;
        if index > 0 {
            return Some((call, Duration::ZERO));
        }
        let occupied = now.saturating_duration_since(self.since);
        self.since = now;
        Some((call, occupied))
    }

    /// True where one more call of this pace may lie there.
    pub(super) fn has_room(&self, pace: Pace, now: Instant) -> bool {
        if self.is_idle() {
            return true;
        }
        let depth = self.calls.iter().map(|call| call.pace.depth()).min().unwrap_or(1).min(pace.depth());
        self.calls.len() < depth && self.running(now).is_none_or(|(_, time)| time < STUCK)
    }
}

/// The seat for a call, by its index: of those with room the one whose interpreter keeps the least that matters to the
/// call, and of these the emptiest. The last interpreter that no long call holds is kept for
/// lanes whose calls are short.
pub(super) fn choose<'a>(
    seats: impl Iterator<Item = (usize, &'a Seat)> + Clone,
    kept: impl Fn(usize) -> usize,
    turn: Turn,
    now: Instant,
) -> Option<usize> {
    // Of what a second call of an unmeasured function takes, the first does not tell yet.
    let long = turn.pace.is_long() || (turn.pace.0.is_none() && turn.running > 0);
    let patient = turn.running > 0 || turn.waited < RESERVE_FOR;
    let all = seats.clone().count();
    if long && turn.others_are_short && patient && all > 1 {
        let held = seats.clone().filter(|(_, seat)| seat.is_held_for_long(now)).count();
        if held + 1 >= all {
            return None;
        }
    }
    let with_room = seats.filter(|(_, seat)| seat.has_room(turn.pace, now));
    with_room.min_by_key(|(index, seat)| (kept(*index), seat.len())).map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    const UNKNOWN: Pace = Pace(None);

    fn pace(milliseconds: u32) -> Pace {
        Pace(Some(MS * milliseconds))
    }

    /// A seat with calls of these paces, the first of which has been running for so long.
    fn seat(calls: &[Pace], running: Duration, now: Instant) -> Seat {
        let mut seat = Seat::new(now - running);
        for (id, pace) in calls.iter().enumerate() {
            let call = SeatedCall { id: id as u64, lane: 0, charged: Duration::ZERO, pace: *pace };
            seat.begin(call, now - running);
        }
        seat
    }

    /// A call of a lane that has none at an interpreter, beside lanes whose calls are short.
    fn turn(pace: Pace) -> Turn {
        Turn { pace, running: 0, waited: Duration::ZERO, others_are_short: true }
    }

    fn chosen(seats: &[Seat], turn: Turn, now: Instant) -> Option<usize> {
        choose(seats.iter().enumerate(), |_| 0, turn, now)
    }

    #[test]
    fn short_calls_are_sent_ahead_and_long_ones_never_have_others_behind_them() {
        let now = Instant::now();
        let (quick, slow) = (pace(1), pace(500));
        let with = |calls: &[Pace]| chosen(&[seat(calls, Duration::ZERO, now)], turn(quick), now).is_some();
        assert!(with(&[]) && with(&[quick; 3]) && !with(&[quick; 4]));
        assert!(!with(&[slow]) && !with(&[quick, slow]) && !with(&[UNKNOWN]));
        let behind = |call: Pace| chosen(&[seat(&[quick], Duration::ZERO, now)], turn(call), now).is_some();
        assert!(behind(pace(5)) && !behind(slow) && !behind(UNKNOWN));
        assert_eq!(chosen(&[seat(&[quick], STUCK, now)], turn(quick), now), None, "it was short until now");
    }

    #[test]
    fn the_emptiest_is_taken() {
        let now = Instant::now();
        let seats = [3, 1, 2].map(|calls| seat(&vec![pace(1); calls], Duration::ZERO, now));
        assert_eq!(chosen(&seats, turn(pace(1)), now), Some(1));
    }

    #[test]
    fn what_is_kept_is_spread() {
        let now = Instant::now();
        let seats = [1, 0, 2].map(|calls| seat(&vec![pace(1); calls], Duration::ZERO, now));
        let kept = |index: usize| [1, 1, 0][index];
        assert_eq!(choose(seats.iter().enumerate(), kept, turn(pace(1)), now), Some(2));
    }

    #[test]
    fn the_last_interpreter_is_kept_for_short_calls_of_others() {
        let now = Instant::now();
        let slow = turn(pace(500));
        let seats = [seat(&[pace(500)], MS, now), seat(&[], MS, now)];
        assert_eq!(chosen(&seats, slow, now), None);
        assert_eq!(chosen(&seats, Turn { others_are_short: false, ..slow }, now), Some(1), "nobody else needs it");
        assert_eq!(chosen(&seats, turn(pace(1)), now), Some(1));
        assert_eq!(chosen(&seats[1..], slow, now), Some(0), "of one nothing can be kept");
        let second = Turn { running: 1, ..turn(UNKNOWN) };
        assert_eq!(chosen(&seats, second, now), None, "how long its first call takes is not known yet");
        let starving = Turn { waited: RESERVE_FOR, ..slow };
        assert_eq!(chosen(&seats, starving, now), Some(1));
        assert_eq!(chosen(&seats, Turn { running: 1, ..starving }, now), None);
    }

    #[test]
    fn time_is_counted_from_when_a_call_runs() {
        let now = Instant::now();
        let mut seat = seat(&[pace(1), pace(1), pace(1)], MS * 20, now);
        assert_eq!(seat.end(1, now).unwrap().1, Duration::ZERO, "it was given up before its turn");
        assert_eq!(seat.end(0, now).unwrap().1, MS * 20);
        assert_eq!(seat.running(now + MS).unwrap().1, MS);
        assert_eq!(seat.end(2, now + MS * 2).unwrap().1, MS * 2);
        assert!(seat.end(2, now).is_none() && seat.running(now).is_none());
    }
}
