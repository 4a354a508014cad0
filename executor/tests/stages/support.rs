//! An interpreter with functions of a module, and a builder of stages.

use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_buffer::Buffer;
use arrow_ipc::reader::read_record_batch;
use arrow_ipc::root_as_message;
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions};
use arrow_schema::{Field, Schema, SchemaRef};
use prost::Message;
use udfleet_executor::environment::pythons::Pythons;
use udfleet_executor::link::{CallFailure, Caller, Input, Interpreter, InterpreterSpec, Output};
use udfleet_executor::logs::LogStore;
use udfleet_executor::sandbox::{Policy, Sandbox};
use udfleet_proto::types::{MAX_LENGTH, arrow_field, simple};
use udfleet_proto::v1::operation::Operator;
use udfleet_proto::v1::{
    self, Compute, DataType, FuncType, FunctionDefinition, FunctionKind, Invocation, LoadSpec, OnError, Stage,
    StageSpec, Step, TypeRoot, literal, step,
};

fn binary(name: &str) -> PathBuf {
    let mut folder = std::env::current_exe().unwrap();
    folder.pop();
    folder.pop();
    let path = folder.join(name);
    assert!(path.exists(), "build {} first: cargo build --release", path.display());
    path
}

/// One interpreter.
pub struct Runner {
    folder: tempfile::TempDir,
    pub logs: Arc<LogStore>,
    pub interpreter: Interpreter,
}

/// BIGINT
pub fn bigint() -> DataType {
    simple(TypeRoot::Bigint)
}

/// STRING
pub fn string() -> DataType {
    DataType { length: MAX_LENGTH, ..simple(TypeRoot::Varchar) }
}

/// BYTES
pub fn bytes() -> DataType {
    DataType { length: MAX_LENGTH, ..simple(TypeRoot::Varbinary) }
}

/// ROW
pub fn row(fields: &[(&str, DataType)]) -> DataType {
    DataType { fields: fields.iter().map(|(name, given)| field(name, given)).collect(), ..simple(TypeRoot::Row) }
}

/// A named column.
pub fn field(name: &str, data_type: &DataType) -> v1::Field {
    v1::Field { name: name.to_owned(), r#type: Some(data_type.clone()) }
}

/// A function of the module.
pub fn definition(name: &str, kind: FunctionKind, inputs: &[DataType], result: DataType) -> FunctionDefinition {
    FunctionDefinition {
        name: name.to_owned(),
        version: 1,
        kind: kind as i32,
        func_type: FuncType::General as i32,
        input_typed: true,
        input_types: inputs.to_vec(),
        result_type: Some(result),
        ..FunctionDefinition::default()
    }
}

/// A scalar function.
pub fn scalar(name: &str, inputs: &[DataType], result: DataType) -> FunctionDefinition {
    definition(name, FunctionKind::Scalar, inputs, result)
}

/// A table function.
pub fn table(name: &str, inputs: &[DataType], result: DataType) -> FunctionDefinition {
    definition(name, FunctionKind::Table, inputs, result)
}

impl Runner {
    /// With a module of this text, on the newest Python here.
    pub async fn start(module: &str) -> Self {
        Self::start_with(module, &[]).await
    }

    /// With other files beside the module.
    pub async fn start_with(module: &str, others: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("mod.py"), module).unwrap();
        for (name, text) in others {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let sdk = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../python-sdk/src");
        let python =
            Pythons::discover(&[], &Sandbox::off()).await.usable().next().cloned().expect("a Python of 3.9 or newer");
        let spec = InterpreterSpec {
            host: binary("udfleet-interpreter"),
            containment: Sandbox::off().options(&Policy::closed()),
            module: binary("libudfleet_interpreter.so"),
            python: python.executable,
            libpython: python.libpython,
            sys_path: vec![folder.path().to_owned(), sdk],
            working_dir: folder.path().to_owned(),
            env: vec![("LANG".to_owned(), "C.UTF-8".to_owned())],
            secrets: Vec::new(),
            executor: "test".to_owned(),
            bundles: Arc::default(),
        };
        let logs = Arc::new(LogStore::new("test"));
        let interpreter = Interpreter::start(spec, Arc::clone(&logs)).await.unwrap();
        Self { folder, logs, interpreter }
    }

    /// A file of its working folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Loads an attribute of the module; classes are instantiated.
    pub async fn load(&self, number: u32, definition: FunctionDefinition) {
        self.load_spec(number, definition, 100).await;
    }

    /// With its own bound of rows.
    pub async fn load_spec(&self, number: u32, definition: FunctionDefinition, max_rows: u64) {
        let payload = self.folder.path().join(format!("{number}.pickle"));
        let name = &definition.name;
        let class = name.starts_with(char::is_uppercase);
        let pickle = if class { format!("cmod\n{name}\n(tR.") } else { format!("cmod\n{name}\n.") };
        std::fs::write(&payload, pickle).unwrap();
        let payload_path = payload.display().to_string();
        let definition = Some(definition);
        let spec = LoadSpec { function: number, definition, payload_path, max_rows, ..LoadSpec::default() };
        self.interpreter.load(spec).await.unwrap();
    }

    /// A stage over columns of BIGINT, or one function by itself.
    pub async fn call(&self, input: Input) -> Result<Output, CallFailure> {
        self.interpreter.invoke(&input).await
    }

    /// All parts of the output.
    pub async fn parts(&self, input: Input, schema: &SchemaRef) -> Result<Vec<RecordBatch>, CallFailure> {
        let mut output = self.call(input).await?;
        let mut parts = vec![decode(&output, schema)];
        while let Some(rest) = output.rest.take() {
            output = rest.next(Caller::patient()).await?;
            parts.push(decode(&output, schema));
        }
        Ok(parts)
    }
}

/// A batch of BIGINT columns for a function or stage.
pub fn input(number: u32, columns: &[&[Option<i64>]]) -> Input {
    let arrays: Vec<ArrayRef> =
        columns.iter().map(|column| Arc::new(Int64Array::from(column.to_vec())) as ArrayRef).collect();
    input_of(number, arrays)
}

/// A batch of any columns.
pub fn input_of(number: u32, columns: Vec<ArrayRef>) -> Input {
    let fields =
        columns.iter().enumerate().map(|(at, column)| Field::new(format!("c{at}"), column.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
    let (generator, options) = (IpcDataGenerator::default(), IpcWriteOptions::default());
    let mut tracker = DictionaryTracker::new(false);
    let message = generator.schema_to_bytes_with_dictionary_tracker(&schema, &mut tracker, &options);
    let (_, encoded) = generator.encode(&batch, &mut tracker, &options, &mut Default::default()).unwrap();
    // The number stands for the bytes.
    let schema_id = message.ipc_message.iter().fold(17_u64, |id, byte| id.wrapping_mul(31) ^ u64::from(*byte));
    Input {
        function: number,
        schema_id,
        schema: message.ipc_message.into(),
        header: encoded.ipc_message.into(),
        body: encoded.arrow_data.into(),
        timeout_ms: 20_000,
        on_error: OnError::Unspecified,
        ..Input::default()
    }
}

/// The columns of an answer.
pub fn decode(output: &Output, schema: &SchemaRef) -> RecordBatch {
    let message = root_as_message(&output.header).unwrap();
    let batch = message.header_as_record_batch().unwrap();
    let body = Buffer::from(output.body.clone());
    read_record_batch(&body, batch, Arc::clone(schema), &Default::default(), None, &message.version()).unwrap()
}

/// Arrow columns of these types.
pub fn schema(fields: &[v1::Field]) -> SchemaRef {
    Arc::new(Schema::new(
        fields.iter().map(|field| arrow_field(&field.name, field.r#type.as_ref().unwrap())).collect::<Vec<_>>(),
    ))
}

/// A BIGINT column.
pub fn longs(batch: &RecordBatch, column: usize) -> Vec<Option<i64>> {
    batch.column(column).as_primitive::<Int64Type>().iter().collect()
}

/// An INT column.
pub fn ints(batch: &RecordBatch, column: usize) -> Vec<Option<i32>> {
    batch.column(column).as_primitive::<Int32Type>().iter().collect()
}

/// A STRING column.
pub fn texts(batch: &RecordBatch, column: usize) -> Vec<Option<String>> {
    batch.column(column).as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
}

/// A stage that is being written.
pub struct Plan {
    number: u32,
    spec: StageSpec,
    registers: u32,
}

impl Plan {
    /// Over columns of these types, with these functions as slots.
    pub fn new(number: u32, inputs: &[DataType], functions: &[u32]) -> Self {
        let inputs: Vec<_> = inputs.iter().enumerate().map(|(at, given)| field(&format!("c{at}"), given)).collect();
        let registers = inputs.len() as u32;
        let stage = Stage { inputs, ..Stage::default() };
        Self { number, spec: StageSpec { stage: Some(stage), functions: functions.to_vec() }, registers }
    }

    /// Adds a step that appends so many registers, and gives the first.
    pub fn step(&mut self, text: &str, kind: step::Kind, appends: u32) -> u32 {
        let first = self.registers;
        self.registers += appends;
        let steps = &mut self.spec.stage.as_mut().unwrap().steps;
        steps.push(Step { text: text.to_owned(), kind: Some(kind) });
        first
    }

    /// Replaces all registers by keys and aggregates.
    pub fn aggregation(&mut self, text: &str, aggregation: v1::Aggregation, registers: u32) {
        self.step(text, step::Kind::Aggregation(aggregation), 0);
        self.registers = registers;
    }

    /// A BIGINT literal.
    pub fn long(&mut self, value: i64) -> u32 {
        let literal = v1::Literal { r#type: Some(bigint()), value: Some(literal::Value::Integer(value)) };
        self.step(&value.to_string(), step::Kind::Literal(literal), 1)
    }

    /// An operator.
    pub fn compute(&mut self, text: &str, operator: Operator, operands: &[u32], result: DataType) -> u32 {
        let compute =
            Compute { operator: operator as i32, operands: operands.to_vec(), r#type: Some(result), field: 0 };
        self.step(text, step::Kind::Compute(compute), 1)
    }

    /// A call of a scalar function.
    pub fn invoke(&mut self, text: &str, slot: u32, arguments: &[u32]) -> u32 {
        self.step(text, step::Kind::Invoke(call(slot, arguments)), 1)
    }

    /// A table function with so many columns.
    pub fn unnest(&mut self, text: &str, slot: u32, arguments: &[u32], outer: bool, columns: u32) -> u32 {
        let unnest = v1::Unnest { call: Some(call(slot, arguments)), outer };
        self.step(text, step::Kind::Unnest(unnest), columns)
    }

    /// The columns of the output.
    pub fn results(&mut self, results: &[(u32, DataType)]) -> SchemaRef {
        let stage = self.spec.stage.as_mut().unwrap();
        stage.results = results.iter().map(|(register, _)| *register).collect();
        stage.outputs = results.iter().enumerate().map(|(at, (_, given))| field(&format!("r{at}"), given)).collect();
        schema(&stage.outputs)
    }

    /// A batch for it.
    pub fn input(&self, columns: &[&[Option<i64>]]) -> Input {
        Input { stage: self.spec.encode_to_vec().into(), ..input(self.number, columns) }
    }

    /// A batch of any columns for it.
    pub fn input_of(&self, columns: Vec<ArrayRef>) -> Input {
        Input { stage: self.spec.encode_to_vec().into(), ..input_of(self.number, columns) }
    }

    /// The end of a session's input.
    pub fn end(&self, session: u64) -> Input {
        let stage = self.spec.encode_to_vec().into();
        Input { function: self.number, stage, session, end: true, timeout_ms: 20_000, ..Input::default() }
    }
}

/// Arguments for a slot.
pub fn call(slot: u32, arguments: &[u32]) -> Invocation {
    Invocation { function: slot, arguments: arguments.to_vec(), row: Vec::new() }
}

/// Present values.
pub fn some(values: impl IntoIterator<Item = i64>) -> Vec<Option<i64>> {
    values.into_iter().map(Some).collect()
}
