//! Durations and sizes as people write them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use udfleet_proto::config::parse_size;

/// `10s`, `5m`, `12h`, `1h 30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HumanDuration(pub Duration);

impl FromStr for HumanDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let duration = humantime::parse_duration(text.trim());
        duration.map(Self).map_err(|e| format!("{e}; durations are written like 10s, 5m or 12h"))
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Bytes with an optional unit, as in the configuration of functions: `8GiB`, `512 mb`, `1g`; all units are powers of 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = parse_size(text).filter(|bytes| *bytes > 0);
        bytes.map(Self).ok_or_else(|| format!("{text:?} is no size; sizes are written like 8GiB or 512 MiB"))
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_they_are_written() {
        for (text, seconds) in [("10s", 10), ("2h", 7200), (" 1h 30m ", 5400)] {
            let duration: HumanDuration = text.parse().unwrap();
            assert_eq!(duration.0, Duration::from_secs(seconds), "{text}");
            assert_eq!(duration.to_string().parse(), Ok(duration));
        }
        assert!("5 fortnights".parse::<HumanDuration>().is_err() && "10".parse::<HumanDuration>().is_err());
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!("1g".parse(), Ok(Size(1 << 30)));
        assert!("lots".parse::<Size>().is_err() && "0".parse::<Size>().is_err());
    }
}
