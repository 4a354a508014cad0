//! What people watch a fleet by: history, events, and what waits. Once a second it looks at the snapshot of that moment;
//! everybody who watches reads what it found.

pub mod activity;
mod kept;
pub mod ring;
pub mod sampler;
pub mod waiting;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::membership::MembershipHandle;
use crate::snapshot::Snapshot;
use activity::{Activity, ActivityLog, Change, Severity, SubjectKind};
use ring::Track;
use sampler::{EXECUTOR, FLEET, FUNCTION, FleetSample, Sampler};
use waiting::{Waiting, WaitingFunctions};

/// How often it looks.
const PERIOD: Duration = Duration::from_secs(1);
/// Functions with a history; those that have been silent longest give way.
const MOST_FUNCTIONS: usize = 500;
/// Executors with a history.
const MOST_EXECUTORS: usize = 1000;
/// Rates that are shown as of now are means of so many seconds.
pub const NOW_SECONDS: usize = 5;
/// A function that fails is told of again after it has not failed for so long, seconds.
const QUIET: u64 = 60;
/// The history of what is gone is kept for so long, seconds: after a restart executors take a while to attach.
const RETURNS: u64 = 600;
/// The history is written to disk once in so many looks.
const SAVE_EVERY: u64 = 60;

/// One moment's look at the fleet.
#[derive(Debug, Clone, Default)]
pub struct Moment {
    /// Counts seconds, over restarts of the coordinator too.
    pub tick: u64,
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// The fleet then.
    pub snapshot: Arc<Snapshot>,
    /// What waits, what matters most first; at most [`waiting::MOST`].
    pub waiting: Arc<Vec<Waiting>>,
    /// How many things wait, with those that are left out.
    pub waiting_count: usize,
}

/// See the module.
#[derive(Default)]
pub struct Monitor {
    seen: Arc<Mutex<Seen>>,
    /// Held by who writes the file: what was copied later is written later.
    writing: Arc<Mutex<()>>,
    moments: watch::Sender<Moment>,
}

struct Seen {
    sampler: Sampler,
    functions: HashMap<Arc<str>, KeptTrack>,
    executors: HashMap<Arc<str>, KeptTrack>,
    fleet: Track,
    log: ActivityLog,
    waiting: WaitingFunctions,
    /// Since when each thing waits, by subject and reason.
    since: HashMap<(String, String), u64>,
    /// The fleet has been looked at.
    begun: bool,
}

/// The history of a function or an executor. Times are ticks.
struct KeptTrack {
    track: Track,
    /// When it was last called.
    active: u64,
    /// When it last failed.
    failed: Option<u64>,
    /// When it was last there.
    present: u64,
}

impl KeptTrack {
    fn new(track: Track, tick: u64) -> Self {
        Self { track, active: tick, failed: None, present: tick }
    }

    /// False once it has been gone for long.
    fn stays(&mut self, present: bool, tick: u64) -> bool {
        if present {
            self.present = tick;
        }
        tick.saturating_sub(self.present) < RETURNS
    }
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            sampler: Sampler::default(),
            functions: HashMap::new(),
            executors: HashMap::new(),
            fleet: Track::new(FLEET),
            log: ActivityLog::default(),
            waiting: WaitingFunctions::default(),
            since: HashMap::new(),
            begun: false,
        }
    }
}

/// Milliseconds since 1970.
#[must_use]
pub fn unix_ms(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl Monitor {
    /// With the history that an earlier run has kept in `file`. One that can't be read is put aside.
    #[must_use]
    pub fn restored(file: &Path, time: SystemTime) -> Self {
        let monitor = Self::default();
        let unix_ms = unix_ms(time);
        match kept::read(file) {
            Ok(Some(history)) => {
                let tick = history.tick_at(unix_ms);
                *monitor.seen.lock() = history.into_seen(tick);
                monitor.moments.send_replace(Moment { tick, unix_ms, ..Moment::default() });
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "the dashboard's history can't be read: it begins anew");
                match kept::put_aside(file) {
                    Ok(aside) => tracing::warn!(aside = %aside.display(), "the file that can't be read is kept there"),
                    Err(error) => tracing::warn!(%error, "the file that can't be read will be overwritten"),
                }
            }
        }
        monitor
    }

    /// Keeps the history in `file` for a later run.
    ///
    /// # Errors
    /// When it can't be written; what was there before stays.
    pub async fn save(&self, file: &Path) -> std::io::Result<()> {
        let (seen, writing, moments) = (Arc::clone(&self.seen), Arc::clone(&self.writing), self.moments());
        let file = file.to_owned();
        // Goes on where nobody waits for it any more, when the coordinator stops.
        let save = move || {
            let _one = writing.lock();
            let (tick, unix_ms) = {
                let moment = moments.borrow();
                (moment.tick, moment.unix_ms)
            };
            let room = kept::samples(&seen.lock());
            let copy = kept::copied(&seen.lock(), tick, unix_ms, Vec::with_capacity(room));
            copy.write(&file)
        };
        tokio::task::spawn_blocking(save).await?
    }

    /// Watches until it is dropped, and keeps what it sees in `file`. `coordinator`: whose start is the first event.
    pub async fn run(&self, fleet: MembershipHandle, coordinator: String, file: &Path) {
        let started = Change::new(
            Severity::Info,
            "coordinator_started",
            SubjectKind::Coordinator,
            coordinator.as_str(),
            "the coordinator started",
        );
        self.seen.lock().log.extend(unix_ms(SystemTime::now()), vec![started]);
        let mut turns = tokio::time::interval(PERIOD);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = turns.tick().await;
        self.look(fleet.snapshot(), 1.0, SystemTime::now());
        let mut looks = 0;
        loop {
            turns.tick().await;
            let now = Instant::now();
            self.look(fleet.snapshot(), (now - last).as_secs_f64(), SystemTime::now());
            last = now;
            looks += 1;
            if looks % SAVE_EVERY == 0 {
                self.saved(file).await;
            }
        }
    }

    /// [`Monitor::save`], where the log is told of what goes wrong.
    pub async fn saved(&self, file: &Path) {
        if let Err(error) = self.save(file).await {
            tracing::warn!(file = %file.display(), %error, "the dashboard's history can't be kept for a restart");
        }
    }

    /// Looks at the fleet, `seconds` after it did before.
    fn look(&self, snapshot: Arc<Snapshot>, seconds: f64, time: SystemTime) {
        let (before, unix_ms) = (self.moment(), unix_ms(time));
        {
            let mut seen = self.seen.lock();
            seen.waiting.follow(&before.snapshot, &snapshot);
            let mut waiting = seen.waiting.all(&snapshot);
            let sample = seen.sampler.sample(&snapshot, seconds);
            // Seconds in which nobody looked have no samples.
            let missed = (seconds.round() as u64).saturating_sub(1);
            let tick = before.tick + missed + 1;
            let mut changes = match std::mem::replace(&mut seen.begun, true) {
                false => Vec::new(),
                true => activity::changes(&before.snapshot, &snapshot),
            };
            seen.skip(before.tick, before.tick + missed);
            changes.extend(seen.keep(tick, &sample, &snapshot));
            seen.log.extend(unix_ms, changes);
            let waiting_count = waiting.len();
            seen.date(&mut waiting, unix_ms);
            drop(seen);
            let waiting = Arc::new(waiting);
            self.moments.send_replace(Moment { tick, unix_ms, snapshot, waiting, waiting_count });
        }
    }

    /// The newest look.
    #[must_use]
    pub fn moment(&self) -> Moment {
        self.moments.borrow().clone()
    }

    /// Each look as it comes; who is slow sees the newest.
    #[must_use]
    pub fn moments(&self) -> watch::Receiver<Moment> {
        self.moments.subscribe()
    }

    /// Reads the history of a function (`add@3`), where it has any.
    pub fn function<T>(&self, name: &str, read: impl FnOnce(&Track) -> T) -> Option<T> {
        self.seen.lock().functions.get(name).map(|held| read(&held.track))
    }

    /// Reads the history of an executor, where it has any.
    pub fn executor<T>(&self, id: &str, read: impl FnOnce(&Track) -> T) -> Option<T> {
        self.seen.lock().executors.get(id).map(|held| read(&held.track))
    }

    /// Reads the history of the fleet.
    pub fn fleet<T>(&self, read: impl FnOnce(&Track) -> T) -> T {
        read(&self.seen.lock().fleet)
    }

    /// The newest events that are older than number `before`, the newest first.
    pub fn activity(&self, before: Option<u64>, limit: usize, wanted: impl Fn(&Activity) -> bool) -> Vec<Activity> {
        self.seen.lock().log.newest(before, limit, wanted)
    }
}

impl Seen {
    /// Seconds after `from`, up to and with `to`, in which nobody looked.
    fn skip(&mut self, from: u64, to: u64) {
        let kept = self.functions.values_mut().chain(self.executors.values_mut());
        for track in kept.map(|held| &mut held.track).chain([&mut self.fleet]) {
            track.skip(from, to);
        }
    }

    /// Adds a sample to each history; tells of functions that begin to fail.
    fn keep(&mut self, tick: u64, sample: &FleetSample, snapshot: &Snapshot) -> Vec<Change> {
        let mut changes = Vec::new();
        self.fleet.push(tick, &sample.fleet);
        self.functions.retain(|name, held| held.stays(snapshot.functions.contains_key(name), tick));
        let sampled: HashSet<&Arc<str>> = sample.functions.iter().map(|(name, _)| name).collect();
        for (name, held) in self.functions.iter_mut().filter(|(name, _)| !sampled.contains(name)) {
            match snapshot.numbers.contains_key(name) {
                true => held.track.push(tick, &sampler::quiet(0)),
                false => held.track.skip(tick - 1, tick),
            }
        }
        for (name, values) in &sample.functions {
            let active = values[sampler::CALLS] > 0.0 || values[sampler::IN_FLIGHT] > 0.0;
            if active && !self.functions.contains_key(name) {
                self.make_room();
                self.functions.insert(Arc::clone(name), KeptTrack::new(Track::new(FUNCTION), tick));
            }
            let Some(held) = self.functions.get_mut(name) else { continue };
            held.track.push(tick, values);
            held.active = if active { tick } else { held.active };
            if values[sampler::ERRORS] > 0.0 {
                if held.failed.is_none_or(|last| tick - last > QUIET) {
                    let text = format!("calls of {name} began to fail");
                    changes.push(Change::new(Severity::Error, "calls_fail", SubjectKind::Function, &**name, text));
                }
                held.failed = Some(tick);
            }
        }
        self.executors.retain(|id, held| held.stays(snapshot.executors.contains_key(id), tick));
        let known: HashMap<&Arc<str>, &Vec<f32>> = sample.executors.iter().map(|(id, values)| (id, values)).collect();
        for (id, held) in &mut self.executors {
            match known.get(id) {
                Some(values) => held.track.push(tick, values),
                None => held.track.skip(tick - 1, tick),
            }
        }
        for (id, values) in &sample.executors {
            if !self.executors.contains_key(id) && self.executors.len() < MOST_EXECUTORS {
                let mut track = Track::new(EXECUTOR);
                track.push(tick, values);
                self.executors.insert(Arc::clone(id), KeptTrack::new(track, tick));
            }
        }
        changes
    }

    fn make_room(&mut self) {
        if self.functions.len() < MOST_FUNCTIONS {
            return;
        }
        let silent = self.functions.iter().min_by_key(|(_, held)| held.active).map(|(name, _)| Arc::clone(name));
        if let Some(silent) = silent {
            self.functions.remove(&silent);
        }
    }

    /// Says since when each thing waits.
    fn date(&mut self, waiting: &mut Vec<Waiting>, unix_ms: u64) {
        waiting.truncate(waiting::MOST);
        let mut since = HashMap::new();
        for one in waiting {
            let key = (one.subject.clone(), one.reason.clone());
            one.since_unix_ms = self.since.get(&key).copied().unwrap_or(unix_ms);
            since.insert(key, one.since_unix_ms);
        }
        self.since = since;
    }
}

#[cfg(test)]
mod tests {
    use super::ring::Window;
    use super::*;
    use crate::snapshot::testing::{attach, counted, counted_all};
    use udfleet_proto::v1::FunctionMetrics;

    fn look(monitor: &Monitor, snapshot: &Snapshot, seconds: f64) {
        let time = UNIX_EPOCH + Duration::from_millis(1000 * (monitor.moment().tick + 1));
        monitor.look(Arc::new(snapshot.clone()), seconds, time);
    }

    fn metrics(calls: u64, errors: u64) -> FunctionMetrics {
        FunctionMetrics { function: "f@1".to_owned(), calls, errors, ..Default::default() }
    }

    #[test]
    fn history_and_events_are_kept_and_gaps_show() {
        let (monitor, mut fleet) = (Monitor::default(), counted("f"));
        attach(&mut fleet, "e");
        look(&monitor, fleet.now(), 1.0);
        fleet.count(&Arc::from("e"), "i", vec![metrics(10, 3)], &[]);
        look(&monitor, fleet.now(), 1.0);
        assert_eq!(monitor.activity(None, 10, |_| true).iter().map(|e| &*e.event).collect::<Vec<_>>(), ["calls_fail"]);
        let calls = |monitor: &Monitor| monitor.function("f@1", |track| track.values(Window::Minutes5, sampler::CALLS));
        assert_eq!(calls(&monitor), Some(vec![10.0]));
        fleet.count(&Arc::from("e"), "i", vec![metrics(14, 4)], &[]);
        look(&monitor, fleet.now(), 2.0);
        let values = calls(&monitor).unwrap();
        assert!(values[1].is_nan() && (values[0], values[2]) == (10.0, 2.0), "{values:?}");
        assert_eq!(monitor.moment().tick, 4);
        assert_eq!(monitor.activity(None, 10, |_| true).len(), 1, "it fails still");
        assert_eq!(monitor.executor("e", |track| track.recent(1, sampler::CALLS)), Some(2.0));
        assert_eq!(monitor.fleet(|track| track.recent(1, sampler::CALLS)), 2.0);
        let since = monitor.moment().waiting[0].since_unix_ms;
        assert_eq!((monitor.moment().waiting[0].reason.as_str(), since), ("NOT_PLACED", 1000));
    }

    #[test]
    fn what_is_left_out_of_what_waits_is_counted() {
        let fleet = counted_all((0..waiting::MOST + 20).map(|n| format!("f{n}")));
        let monitor = Monitor::default();
        look(&monitor, fleet.now(), 1.0);
        let moment = monitor.moment();
        assert_eq!(
            (moment.waiting.len(), moment.waiting_count),
            (waiting::MOST, waiting::MOST + 21),
            "and no executor"
        );
    }
}
