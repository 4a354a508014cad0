//! How many interpreters an environment runs: more when calls wait, fewer when they are idle. Pure: the time is an
//! argument.

use std::time::{Duration, Instant};

use crate::link::PoolLoad;

/// How often demand is looked at.
pub(super) const PERIOD: Duration = Duration::from_millis(100);
/// Calls that have waited for so long at two looks in a row are too many for the interpreters that there are.
const QUEUE_AGE: Duration = Duration::from_millis(250);
/// Looks at which calls must have waited for too long.
const LOOKS: u32 = 2;
/// Where long calls hold every interpreter, others need not have waited for longer than this.
const BLOCKED_AGE: Duration = Duration::from_millis(50);
/// The share of its time that an interpreter should be busy.
const UTILISATION: f64 = 0.8;

/// How an executor's environments grow and shrink.
#[derive(Debug, Clone, Copy)]
pub struct ScalingRule {
    /// The most interpreters of an environment that does not name a number.
    pub most_per_environment: u32,
    /// Of the machine.
    pub cores: u32,
    /// How long fewer interpreters must have been enough until one is stopped.
    pub idle: Duration,
}

/// Between what an environment's number may lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) least: u32,
    pub(super) most: u32,
    /// Where more are of no use to calls that compute all the time.
    pub(super) cores: u32,
}

/// What one look has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct LoadSample {
    /// Interpreters in service.
    pub(super) interpreters: u32,
    /// Of these, how many have a call.
    pub(super) busy: u32,
    /// Long calls hold all of them, and calls of other functions wait.
    pub(super) blocked: bool,
    /// Calls compute rather than wait for something else: beyond the machine's cores they would only share these.
    pub(super) computing: bool,
    /// Calls that wait.
    pub(super) waiting: u32,
    /// Since the oldest of these arrived.
    pub(super) oldest: Duration,
    /// Another environment waits for devices such as these interpreters hold.
    pub(super) claimed: bool,
}

impl LoadSample {
    pub(super) fn of(load: &PoolLoad) -> Self {
        Self {
            interpreters: load.interpreters as u32,
            busy: (load.interpreters - load.idle) as u32,
            blocked: load.blocks_others(),
            computing: load.computing_percent >= 50,
            waiting: load.queues.iter().map(|queue| queue.calls as u32).sum(),
            oldest: load.oldest().unwrap_or_default(),
            claimed: false,
        }
    }
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScalingStep {
    Keep,
    /// To this many.
    Grow(u32),
    /// To one fewer, once that one is idle.
    Shrink,
}

/// Decides for one environment.
#[derive(Debug)]
pub(super) struct Scaler {
    /// Interpreters that there should be.
    target: u32,
    /// Looks in a row at which calls have waited for too long.
    late: u32,
    /// Busy interpreters, averaged over the last seconds.
    busy: f64,
    /// Since when fewer have been enough.
    enough_since: Option<Instant>,
}

impl Scaler {
    pub(super) fn new(target: u32) -> Self {
        Self { target, late: 0, busy: 0.0, enough_since: None }
    }

    pub(super) fn target(&self) -> u32 {
        self.target
    }

    /// The bounds have changed.
    pub(super) fn bound(&mut self, bounds: Bounds) {
        self.target = self.target.clamp(bounds.least, bounds.most.max(bounds.least));
    }

    /// The interpreters that the demand of now needs, however many there may be.
    fn wanted(&self, sample: &LoadSample) -> u32 {
        let needed = (self.busy.max(f64::from(sample.busy)) / UTILISATION).ceil() as u32;
        let blocked = sample.blocked && sample.waiting > 0;
        // Whoever waits where long calls hold all others needs one that they do not.
        needed.max(u32::from(blocked) * (sample.interpreters + 1))
    }

    /// One look. `room`: how many more the machine can bear.
    pub(super) fn look(
        &mut self,
        sample: &LoadSample,
        bounds: Bounds,
        room: u32,
        idle: Duration,
        now: Instant,
    ) -> ScalingStep {
        self.bound(bounds);
        self.busy += (f64::from(sample.busy) - self.busy) / 10.0;
        if sample.claimed {
            // What it has beyond its least was nobody else's need when it took it: now it is, whatever waits here.
            (self.late, self.enough_since) = (0, None);
            return if self.target > bounds.least { ScalingStep::Shrink } else { ScalingStep::Keep };
        }
        let blocked = sample.blocked && sample.waiting > 0 && sample.oldest >= BLOCKED_AGE;
        self.late = if sample.waiting > 0 && sample.oldest >= QUEUE_AGE { self.late + 1 } else { 0 };
        if blocked || self.late >= LOOKS {
            self.enough_since = None;
            return self.grow(sample, bounds, room);
        }
        let fewer = sample.waiting == 0 && self.wanted(sample) < self.target && self.target > bounds.least;
        if !fewer {
            self.enough_since = None;
            return ScalingStep::Keep;
        }
        let since = *self.enough_since.get_or_insert(now);
        if now.saturating_duration_since(since) >= idle { ScalingStep::Shrink } else { ScalingStep::Keep }
    }

    /// At once, to at most double; not before those that are being started are there.
    fn grow(&mut self, sample: &LoadSample, bounds: Bounds, room: u32) -> ScalingStep {
        if sample.interpreters < self.target {
            return ScalingStep::Keep;
        }
        // A call behind long ones of others is better off sharing a core.
        let useful = if sample.computing && !sample.blocked { bounds.cores } else { bounds.most };
        let most = bounds.most.min(useful).min(self.target.saturating_add(room)).min(self.target * 2);
        let target = self.wanted(sample).max(self.target + 1).min(most);
        if target <= self.target {
            return ScalingStep::Keep;
        }
        self.late = 0;
        self.target = target;
        ScalingStep::Grow(target)
    }

    /// One has been stopped.
    pub(super) fn shrunk(&mut self) {
        self.target = self.target.saturating_sub(1);
        self.enough_since = None;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const IDLE: Duration = Duration::from_secs(60);
    const BOUNDS: Bounds = Bounds { least: 1, most: 8, cores: 2 };

    /// All interpreters have calls, and others wait.
    fn queued(interpreters: u32, waiting: u32, oldest: Duration) -> LoadSample {
        LoadSample { interpreters, busy: interpreters, waiting, oldest, ..LoadSample::default() }
    }

    fn free(interpreters: u32) -> LoadSample {
        LoadSample { interpreters, ..LoadSample::default() }
    }

    #[test]
    fn what_others_wait_for_is_given_back_under_load_too() {
        let (mut scaler, now) = (Scaler::new(3), Instant::now());
        let claimed = LoadSample { claimed: true, ..queued(3, 9, QUEUE_AGE * 9) };
        for target in [2, 1] {
            assert_eq!(scaler.look(&claimed, BOUNDS, 64, IDLE, now), ScalingStep::Shrink);
            scaler.shrunk();
            assert_eq!(scaler.target(), target);
        }
        for _ in 0..10 {
            assert_eq!(scaler.look(&claimed, BOUNDS, 64, IDLE, now), ScalingStep::Keep, "its least it keeps");
        }
    }

    #[test]
    fn grows_when_calls_wait_and_shrinks_one_by_one_when_idle() {
        let (mut scaler, mut now) = (Scaler::new(1), Instant::now());
        let mut look = |scaler: &mut Scaler, sample: LoadSample| {
            now += PERIOD;
            scaler.look(&sample, BOUNDS, 64, IDLE, now)
        };
        assert_eq!(look(&mut scaler, queued(1, 5, QUEUE_AGE / 2)), ScalingStep::Keep, "they do not wait for long");
        assert_eq!(look(&mut scaler, queued(1, 5, QUEUE_AGE)), ScalingStep::Keep, "once may be chance");
        assert_eq!(look(&mut scaler, queued(1, 5, QUEUE_AGE)), ScalingStep::Grow(2));
        assert_eq!(look(&mut scaler, queued(1, 5, QUEUE_AGE * 2)), ScalingStep::Keep, "it is being started");
        let blocked = LoadSample { blocked: true, ..queued(2, 1, BLOCKED_AGE) };
        assert_eq!(look(&mut scaler, blocked), ScalingStep::Grow(3), "long calls hold all");
        let mut stopped = Vec::new();
        for tick in 0..2000 {
            let target = scaler.target();
            if look(&mut scaler, free(target)) == ScalingStep::Shrink {
                scaler.shrunk();
                stopped.push(tick);
            }
        }
        assert_eq!((scaler.target(), stopped.len()), (1, 2));
        assert!(stopped[1] - stopped[0] >= 600, "one in each window: {stopped:?}");
    }

    #[test]
    fn bounds_and_room_hold() {
        let now = Instant::now();
        let grow = |target, bounds, room| {
            let mut scaler = Scaler::new(target);
            let blocked = LoadSample { blocked: true, ..queued(target, 9, QUEUE_AGE) };
            scaler.look(&blocked, bounds, room, IDLE, now)
        };
        assert_eq!(grow(8, BOUNDS, 64), ScalingStep::Keep);
        assert_eq!(grow(2, BOUNDS, 0), ScalingStep::Keep, "the machine bears no more");
        assert_eq!(grow(2, Bounds { least: 2, most: 2, cores: 2 }, 64), ScalingStep::Keep, "a fixed number");
        let mut scaler = Scaler::new(5);
        scaler.bound(Bounds { most: 3, ..BOUNDS });
        assert_eq!(scaler.target(), 3);
        scaler.bound(Bounds { least: 6, most: 3, cores: 2 });
        assert_eq!(scaler.target(), 6, "what is assigned is run");
    }

    #[test]
    fn calls_that_compute_get_no_more_interpreters_than_cores_unless_others_wait_behind_them() {
        let now = Instant::now();
        let look = |target, sample: LoadSample| {
            let mut scaler = Scaler::new(target);
            let looks = [0, 1].map(|_| scaler.look(&sample, BOUNDS, 64, IDLE, now));
            looks.contains(&ScalingStep::Grow(target + 1))
        };
        let computing = |interpreters| LoadSample { computing: true, ..queued(interpreters, 9, QUEUE_AGE) };
        assert!(look(1, computing(1)) && !look(2, computing(2)));
        assert!(look(2, LoadSample { blocked: true, ..computing(2) }));
    }

    fn samples() -> impl Strategy<Value = Vec<(u32, u32, bool, u64)>> {
        prop::collection::vec((0u32..10, 0u32..20, any::<bool>(), 0u64..1000), 1..300)
    }

    proptest! {
        #[test]
        fn never_leaves_its_bounds_and_turns_at_most_once_in_a_window(looks in samples(), room in 0u32..10) {
            let (mut scaler, start) = (Scaler::new(1), Instant::now());
            let mut now = start;
            let mut last_growth = None;
            for (busy, waiting, blocked, oldest) in looks {
                now += PERIOD;
                let interpreters = scaler.target();
                let oldest = Duration::from_millis(oldest);
                let sample = LoadSample { busy: busy.min(interpreters), blocked, ..queued(interpreters, waiting, oldest) };
                let before = scaler.target();
                match scaler.look(&sample, BOUNDS, room, Duration::from_secs(5), now) {
                    ScalingStep::Keep => prop_assert_eq!(scaler.target(), before),
                    ScalingStep::Grow(target) => {
                        prop_assert!(target > before && target <= before * 2 && target <= BOUNDS.most);
                        prop_assert!(target - before <= room && target == scaler.target());
                        last_growth = Some(now);
                    }
                    ScalingStep::Shrink => {
                        let quiet = last_growth.is_none_or(|at| now - at >= Duration::from_secs(5));
                        prop_assert!(before > BOUNDS.least && waiting == 0 && quiet);
                        scaler.shrunk();
                    }
                }
            }
        }

        #[test]
        fn more_demand_never_wants_fewer(busy in 0u32..10, more in 0u32..10, waiting in 0u32..20, blocked: bool) {
            let scaler = Scaler::new(1);
            let sample = |busy| LoadSample { busy, blocked, ..queued(20, waiting, QUEUE_AGE) };
            prop_assert!(scaler.wanted(&sample(busy + more)) >= scaler.wanted(&sample(busy)));
            prop_assert!(scaler.wanted(&sample(busy)) >= busy);
        }
    }
}
