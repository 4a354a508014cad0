//! The fleet's defaults for function keys: the outermost scope, overridden by jobs and functions.

use std::collections::BTreeMap;

use serde::{Deserialize as _, Deserializer};
use udfleet_proto::config::{self, ARCHIVES, CLIENT_EXECUTABLE, EXECUTABLE, FILES, REQUIREMENTS};
use udfleet_proto::error::Error;
use udfleet_proto::v1::{ErrorCode, FunctionDefinition};

/// Keys on which clients act: a coordinator can't set them in time.
const OF_CLIENTS: [&str; 5] = [EXECUTABLE.name, CLIENT_EXECUTABLE.name, FILES.name, ARCHIVES.name, REQUIREMENTS.name];

/// Values as TOML has them, as the text that functions carry.
pub(super) fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let table = BTreeMap::<String, toml::Value>::deserialize(deserializer)?;
    let text = |(key, value)| match value {
        toml::Value::String(text) => Ok((key, text)),
        toml::Value::Integer(number) => Ok((key, number.to_string())),
        toml::Value::Boolean(truth) => Ok((key, truth.to_string())),
        other => Err(serde::de::Error::custom(format!(
            "functions: {key:?} is a TOML {}, expected text, a whole number or a boolean; write keys in quotes",
            other.type_str()
        ))),
    };
    table.into_iter().map(text).collect()
}

pub(super) fn check(functions: &BTreeMap<String, String>) -> Result<(), Error> {
    config::validate(functions)?;
    match functions.keys().find(|key| OF_CLIENTS.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(Error::new(ErrorCode::InvalidConfig, format!("{key:?} can't be set for the whole fleet"))
            .hint("set it where functions are registered; executors are told their Pythons with --python")),
    }
}

/// Gives a definition the values that it lacks.
pub fn fill(definition: &mut FunctionDefinition, functions: &BTreeMap<String, String>) {
    for (key, value) in functions {
        definition.config.entry(key.clone()).or_insert_with(|| value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn parsed(text: &str) -> Result<Config, String> {
        let config: Config = toml::from_str(text).map_err(|e| e.to_string())?;
        config.check().map_err(|e| e.to_string())?;
        Ok(config)
    }

    #[test]
    fn the_fleet_fills_in_what_is_missing() {
        let config =
            parsed("[functions]\n\"python.fn-execution.arrow.batch.size\" = 7\n\"python.metric.enabled\" = false\n");
        let config = config.unwrap();
        let mut definition = FunctionDefinition::default();
        definition.config.insert("python.metric.enabled".to_owned(), "true".to_owned());
        fill(&mut definition, &config.functions);
        assert_eq!(definition.config["python.fn-execution.arrow.batch.size"], "7");
        assert_eq!(definition.config["python.metric.enabled"], "true", "the function's own value stands");
        assert_eq!(toml::from_str::<Config>(&udfleet_edge::config::dump(&config).unwrap()).unwrap(), config);
    }

    #[test]
    fn bad_keys_and_values_are_refused_at_start() {
        for (text, said) in [
            ("\"python.metric.enable\" = true", "did you mean \"python.metric.enabled\""),
            ("\"python.fn-execution.bundle.size\" = 0", "expected a whole number"),
            ("\"python.files\" = \"a.py\"", "can't be set for the whole fleet"),
            ("python.metric.enabled = true", "write keys in quotes"),
        ] {
            let error = parsed(&format!("[functions]\n{text}\n")).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
