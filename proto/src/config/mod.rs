//! Configuration keys of functions: declared once, here. The reference page is generated from this table.
//!
//! A key set by a job applies to the functions that it registers, unless a function sets the key itself.

mod keys;
mod value;

use std::collections::BTreeMap;

use crate::error::Error;
use crate::name::nearest;
use crate::network::Network;
use crate::v1::{ErrorCode, FunctionDefinition};

pub use keys::*;
use value::parse_bool;
pub use value::{ValueType, parse_size};

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

/// How often a batch of a function may run. What is not deterministic may have side effects: it runs a second time only
/// where its own configuration says so.
#[must_use]
pub fn max_attempts(definition: &FunctionDefinition) -> u64 {
    if definition.deterministic || definition.config.contains_key(MAX_ATTEMPTS.name) {
        MAX_ATTEMPTS.integer(&definition.config)
    } else {
        1
    }
}

/// Where a function may connect to. What is not understood, which the coordinator refuses, connects nowhere.
#[must_use]
pub fn network(definition: &FunctionDefinition) -> Network {
    NETWORK.text(&definition.config).parse().unwrap_or(Network::None)
}

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
            ValueType::Network => match value.parse::<Network>() {
                Ok(_) => return Ok(()),
                Err(_) => "all, none, or TCP ports with commas between them, such as 443,53".to_owned(),
            },
            ValueType::Choice(choices) => match choices.contains(&value) {
                true => return Ok(()),
                false => choices.join(" or "),
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
            (CAPSULES.name, "on"),
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
