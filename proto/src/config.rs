//! Configuration keys of functions: declared once, here. The reference page is generated from this table.
//!
//! What a job sets holds for the functions that it registers, unless the function sets the key itself.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::name::nearest;
use crate::v1::ErrorCode;

/// What values a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    /// Any text.
    Text,
    /// A whole number within bounds.
    Integer {
        /// The least allowed.
        min: u64,
        /// The most allowed.
        max: u64,
    },
    /// `true` or `false`.
    Boolean,
    /// Bytes, with an optional unit: `64 MiB`, `1g`, `1048576`.
    Size,
}

impl ValueType {
    /// As the reference page names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer { .. } => "integer",
            Self::Boolean => "boolean",
            Self::Size => "size",
        }
    }
}

/// The declaration of one key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// As users write it.
    pub name: &'static str,
    /// What it takes.
    pub value: ValueType,
    /// Empty: none.
    pub default: &'static str,
    /// What it does.
    pub meaning: &'static str,
}

const fn key(name: &'static str, value: ValueType, default: &'static str, meaning: &'static str) -> Key {
    Key { name, value, default, meaning }
}

const fn integer(min: u64, max: u64) -> ValueType {
    ValueType::Integer { min, max }
}

/// The Python an environment is built on.
pub const EXECUTABLE: Key = key(
    "python.executable",
    ValueType::Text,
    "python",
    "The Python an environment is built on: a path, a command or a version.",
);
/// Read by the command line only.
pub const CLIENT_EXECUTABLE: Key = key(
    "python.client.executable",
    ValueType::Text,
    "python",
    "The Python that the command line uses to load and pickle functions named `module:attr`.",
);
/// Files on the interpreter's path.
pub const FILES: Key = key(
    "python.files",
    ValueType::Text,
    "",
    "Comma list of .py, .zip, .whl and folders, shipped by content and put on the interpreter's path.",
);
/// Archives in the working folder.
pub const ARCHIVES: Key = key(
    "python.archives",
    ValueType::Text,
    "",
    "Comma list of `path[#target]`, unpacked under the interpreter's working folder.",
);
/// A requirements file.
pub const REQUIREMENTS: Key = key(
    "python.requirements",
    ValueType::Text,
    "",
    "`file[#cache_dir]`: a requirements file; with a cache folder the install is offline.",
);
/// Rows a function sees at once.
pub const ARROW_BATCH_SIZE: Key = key(
    "python.fn-execution.arrow.batch.size",
    integer(1, u32::MAX as u64),
    "10000",
    "The most rows a function sees at once.",
);
/// Rows of a bundle.
pub const BUNDLE_SIZE: Key = key(
    "python.fn-execution.bundle.size",
    integer(1, u32::MAX as u64),
    "100000",
    "Rows after which a bundle commits. No effect yet.",
);
/// Time of a bundle.
pub const BUNDLE_TIME: Key = key(
    "python.fn-execution.bundle.time",
    integer(1, 86_400_000),
    "1000",
    "Milliseconds after which a bundle commits. No effect yet.",
);
/// Whether the memory budget is divided and enforced.
pub const MEMORY_MANAGED: Key = key(
    "python.fn-execution.memory.managed",
    ValueType::Boolean,
    "true",
    "Divide the executor's memory budget among its interpreters and enforce it; false: no limit.",
);
/// Keyed states in memory.
pub const STATE_CACHE: Key = key(
    "python.state.cache-size",
    integer(0, u32::MAX as u64),
    "1000",
    "Keyed states held in memory per partition. No effect yet.",
);
/// Cached reads.
pub const MAP_READ_CACHE: Key = key(
    "python.map-state.read-cache-size",
    integer(0, u32::MAX as u64),
    "1000",
    "Cached reads of each map state, absent keys too. No effect yet.",
);
/// Pending writes.
pub const MAP_WRITE_CACHE: Key = key(
    "python.map-state.write-cache-size",
    integer(0, u32::MAX as u64),
    "1000",
    "Pending writes of each map state. No effect yet.",
);
/// Entries per page.
pub const MAP_PAGE: Key = key(
    "python.map-state.iterate-response-batch-size",
    integer(1, u32::MAX as u64),
    "1000",
    "Entries per page when a map state is iterated. No effect yet.",
);
/// User metrics and timings.
pub const METRIC_ENABLED: Key = key(
    "python.metric.enabled",
    ValueType::Boolean,
    "true",
    "Counters and timings of the function, in `fleet.progress`, `/metrics` and reports.",
);
/// Profiles.
pub const PROFILE_ENABLED: Key =
    key("python.profile.enabled", ValueType::Boolean, "false", "Profiles each stage. No effect yet.");
/// Deadline of one batch.
pub const CALL_TIMEOUT: Key = key(
    "udfleet.call.timeout",
    integer(1, 86_400_000),
    "120000",
    "Milliseconds that one batch may run in an interpreter; then the interpreter is killed and the caller gets CALL_TIMEOUT.",
);
/// Tries of one batch.
pub const MAX_ATTEMPTS: Key = key(
    "udfleet.retry.max-attempts",
    integer(1, 100),
    "3",
    "How often a batch is tried in all when interpreters crash or executors are lost under it.",
);
/// Memory of one interpreter.
pub const MEMORY_LIMIT: Key = key(
    "udfleet.memory.limit",
    ValueType::Size,
    "",
    "Memory that an interpreter of the function's environment may take (`512 MiB`); none: its share of the executor's budget.",
);
/// Interpreters per executor.
pub const INTERPRETERS: Key = key(
    "udfleet.interpreters",
    integer(0, 1024),
    "0",
    "Interpreters per executor for the function's environment; 0: as the executor is configured.",
);
/// Executors per environment.
pub const EXECUTORS: Key = key(
    "udfleet.executors",
    integer(0, 65_536),
    "0",
    "On how many executors the function's environment runs; 0: on all that can.",
);

/// Every key, in the order of the reference page.
pub const KEYS: &[Key] = &[
    EXECUTABLE,
    CLIENT_EXECUTABLE,
    FILES,
    ARCHIVES,
    REQUIREMENTS,
    ARROW_BATCH_SIZE,
    BUNDLE_SIZE,
    BUNDLE_TIME,
    MEMORY_MANAGED,
    STATE_CACHE,
    MAP_READ_CACHE,
    MAP_WRITE_CACHE,
    MAP_PAGE,
    METRIC_ENABLED,
    PROFILE_ENABLED,
    CALL_TIMEOUT,
    MAX_ATTEMPTS,
    MEMORY_LIMIT,
    INTERPRETERS,
    EXECUTORS,
];

/// Checks keys and values.
///
/// # Errors
/// [`ErrorCode::InvalidConfig`] naming the key, the value and what is allowed, or the nearest key.
pub fn validate(config: &BTreeMap<String, String>) -> Result<(), Error> {
    for (name, value) in config {
        let Some(key) = KEYS.iter().find(|key| key.name == name) else {
            let error = Error::new(ErrorCode::InvalidConfig, format!("unknown config key {name:?}"));
            return Err(match nearest(name, KEYS.iter().map(|key| key.name)) {
                Some(near) => error.hint(format!("did you mean {near:?}?")),
                None => error.hint("see the configuration reference for the keys"),
            });
        };
        key.check(value)?;
    }
    Ok(())
}

impl Key {
    fn check(&self, value: &str) -> Result<(), Error> {
        let allowed = match self.value {
            ValueType::Text => return Ok(()),
            ValueType::Integer { min, max } => match value.trim().parse::<u64>() {
                Ok(number) if (min..=max).contains(&number) => return Ok(()),
                _ => format!("a whole number from {min} to {max}"),
            },
            ValueType::Boolean => match parse_bool(value) {
                Some(_) => return Ok(()),
                None => "true or false".to_owned(),
            },
            ValueType::Size => match parse_size(value) {
                Some(_) => return Ok(()),
                None => "bytes with an optional unit, such as 512 MiB".to_owned(),
            },
        };
        Err(Error::new(
            ErrorCode::InvalidConfig,
            format!("config key {:?} is {value:?}, expected {allowed}", self.name),
        ))
    }

    /// The text in force: what is set, else the default.
    #[must_use]
    pub fn text<'a>(&'a self, config: &'a BTreeMap<String, String>) -> &'a str {
        config.get(self.name).map_or(self.default, String::as_str)
    }

    /// The number in force; 0 for a key that is no integer.
    #[must_use]
    pub fn integer(&self, config: &BTreeMap<String, String>) -> u64 {
        let parse = |text: &str| text.trim().parse().ok();
        parse(self.text(config)).or_else(|| parse(self.default)).unwrap_or(0)
    }

    /// The truth value in force.
    #[must_use]
    pub fn boolean(&self, config: &BTreeMap<String, String>) -> bool {
        parse_bool(self.text(config)).or_else(|| parse_bool(self.default)).unwrap_or(false)
    }

    /// The bytes in force; `None` where none are set.
    #[must_use]
    pub fn size(&self, config: &BTreeMap<String, String>) -> Option<u64> {
        parse_size(self.text(config))
    }
}

fn parse_bool(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// Parses `64 MiB`, `64m`, `1g`, `1048576`; units are powers of 1024.
#[must_use]
pub fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let shift = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return None,
    };
    number.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(name: &str, value: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn defaults_are_valid() {
        for key in KEYS {
            assert!(key.default.is_empty() || key.check(key.default).is_ok(), "{}", key.name);
        }
    }

    #[test]
    fn unknown_keys_are_refused_with_the_nearest() {
        let error = validate(&config("python.fn-execution.bundle.sise", "1")).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidConfig);
        assert!(error.info().hint.contains("python.fn-execution.bundle.size"), "{error}");
    }

    #[test]
    fn bad_values_are_refused_with_what_is_allowed() {
        for (name, value) in [
            (ARROW_BATCH_SIZE.name, "0"),
            (ARROW_BATCH_SIZE.name, "many"),
            (METRIC_ENABLED.name, "yes"),
            (MEMORY_LIMIT.name, "12 parsecs"),
        ] {
            let error = validate(&config(name, value)).unwrap_err();
            assert!(error.info().message.contains("expected"), "{error}");
        }
    }

    #[test]
    fn values_in_force() {
        assert_eq!(ARROW_BATCH_SIZE.integer(&BTreeMap::new()), 10_000);
        assert_eq!(ARROW_BATCH_SIZE.integer(&config(ARROW_BATCH_SIZE.name, " 7 ")), 7);
        assert_eq!(MEMORY_LIMIT.size(&config(MEMORY_LIMIT.name, "2 MiB")), Some(2 << 20));
        assert_eq!(MEMORY_LIMIT.size(&BTreeMap::new()), None);
        assert!(METRIC_ENABLED.boolean(&BTreeMap::new()));
    }
}
