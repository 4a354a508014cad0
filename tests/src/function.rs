//! Functions to register without a Python client: a module travels as a file of the environment, and the payload is a
//! pickle that names an attribute of it.

use std::collections::BTreeMap;

use udfleet_proto::types::{MAX_LENGTH, simple};
use udfleet_proto::v1::{
    Artifact, DataType, Environment, FuncType, FunctionDefinition, FunctionKind, Language, TypeRoot,
};

/// The functions that tests call.
const MODULE: &str = include_str!("functions.py");

/// A general function of `functions.py`: scalar where nothing else is said.
#[derive(Debug, Clone)]
pub struct Function {
    /// What it is registered as.
    pub name: String,
    attribute: String,
    kind: FunctionKind,
    deterministic: bool,
    inputs: Option<Vec<DataType>>,
    result: DataType,
    config: BTreeMap<String, String>,
    variant: String,
    requirements: Vec<String>,
    source_bytes: usize,
}

/// BIGINT.
#[must_use]
pub fn bigint() -> DataType {
    simple(TypeRoot::Bigint)
}

/// STRING.
#[must_use]
pub fn string() -> DataType {
    DataType { length: MAX_LENGTH, ..simple(TypeRoot::Varchar) }
}

/// BYTES.
#[must_use]
pub fn bytes() -> DataType {
    DataType { length: MAX_LENGTH, ..simple(TypeRoot::Varbinary) }
}

impl Function {
    /// The attribute of the module under its own name, BIGINT to BIGINT.
    #[must_use]
    pub fn new(attribute: &str) -> Self {
        Self {
            name: attribute.to_owned(),
            attribute: attribute.to_owned(),
            kind: FunctionKind::Scalar,
            deterministic: true,
            inputs: Some(vec![bigint()]),
            result: bigint(),
            config: BTreeMap::new(),
            variant: String::new(),
            requirements: Vec::new(),
            source_bytes: 0,
        }
    }

    /// Another name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Another kind.
    #[must_use]
    pub fn kind(mut self, kind: FunctionKind) -> Self {
        self.kind = kind;
        self
    }

    /// The same arguments may give another result.
    #[must_use]
    pub fn not_deterministic(mut self) -> Self {
        self.deterministic = false;
        self
    }

    /// Other inputs.
    #[must_use]
    pub fn takes(mut self, inputs: Vec<DataType>) -> Self {
        self.inputs = Some(inputs);
        self
    }

    /// Any inputs.
    #[must_use]
    pub fn untyped(mut self) -> Self {
        self.inputs = None;
        self
    }

    /// Another result.
    #[must_use]
    pub fn returns(mut self, result: DataType) -> Self {
        self.result = result;
        self
    }

    /// A config key.
    #[must_use]
    pub fn config(mut self, key: &str, value: &str) -> Self {
        self.config.insert(key.to_owned(), value.to_owned());
        self
    }

    /// An environment, and with it interpreters, that only functions of the same variant share.
    #[must_use]
    pub fn variant(mut self, variant: &str) -> Self {
        variant.clone_into(&mut self.variant);
        self
    }

    /// A line of its environment's requirements.
    #[must_use]
    pub fn requires(mut self, requirement: &str) -> Self {
        self.requirements.push(requirement.to_owned());
        self
    }

    /// So much text of source files in its definition.
    #[must_use]
    pub fn sources(mut self, bytes: usize) -> Self {
        self.source_bytes = bytes;
        self
    }

    /// The module that it is in.
    #[must_use]
    pub fn module(&self) -> String {
        format!("{MODULE}\n# {}\n", self.variant)
    }

    /// The pickled function. Protocol 0: "c" names a global, "." ends the pickle.
    #[must_use]
    pub fn payload(&self) -> String {
        format!("cfunctions\n{}\n.", self.attribute)
    }

    /// The definition, with the files that its module and its payload were sent as.
    #[must_use]
    pub fn definition(&self, module: Artifact, payload: Artifact) -> FunctionDefinition {
        FunctionDefinition {
            name: self.name.clone(),
            language: Language::Python as i32,
            kind: self.kind as i32,
            deterministic: self.deterministic,
            func_type: FuncType::General as i32,
            input_typed: self.inputs.is_some(),
            input_types: self.inputs.clone().unwrap_or_default(),
            result_type: Some(self.result.clone()),
            payload: Some(payload),
            environment: Some(Environment {
                files: vec![module],
                requirements: self.requirements.clone(),
                ..Environment::default()
            }),
            config: self.config.clone(),
            source_files: self.source_files(),
            ..FunctionDefinition::default()
        }
    }

    fn source_files(&self) -> BTreeMap<String, String> {
        let text = "# a line of source\n".repeat(self.source_bytes.div_ceil(19));
        if text.is_empty() { BTreeMap::new() } else { BTreeMap::from([("large.py".to_owned(), text)]) }
    }
}
