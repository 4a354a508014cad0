//! The network between coordinators, executors and the store: messages are late, lost, or don't get through for a while.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Mutex;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng as _};

/// A machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    Store,
    Coordinator(usize),
    /// Each process of an executor is one of its own.
    Executor(usize),
}

/// How messages fare.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// The most that a message is usually late.
    pub late_ms: u64,
    /// Of a hundred messages, so many take seconds.
    pub stuck: u32,
    /// Of a hundred requests or answers, so many are lost.
    pub lost: u32,
}

const CALM: Weather = Weather { late_ms: 20, stuck: 0, lost: 0 };

/// See the module. All chance in a run comes from its dice. Whatever happens has dice of its own, so that it does not matter
/// in which order tasks run that wake up at one moment: tokio wakes those who wait for one thing in no order.
pub struct Network {
    seed: u64,
    dice: Mutex<BTreeMap<String, StdRng>>,
    weather: Mutex<Weather>,
    /// From, to.
    cut: Mutex<BTreeSet<(Node, Node)>>,
}

impl Network {
    pub fn new(seed: u64) -> Self {
        Self { seed, dice: Mutex::default(), weather: Mutex::new(CALM), cut: Mutex::default() }
    }

    /// A number below `end`, for something.
    pub fn roll(&self, what: &str, end: u64) -> u64 {
        let mut all = self.dice.lock().unwrap();
        if !all.contains_key(what) {
            let mut hasher = DefaultHasher::new();
            (self.seed, what).hash(&mut hasher);
            all.insert(what.to_owned(), StdRng::seed_from_u64(hasher.finish()));
        }
        all.get_mut(what).unwrap().random_range(0..end)
    }

    /// Something between the two, in milliseconds; never the same twice.
    pub fn between(&self, what: &str, least: u64, most: u64) -> Duration {
        Duration::from_nanos(least * 1_000_000 + self.roll(what, (most - least + 1) * 1_000_000))
    }

    /// True so many times out of a hundred.
    pub fn chance(&self, what: &str, of_hundred: u32) -> bool {
        self.roll(what, 100) < u64::from(of_hundred)
    }

    pub fn set_weather(&self, weather: Weather) {
        *self.weather.lock().unwrap() = weather;
    }

    /// What a message that is sent now takes.
    pub fn delay(&self, what: &str) -> Duration {
        let weather = *self.weather.lock().unwrap();
        if self.chance(what, weather.stuck) {
            self.between(what, 1000, 6000)
        } else {
            self.between(what, 0, weather.late_ms)
        }
    }

    pub fn loses(&self, what: &str) -> bool {
        let lost = self.weather.lock().unwrap().lost;
        self.chance(what, lost)
    }

    pub fn reaches(&self, from: Node, to: Node) -> bool {
        !self.cut.lock().unwrap().contains(&(from, to))
    }

    /// True where both reach each other.
    pub fn linked(&self, one: Node, other: Node) -> bool {
        self.reaches(one, other) && self.reaches(other, one)
    }

    pub fn cut(&self, from: Node, to: Node) {
        self.cut.lock().unwrap().insert((from, to));
    }

    pub fn mend(&self, from: Node, to: Node) {
        self.cut.lock().unwrap().remove(&(from, to));
    }

    /// From now on everything gets through, and soon.
    pub fn calm(&self) {
        self.set_weather(CALM);
        self.cut.lock().unwrap().clear();
    }
}
