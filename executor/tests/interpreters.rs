//! Real interpreters: every CPython on this machine, driven through the link alone.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch};
use arrow_buffer::Buffer;
use arrow_ipc::reader::read_record_batch;
use arrow_ipc::root_as_message;
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions};
use arrow_schema::{DataType as Arrow, Field, Schema};
use udfleet_executor::environment::pythons::{Python, Pythons};
use udfleet_executor::link::{Demand, Input, Interpreter, InterpreterSpec, Output, Pool};
use udfleet_executor::logs::LogStore;
use udfleet_executor::sandbox::{Policy, Sandbox};
use udfleet_proto::error::Error;
use udfleet_proto::types::simple;
use udfleet_proto::v1::{ErrorCode, FuncType, FunctionDefinition, LoadSpec, TypeRoot};

const MODULE: &str = r#"
import os, sys, time

def add(a, b):
    return None if a is None or b is None else a + b

def where(a, b):
    return sys.prefix + "|" + sys.executable + "|" + ".".join(map(str, sys.version_info[:2]))

def fail(a, b):
    if a == 2:
        raise ValueError("no twos")
    return a

def shout(a, b):
    print("out", a)
    print("err", a, file=sys.stderr)
    return a

def segfault(a, b):
    import ctypes
    ctypes.string_at(0)

def leave(a, b):
    os._exit(3)

def hang(a, b):
    while True:
        time.sleep(0.01)

def too_big(a, b):
    return 2 ** 63 if a == 3 else a

def keep(a, b):
    return a
"#;

fn binary(name: &str) -> PathBuf {
    let mut folder = std::env::current_exe().unwrap();
    folder.pop();
    folder.pop();
    let path = folder.join(name);
    assert!(path.exists(), "build {} first: cargo build --release", path.display());
    path
}

struct Setup {
    folder: tempfile::TempDir,
    logs: Arc<LogStore>,
}

impl Setup {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("mod.py"), MODULE).unwrap();
        Self { folder, logs: Arc::new(LogStore::new("test")) }
    }

    async fn start(&self, python: &Path, libpython: Option<&Path>) -> Interpreter {
        let spec = InterpreterSpec {
            host: binary("udfleet-interpreter"),
            containment: Sandbox::off().options(&Policy::closed()),
            module: binary("libudfleet_interpreter.so"),
            python: python.to_owned(),
            libpython: libpython.map(Path::to_owned),
            sys_path: vec![self.folder.path().to_owned()],
            working_dir: self.folder.path().to_owned(),
            env: vec![("LANG".to_owned(), "C.UTF-8".to_owned())],
            secrets: Vec::new(),
            executor: "test".to_owned(),
            bundles: Arc::default(),
        };
        Interpreter::start(spec, Arc::clone(&self.logs)).await.unwrap()
    }

    /// A function of the module, pickled by reference.
    async fn load(&self, interpreter: &Interpreter, number: u32, name: &str, result: TypeRoot) {
        let payload = self.folder.path().join(format!("{name}.pickle"));
        std::fs::write(&payload, format!("cmod\n{name}\n.")).unwrap();
        let definition = FunctionDefinition {
            name: name.to_owned(),
            version: 1,
            func_type: FuncType::General as i32,
            input_typed: true,
            input_types: vec![simple(TypeRoot::Bigint); 2],
            result_type: Some(udfleet_proto::v1::DataType { length: i32::MAX as u32, ..simple(result) }),
            ..FunctionDefinition::default()
        };
        let payload_path = payload.display().to_string();
        let spec = LoadSpec {
            function: number,
            definition: Some(definition),
            payload_path,
            max_rows: 100,
            ..LoadSpec::default()
        };
        interpreter.load(spec).await.unwrap();
    }
}

fn schema() -> Schema {
    Schema::new(vec![Field::new("x", Arrow::Int64, true), Field::new("y", Arrow::Int64, true)])
}

fn input(function: u32, rows: &[Option<i64>], timeout_ms: u64) -> Input {
    let column: ArrayRef = Arc::new(Int64Array::from(rows.to_vec()));
    let batch = RecordBatch::try_new(Arc::new(schema()), vec![Arc::clone(&column), column]).unwrap();
    let (generator, options) = (IpcDataGenerator::default(), IpcWriteOptions::default());
    let mut tracker = DictionaryTracker::new(false);
    let schema = generator.schema_to_bytes_with_dictionary_tracker(&schema(), &mut tracker, &options);
    let (_, encoded) = generator.encode(&batch, &mut tracker, &options, &mut Default::default()).unwrap();
    Input {
        function,
        schema_id: 7,
        schema: schema.ipc_message.into(),
        header: encoded.ipc_message.into(),
        body: encoded.arrow_data.into(),
        timeout_ms,
        ..Input::default()
    }
}

fn decode(output: &Output, result: Arrow) -> ArrayRef {
    let message = root_as_message(&output.header).unwrap();
    let batch = message.header_as_record_batch().unwrap();
    let schema = Arc::new(Schema::new(vec![Field::new("result", result, true)]));
    let body = Buffer::from(output.body.clone());
    let batch = read_record_batch(&body, batch, schema, &Default::default(), None, &message.version()).unwrap();
    Arc::clone(batch.column(0))
}

async fn default_python() -> Python {
    Pythons::discover(&[], &Sandbox::off()).await.usable().next().cloned().expect("a Python of 3.9 or newer")
}

async fn default_interpreter(setup: &Setup) -> Interpreter {
    let python = default_python().await;
    setup.start(&python.executable, python.libpython.as_deref()).await
}

fn numbers(output: &Output) -> Vec<Option<i64>> {
    let array = decode(output, Arrow::Int64);
    array.as_any().downcast_ref::<Int64Array>().unwrap().iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_python_here_runs_functions_in_its_own_prefix() {
    let setup = Setup::new();
    let pythons = Pythons::discover(&[], &Sandbox::off()).await;
    let mut seen = 0;
    for python in pythons.usable() {
        for libpython in [python.libpython.as_deref(), None] {
            let venv = setup.folder.path().join(format!("venv-{}-{}", python.version_text(), libpython.is_some()));
            let made = std::process::Command::new(&python.executable)
                .args(["-m", "venv", "--without-pip"])
                .arg(&venv)
                .status();
            assert!(made.unwrap().success());
            let interpreter = setup.start(&venv.join("bin/python"), libpython).await;
            setup.load(&interpreter, 1, "add", TypeRoot::Bigint).await;
            setup.load(&interpreter, 2, "where", TypeRoot::Varchar).await;
            let sum = interpreter.invoke(&input(1, &[Some(1), None, Some(3)], 10_000)).await.unwrap();
            assert_eq!(numbers(&sum), [Some(2), None, Some(6)]);
            let place = interpreter.invoke(&input(2, &[Some(1)], 10_000)).await.unwrap();
            let place = decode(&place, Arrow::Utf8);
            let place = place.as_any().downcast_ref::<arrow_array::StringArray>().unwrap().value(0).to_owned();
            let (major, minor, _) = python.version;
            let expected = format!("{0}|{0}/bin/python|{major}.{minor}", venv.display());
            assert_eq!(place, expected);
            interpreter.shutdown(Duration::from_secs(5)).await;
            assert_eq!(interpreter.exited().await.signal, 0, "an orderly stop");
            seen += 1;
        }
    }
    assert!(seen > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_larger_than_the_bound_are_cut_and_joined() {
    let setup = Setup::new();
    let interpreter = default_interpreter(&setup).await;
    setup.load(&interpreter, 1, "add", TypeRoot::Bigint).await;
    let rows: Vec<Option<i64>> = (0..100_000).map(|i| if i % 7 == 0 { None } else { Some(i) }).collect();
    let output = interpreter.invoke(&input(1, &rows, 10_000)).await.unwrap();
    assert_eq!(numbers(&output), rows.iter().map(|v| v.map(|v| 2 * v)).collect::<Vec<_>>());
    let empty = interpreter.invoke(&input(1, &[], 10_000)).await.unwrap();
    assert_eq!(numbers(&empty), Vec::<Option<i64>>::new());
    interpreter.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_name_row_value_and_source_line() {
    let setup = Setup::new();
    let interpreter = default_interpreter(&setup).await;
    setup.load(&interpreter, 1, "fail", TypeRoot::Bigint).await;
    setup.load(&interpreter, 2, "too_big", TypeRoot::Bigint).await;
    let mut rows = vec![Some(1); 150];
    rows[120] = Some(2);
    let failure = interpreter.invoke(&input(1, &rows, 10_000)).await.unwrap_err();
    let info = failure.error.info();
    assert_eq!((failure.error.code(), info.row, info.function.as_str()), (ErrorCode::UserCode, Some(120), "fail@1"));
    let exception = info.exception.as_ref().unwrap_or_else(|| panic!("{info:?}"));
    assert_eq!((exception.r#type.as_str(), exception.message.as_str()), ("ValueError", "no twos"));
    assert_eq!(exception.frames.last().unwrap().source, "raise ValueError(\"no twos\")");
    let failure = interpreter.invoke(&input(2, &[Some(1), Some(3)], 10_000)).await.unwrap_err();
    let info = failure.error.info();
    assert_eq!((failure.error.code(), info.row), (ErrorCode::ResultType, Some(1)));
    assert_eq!(info.value, "9223372036854775808");
    let after = interpreter.invoke(&input(2, &[Some(1)], 10_000)).await.unwrap();
    assert_eq!(numbers(&after), [Some(1)]);
    interpreter.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn crashes_hangs_and_exits_are_told_apart() {
    let setup = Setup::new();
    for (name, timeout_ms, code, signal, status) in [
        ("segfault", 10_000, ErrorCode::InterpreterCrashed, 11, 0),
        ("leave", 10_000, ErrorCode::InterpreterCrashed, 0, 3),
        ("hang", 200, ErrorCode::CallTimeout, 9, 0),
    ] {
        let interpreter = default_interpreter(&setup).await;
        setup.load(&interpreter, 1, name, TypeRoot::Bigint).await;
        setup.load(&interpreter, 2, "add", TypeRoot::Bigint).await;
        let (bad, good) = (input(1, &[Some(1)], timeout_ms), input(2, &[Some(1)], 10_000));
        let (first, second) = futures::future::join(interpreter.invoke(&bad), interpreter.invoke(&good)).await;
        let first = first.unwrap_err();
        let exit = first.error.info().exit.clone().unwrap();
        assert_eq!(
            (first.error.code(), exit.signal, exit.status, first.lost, first.ran),
            (code, signal, status, true, true),
            "{name}"
        );
        let second = second.expect_err(name);
        assert!(second.lost && !second.ran && second.retryable(), "{name}: {:?}", second.error);
        assert!(!interpreter.alive());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn output_is_kept_per_function() {
    let setup = Setup::new();
    let interpreter = default_interpreter(&setup).await;
    setup.load(&interpreter, 1, "shout", TypeRoot::Bigint).await;
    setup.load(&interpreter, 2, "add", TypeRoot::Bigint).await;
    for function in [1, 2, 1] {
        interpreter.invoke(&input(function, &[Some(5)], 10_000)).await.unwrap();
    }
    interpreter.shutdown(Duration::from_secs(5)).await;
    let printed = || {
        let lines = setup.logs.after(0, usize::MAX, usize::MAX).into_iter();
        lines.filter(|line| line.function.starts_with("shout@")).map(|line| line.text).collect::<Vec<_>>()
    };
    tokio::time::timeout(Duration::from_secs(10), async {
        while printed().len() < 4 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    let mut texts = printed();
    texts.sort();
    assert_eq!(texts, ["err 5", "err 5", "out 5", "out 5"]);
}

/// A call of function 1.
fn demand() -> Demand {
    Demand { lane: 1, name: Arc::from("add@1"), functions: Arc::from([1]), keeps: false }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_gives_credits_in_turn_and_refuses_what_is_gone() {
    let setup = Setup::new();
    let interpreter = default_interpreter(&setup).await;
    let pool = Pool::new();
    pool.add(interpreter.clone());
    let waiting = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { pool.acquire(&demand()).await.map(drop) }
    });
    setup.load(&interpreter, 1, "add", TypeRoot::Bigint).await;
    pool.wake();
    waiting.await.unwrap().unwrap();
    // All that there are, so that who comes next waits.
    let mut held = Vec::new();
    while let Ok(credit) = tokio::time::timeout(Duration::from_millis(200), pool.acquire(&demand())).await {
        held.push(credit.unwrap());
    }
    let waiting = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { pool.acquire(&demand()).await.map(drop).unwrap_err() }
    });
    tokio::task::yield_now().await;
    pool.refuse(1, Error::new(ErrorCode::FunctionNotFound, "dropped"));
    assert_eq!(waiting.await.unwrap().code(), ErrorCode::FunctionNotFound);
    drop(held);
    assert!(pool.acquire(&demand()).await.is_err(), "free credits are none of its business");
    pool.accept(1);
    assert!(pool.acquire(&demand()).await.is_ok());
    interpreter.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn unloading_while_outputs_are_unread_harms_no_other_function() {
    let setup = Setup::new();
    let interpreter = default_interpreter(&setup).await;
    setup.load(&interpreter, 1, "add", TypeRoot::Bigint).await;
    setup.load(&interpreter, 2, "keep", TypeRoot::Bigint).await;
    let unread = interpreter.invoke(&input(1, &[Some(1)], 60_000)).await.unwrap();
    // Regions are used again by what comes next, and an output does not notice.
    interpreter.unload(1).await.unwrap();
    let output = interpreter.invoke(&input(2, &[Some(5)], 60_000)).await.unwrap();
    assert_eq!((numbers(&unread), numbers(&output)), (vec![Some(2)], vec![Some(5)]));
    interpreter.shutdown(Duration::from_secs(10)).await;
}
