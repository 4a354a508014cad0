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

    /// Adds seconds after `from`, up to and with `to`, in which nobody looked.
    pub fn skip(&mut self, from: u64, to: u64) {
        for ring in &mut self.rings {
            ring.skip(self.fields, from, to);
        }
    }

    /// All samples, by window; fields as they are declared.
    pub fn samples(&self) -> impl Iterator<Item = &VecDeque<f32>> {
        self.rings.iter().map(|ring| &ring.values)
    }

    /// With samples as [`Track::samples`] has given them, of the same fields; too many are cut, the oldest first.
    #[must_use]
    pub fn restored(fields: &'static [Field], samples: [Vec<f32>; Window::ALL.len()]) -> Self {
        let mut track = Self::new(fields);
        for (ring, mut values) in track.rings.iter_mut().zip(samples) {
            let whole = values.len() / fields.len();
            values.truncate(whole * fields.len());
            values.drain(..whole.saturating_sub(ring.window.samples()) * fields.len());
            ring.values = values.into();
        }
        track
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
        if tick.is_multiple_of(u64::from(self.window.step())) {
            self.close(fields);
        }
    }

    fn skip(&mut self, fields: &[Field], from: u64, to: u64) {
        let step = u64::from(self.window.step());
        let ended = (to / step).saturating_sub(from / step);
        for _ in 0..ended.min(self.window.samples() as u64 + 1) {
            self.close(fields);
        }
    }

    /// Ends the sample that is not whole yet.
    fn close(&mut self, fields: &[Field]) {
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
    fn seconds_without_a_look_are_unknown() {
        let (mut looked, mut skipped) = (Track::new(FIELDS), Track::new(FIELDS));
        for tick in 1..=75 {
            let sample = if (8..=63).contains(&tick) { [f32::NAN; 2] } else { [tick as f32; 2] };
            looked.push(tick, &sample);
            match tick {
                8 => skipped.skip(7, 63),
                9..=63 => {}
                _ => skipped.push(tick, &sample),
            }
        }
        for window in Window::ALL {
            let (one, other) = (looked.values(window, 1), skipped.values(window, 1));
            assert_eq!(format!("{one:?}"), format!("{other:?}"));
        }
        skipped.skip(75, u64::MAX);
        assert!(skipped.values(Window::Day, 0).iter().all(|value| value.is_nan()));
        assert_eq!(skipped.values(Window::Day, 0).len(), Window::Day.samples());
    }

    #[test]
    fn samples_come_back() {
        let mut track = Track::new(FIELDS);
        (1..=1000).for_each(|tick| track.push(tick, &[tick as f32, 1.0]));
        let kept: Vec<Vec<f32>> = track.samples().map(|ring| ring.iter().copied().collect()).collect();
        let restored = Track::restored(FIELDS, kept.try_into().unwrap());
        for window in Window::ALL {
            assert_eq!(restored.values(window, 0), track.values(window, 0));
        }
        let odd = Track::restored(FIELDS, [vec![1.0; 5], vec![1.0; 10_000], vec![]]);
        let lengths = Window::ALL.map(|window| odd.values(window, 0).len());
        assert_eq!(lengths, [2, Window::Hour.samples(), 0]);
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
