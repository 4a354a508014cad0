//! Validates definitions before they are stored.

use std::collections::BTreeMap;

use udfleet_edge::engine::RESERVED_PREFIX;
use udfleet_proto::error::Error;
use udfleet_proto::limits::{MAX_ARTIFACT_BYTES, MAX_CONTROL_BYTES};
use udfleet_proto::secrets::{MAX_SECRETS, MAX_VARIABLE_BYTES, is_secret_name};
use udfleet_proto::v1::{Artifact, DataType, ErrorCode, FuncType, FunctionDefinition, FunctionKind, Language, OnError};
use udfleet_proto::{config, name, types};

use prost::Message as _;

use super::requirements;
use crate::scheduler::PythonRequirement;

/// The most partitions of a function's state.
pub const MAX_PARTITIONS: u32 = 256;

fn bad(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::InvalidDefinition, message)
}

/// Checks everything that can be known without the fleet.
///
/// # Errors
/// Names the part at fault.
pub fn validate(definition: &FunctionDefinition) -> Result<(), Error> {
    check(definition).map_err(|error| error.function(definition.name.as_str()))
}

fn check(definition: &FunctionDefinition) -> Result<(), Error> {
    name::validate(&definition.name).map_err(|e| bad(e.to_string()))?;
    if definition.name.starts_with(RESERVED_PREFIX) {
        let message = format!("names that begin with `{RESERVED_PREFIX}` are the fleet's own");
        return Err(bad(message).hint("choose another name"));
    }
    if definition.encoded_len() > MAX_CONTROL_BYTES / 2 {
        return Err(Error::new(
            ErrorCode::LimitExceeded,
            format!("the definition is larger than {} bytes", MAX_CONTROL_BYTES / 2),
        ));
    }
    runnable(definition)?;
    signature(definition)?;
    config::validate(&definition.config)?;
    wishes(definition)?;
    let environment = definition.environment.as_ref();
    PythonRequirement::parse(environment.map_or("", |e| e.python.as_str()))?;
    environment.map_or(Ok(()), requirements::check)?;
    if !definition.payload_python.is_empty() {
        PythonRequirement::parse(&definition.payload_python)?;
    }
    if definition.payload.is_none() {
        return Err(bad("the definition has no payload").hint("register functions with the udfleet SDK"));
    }
    artifacts(definition).values().try_for_each(|artifact| sized(artifact))
}

fn runnable(definition: &FunctionDefinition) -> Result<(), Error> {
    match definition.language() {
        Language::Python => {}
        Language::Jvm => {
            return Err(bad("the function is for the JVM, and no executor of this version runs JVM functions")
                .hint("register a Python function"));
        }
        Language::Unspecified => return Err(bad("the definition names no language")),
    }
    if definition.func_type() == FuncType::Unspecified {
        return Err(bad("the definition names no func_type").hint("use general, pandas or arrow"));
    }
    keyed(definition)?;
    super::kind::check(definition)
}

/// Functions with keyed state are called row by row, and give any number of rows.
fn keyed(definition: &FunctionDefinition) -> Result<(), Error> {
    let Some(keyed) = &definition.keyed else { return Ok(()) };
    if !(1..=MAX_PARTITIONS).contains(&keyed.partitions) {
        let message = format!("{} partitions of keyed state: 1 to {MAX_PARTITIONS} are allowed", keyed.partitions);
        return Err(bad(message).hint("16 are enough for most functions; their number can't be changed later"));
    }
    if definition.kind() != FunctionKind::Table
        || definition.func_type() != FuncType::General
        || definition.asynchronous
    {
        return Err(
            bad("only general table functions can keep state for each key").hint("declare it with keyed_process()")
        );
    }
    if !matches!(definition.on_error(), OnError::Unspecified | OnError::Fail) {
        return Err(bad("a function with keyed state can't leave failing rows out: what they have changed would stay")
            .hint("leave on_error out, and catch exceptions in process_element"));
    }
    Ok(())
}

fn signature(definition: &FunctionDefinition) -> Result<(), Error> {
    let within = |what: String, data_type: &DataType| {
        types::validate(data_type).map_err(|e| e.with(|info| info.message = format!("{what}: {}", info.message)))
    };
    for (index, input) in definition.input_types.iter().enumerate() {
        within(format!("input {index}"), input)?;
    }
    if !definition.input_typed && !definition.input_types.is_empty() {
        return Err(bad("input types are given although the definition says that there are none"));
    }
    if let Some(accumulator) = &definition.accumulator_type {
        within("accumulator".to_owned(), accumulator)?;
    }
    let result = definition.result_type.as_ref().ok_or_else(|| bad("the definition has no result type"))?;
    within("result".to_owned(), result)
}

/// The most devices of a kind that an interpreter may ask for.
const MOST_DEVICES: u32 = 1024;

fn wishes(definition: &FunctionDefinition) -> Result<(), Error> {
    if definition.labels.keys().any(String::is_empty) {
        return Err(bad("a label without a name is asked for").hint("labels={\"zone\": \"a\"}"));
    }
    let names = definition.variables.keys().chain(&definition.secrets);
    if let Some(name) = names.into_iter().find(|name| !is_secret_name(name)) {
        let message = format!("{name:?} can't be a variable or a secret of a function");
        return Err(bad(message).hint(
            "letters, digits and `_`, beginning with no digit; the interpreter's own (PATH, PYTHON..., LD_..., UDFLEET_...) \
             can't be set",
        ));
    }
    if definition.variables.values().any(|value| value.contains('\0')) {
        return Err(bad("a variable's value holds a NUL character"));
    }
    if let Some(name) = definition.secrets.iter().find(|name| definition.variables.contains_key(*name)) {
        return Err(bad(format!("{name} is both a variable and a secret, and a process has one value of it"))
            .hint("rename one of them, or leave it out"));
    }
    if definition.secrets.len() > MAX_SECRETS {
        return Err(bad(format!(
            "it asks for {} secrets, at most {MAX_SECRETS} are allowed",
            definition.secrets.len()
        )));
    }
    let bytes: usize = definition.variables.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > MAX_VARIABLE_BYTES {
        return Err(bad(format!("its variables have {bytes} bytes, at most {MAX_VARIABLE_BYTES} are allowed"))
            .hint("send large settings as a file (files=[...])"));
    }
    for (kind, count) in &definition.resources {
        if kind.is_empty() || !(1..=MOST_DEVICES).contains(count) {
            let message =
                format!("resources: {kind:?} = {count}: a kind needs a name, and 1 to {MOST_DEVICES} devices");
            return Err(bad(message).hint("resources={\"gpu\": 1}"));
        }
    }
    Ok(())
}

fn sized(artifact: &Artifact) -> Result<(), Error> {
    if artifact.size > MAX_ARTIFACT_BYTES {
        let (name, size) = (&artifact.name, artifact.size);
        return Err(Error::new(
            ErrorCode::LimitExceeded,
            format!("{name:?} of {size} bytes is larger than the limit of {MAX_ARTIFACT_BYTES} bytes for one file"),
        ));
    }
    Ok(())
}

/// Every artifact that the definition needs, by hash.
#[must_use]
pub fn artifacts(definition: &FunctionDefinition) -> BTreeMap<&str, &Artifact> {
    let own = definition.payload.iter().chain(&definition.pickle_support).chain(&definition.parts);
    let environment = definition.environment.iter();
    let others = environment.flat_map(|e| e.requirements_cache.iter().chain(&e.files).chain(&e.archives));
    own.chain(others).map(|artifact| (artifact.hash.as_str(), artifact)).collect()
}

#[cfg(test)]
mod tests {
    use udfleet_proto::types::simple;
    use udfleet_proto::v1::{Environment, FunctionKind, OnError, TypeRoot};

    use super::*;

    fn good() -> FunctionDefinition {
        FunctionDefinition {
            name: "add".to_owned(),
            language: Language::Python as i32,
            kind: FunctionKind::Scalar as i32,
            func_type: FuncType::General as i32,
            input_typed: true,
            input_types: vec![simple(TypeRoot::Bigint)],
            result_type: Some(simple(TypeRoot::Bigint)),
            payload: Some(Artifact::default()),
            ..Default::default()
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        validate(&good()).unwrap();
        let wrong = |change: fn(&mut FunctionDefinition)| {
            let mut definition = good();
            change(&mut definition);
            validate(&definition).unwrap_err().to_string()
        };
        assert!(wrong(|d| d.name = "a b".to_owned()).contains("' '"));
        assert!(wrong(|d| d.name = "builtin_mine".to_owned()).contains("builtin_"));
        assert!(wrong(|d| d.on_error = OnError::Column as i32).contains("on_error"));
        assert!(wrong(|d| d.language = Language::Jvm as i32).contains("JVM"));
        assert!(wrong(|d| d.accumulator_type = Some(DataType::default())).contains("accumulator"));
        assert!(wrong(|d| d.result_type = None).contains("result type"));
        assert!(wrong(|d| d.input_types.push(DataType::default())).contains("input 1"));
        assert!(wrong(|d| drop(d.config.insert("x".to_owned(), String::new()))).contains("unknown config key"));
        assert!(wrong(|d| d.payload = None).contains("payload"));
        assert!(wrong(|d| d.resources = [("gpu".to_owned(), 0)].into_iter().collect()).contains("\"gpu\" = 0"));
        let both = |d: &mut FunctionDefinition| {
            d.variables.insert("KEY".to_owned(), "plain".to_owned());
            d.secrets.push("KEY".to_owned());
        };
        assert!(wrong(both).contains("KEY is both"));
        assert!(wrong(|d| d.secrets.push("LD_PRELOAD".to_owned())).contains("LD_PRELOAD"));
        assert!(wrong(|d| drop(d.variables.insert("a b".to_owned(), String::new()))).contains("a b"));
        assert!(wrong(|d| drop(d.labels.insert(String::new(), "a".to_owned()))).contains("label"));
        let old = wrong(|d| d.environment = Some(Environment { python: "3.8".to_owned(), ..Default::default() }));
        assert!(old.contains("3.9"), "{old}");
    }
}
