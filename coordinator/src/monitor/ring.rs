//! History of one thing: a sample of every second, and means over longer times, in rings of fixed size.

use std::collections::VecDeque;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far back, and how finely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Window {
    /// Five minutes by the second.
    #[serde(rename = "5m")]
    Minutes5,
    /// An hour by ten seconds.
    #[serde(rename = "1h")]
    Hour,
    /// A day by the minute.
    #[serde(rename = "24h")]
    Day,
}

impl Window {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Minutes5, Self::Hour, Self::Day];

    /// Seconds of one sample.
    #[must_use]
    pub fn step(self) -> u32 {
        match self {
            Self::Minutes5 => 1,
            Self::Hour => 10,
            Self::Day => 60,
        }
    }

    /// The most samples.
    #[must_use]
    pub fn samples(self) -> usize {
        match self {
            Self::Minutes5 => 300,
            Self::Hour => 360,
            Self::Day => 1440,
        }
    }
}

/// How samples of seconds become one of a longer time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    /// Of rates and levels.
    Mean,
    /// Of quantiles: the worst second shows.
    Max,
}

/// One number of a sample. Where it is not known, it is NaN.
#[derive(Debug)]
pub struct Field {
    /// In the JSON API.
    pub name: &'static str,
    /// Over longer times.
    pub fold: Fold,
}

/// See the module.
#[derive(Debug)]
pub struct Track {
    fields: &'static [Field],
    rings: [Ring; Window::ALL.len()],
}

#[derive(Debug)]
struct Ring {
    window: Window,
    /// Samples one after another, the oldest first.
    values: VecDeque<f32>,
    /// Of the sample that is not whole yet: values, and how many are in each.
    partial: Vec<(f32, u32)>,
}

impl Track {
    /// Without any sample; grows as they come.
    #[must_use]
    pub fn new(fields: &'static [Field]) -> Self {
        let ring = |window| Ring { window, values: VecDeque::new(), partial: vec![(0.0, 0); fields.len()] };
        Self { fields, rings: Window::ALL.map(ring) }
    }

    /// Adds the sample of the second `tick`. Ticks count up one by one; all tracks have the same.
    pub fn push(&mut self, tick: u64, sample: &[f32]) {
        for ring in &mut self.rings {
            ring.push(self.fields, tick, sample);
        }
    }

    /// The samples of a field, the oldest first.
    #[must_use]
    pub fn values(&self, window: Window, field: usize) -> Vec<f32> {
        let ring = self.ring(window);
        ring.values.iter().skip(field).step_by(self.fields.len()).copied().collect()
    }

    /// The mean of a field over the newest seconds, of those that are known; 0 where none is.
    #[must_use]
    pub fn recent(&self, seconds: usize, field: usize) -> f32 {
        let values = self.ring(Window::Minutes5).values.iter().rev().skip(self.fields.len() - 1 - field);
        let known = values.step_by(self.fields.len()).take(seconds).filter(|value| !value.is_nan());
        let (sum, count) = known.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
        if count == 0 { 0.0 } else { sum / count as f32 }
    }

    /// What is kept.
    #[must_use]
    pub fn fields(&self) -> &'static [Field] {
        self.fields
    }

    fn ring(&self, window: Window) -> &Ring {
        match window {
            Window::Minutes5 => &self.rings[0],
            Window::Hour => &self.rings[1],
            Window::Day => &self.rings[2],
        }
    }
}

impl Ring {
    fn push(&mut self, fields: &[Field], tick: u64, sample: &[f32]) {
        for ((field, partial), value) in fields.iter().zip(&mut self.partial).zip(sample) {
            if value.is_nan() {
                continue;
            }
            let (sum, count) = *partial;
            let sum = match field.fold {
                Fold::Mean => sum + value,
                Fold::Max => sum.max(*value),
            };
            *partial = (sum, count + 1);
        }
        if !tick.is_multiple_of(u64::from(self.window.step())) {
            return;
        }
        if self.values.len() == self.window.samples() * fields.len() {
            self.values.drain(..fields.len());
        }
        for (field, partial) in fields.iter().zip(&mut self.partial) {
            let (sum, count) = std::mem::take(partial);
            self.values.push_back(match field.fold {
                _ if count == 0 => f32::NAN,
                Fold::Mean => sum / count as f32,
                Fold::Max => sum,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &[Field] = &[Field { name: "mean", fold: Fold::Mean }, Field { name: "max", fold: Fold::Max }];

    #[test]
    fn seconds_are_folded_into_longer_times() {
        let mut track = Track::new(FIELDS);
        for tick in 1..=20 {
            track.push(tick, &[tick as f32, if tick == 3 { f32::NAN } else { tick as f32 }]);
        }
        assert_eq!(track.values(Window::Minutes5, 0).len(), 20);
        assert!(track.values(Window::Minutes5, 1)[2].is_nan());
        assert_eq!(track.values(Window::Hour, 0), [5.5, 15.5]);
        assert_eq!(track.values(Window::Hour, 1), [10.0, 20.0]);
        assert!(track.values(Window::Day, 0).is_empty());
        assert_eq!((track.recent(2, 0), track.recent(1, 1)), (19.5, 20.0));
        assert_eq!(Track::new(FIELDS).recent(5, 0), 0.0);
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let mut track = Track::new(FIELDS);
        for tick in 1..=200_000 {
            track.push(tick, &[1.0, 2.0]);
        }
        for window in Window::ALL {
            assert_eq!(track.values(window, 1).len(), window.samples());
        }
    }
}
