//! The pages of `docs/` against the code. What can be generated stands between markers and is compared here;
//! `UDFLEET_WRITE_DOCS=1 cargo test --release -p udfleet-tests --test docs` writes it anew.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use clap::CommandFactory as _;
use udfleet_edge::auth::{Demand, FunctionCheck, METHODS};
use udfleet_proto::config::{KEYS, ValueType};
use udfleet_proto::error::Fault;
use udfleet_proto::limits;
use udfleet_proto::types::{arrow_type, simple};
use udfleet_proto::v1::{DataType, ErrorCode, TypeRoot};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Sections of one page are written by several tests.
static PAGES: Mutex<()> = Mutex::new(());

/// Compares a generated section of a page, or writes it.
fn section(page: &str, name: &str, generated: &str) {
    let _one = PAGES.lock().unwrap_or_else(PoisonError::into_inner);
    let text = read(page);
    let (begin, end) = (format!("<!-- generated: {name} -->\n"), format!("<!-- end: {name} -->"));
    let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("{page} lacks {begin:?}"));
    let (held, after) = rest.split_once(&end).unwrap_or_else(|| panic!("{page} lacks {end:?}"));
    if std::env::var_os("UDFLEET_WRITE_DOCS").is_some() {
        std::fs::write(root().join(page), format!("{before}{begin}{generated}{end}{after}")).unwrap();
    } else {
        assert_eq!(held, generated, "{page} is not current: set UDFLEET_WRITE_DOCS=1 and run this test");
    }
}

/// Text in a cell of a table.
fn cell(text: &str) -> String {
    text.trim_end_matches('.').replace('|', "\\|").replace('\n', " ")
}

fn code(text: &str) -> String {
    if text.is_empty() { "–".to_owned() } else { format!("`{text}`") }
}

#[test]
fn function_keys() {
    let mut table = "| key | takes | default | meaning |\n|---|---|---|---|\n".to_owned();
    for key in KEYS {
        let takes = match key.value {
            ValueType::Integer { min, max } => format!("integer, {min} to {max}"),
            other => other.name().to_owned(),
        };
        writeln!(table, "| `{}` | {takes} | {} | {} |", key.name, code(key.default), cell(key.meaning)).unwrap();
    }
    section("docs/configuration.md", "function keys", &table);
}

const UNKNOWN: &str = "no-such-key = 1";

/// The keys that a TOML file may hold, as the refusal of an unknown one names them.
fn file_keys(refusal: &toml::de::Error) -> BTreeSet<String> {
    let (_, expected) = refusal.message().split_once("expected").unwrap();
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn process_table(command: &clap::Command, mut keys: BTreeSet<String>) -> String {
    let mut table = "| flag | variable | key in the file | meaning |\n|---|---|---|---|\n".to_owned();
    for argument in command.get_arguments().filter(|argument| !matches!(argument.get_id().as_str(), "help" | "version"))
    {
        let id = argument.get_id().as_str();
        let key = if keys.remove(id) { id } else { "" };
        let variable = argument.get_env().and_then(|name| name.to_str()).unwrap_or_default();
        let flag = format!("--{}", argument.get_long().unwrap());
        let meaning = cell(&argument.get_help().unwrap().to_string());
        writeln!(table, "| {} | {} | {} | {meaning} |", code(&flag), code(variable), code(key)).unwrap();
    }
    for key in keys {
        writeln!(table, "| – | – | {} | {} |", code(&key), table_meaning(&key)).unwrap();
    }
    table
}

/// What a table of the file holds, which no flag stands for.
fn table_meaning(key: &str) -> &'static str {
    match key {
        "certificates" => {
            "what callers may do by their certificates alone: [security.md](security.md#certificates-in-place-of-tokens)"
        }
        "functions" => "a table of function keys (in quotes) for functions that are registered without them",
        other => panic!("what is the table {other:?}?"),
    }
}

#[test]
fn coordinator_settings() {
    use udfleet_coordinator::config::{Config, Flags};
    let keys = file_keys(&toml::from_str::<Config>(UNKNOWN).unwrap_err());
    section("docs/configuration.md", "coordinator settings", &process_table(&Flags::command(), keys));
}

#[test]
fn executor_settings() {
    use udfleet_executor::config::{Arguments, Layer};
    let keys = file_keys(&toml::from_str::<Layer>(UNKNOWN).unwrap_err());
    section("docs/configuration.md", "executor settings", &process_table(&Arguments::command(), keys));
}

#[test]
fn bounds() {
    let mib =
        |bytes: u64| if bytes >= 1 << 30 { format!("{} GiB", bytes >> 30) } else { format!("{} MiB", bytes >> 20) };
    let rows = [
        ("one Flight message (a record batch with its header)", mib(limits::MAX_FRAME_BYTES as u64)),
        ("rows of one record batch", limits::MAX_BATCH_ROWS.to_string()),
        (
            "values of one record batch, each written out (views and dictionaries share them)",
            mib(limits::MAX_FRAME_BYTES as u64),
        ),
        ("one control message; a function's definition may take half of it", mib(limits::MAX_CONTROL_BYTES as u64)),
        ("one artifact (payload, file, archive)", mib(limits::MAX_ARTIFACT_BYTES)),
        ("batches of one stream in flight at one executor", limits::STREAM_WINDOW.to_string()),
        ("HTTP/2 window of one stream", mib(limits::STREAM_WINDOW_BYTES.into())),
        ("HTTP/2 window of one connection", mib(limits::CONNECTION_WINDOW_BYTES.into())),
        ("a function's name", format!("{} bytes", limits::MAX_NAME_BYTES)),
    ];
    let mut table = "| bound | value |\n|---|---|\n".to_owned();
    rows.iter().for_each(|(what, value)| writeln!(table, "| {what} | {value} |").unwrap());
    section("docs/configuration.md", "bounds", &table);
}

/// What the page of an error code tells, in this order.
const PARTS: [&str; 3] = ["\n## Cause\n", "\n## Example\n", "\n## What to do\n"];

/// A page tells of its own code, and shows a message of it.
fn check_error_page(name: &str) {
    let page = read(&format!("docs/errors/{name}.md"));
    assert!(page.starts_with(&format!("# {name}\n")), "docs/errors/{name}.md is headed otherwise");
    let found: Vec<_> = PARTS.iter().map(|part| page.find(part)).collect();
    assert!(found.iter().all(Option::is_some) && found.is_sorted(), "docs/errors/{name}.md lacks one of {PARTS:?}");
    assert!(page.contains(&format!("\n```\n{name}: ")), "docs/errors/{name}.md shows no message");
}

#[test]
fn error_codes() {
    let mut table = "| code | gRPC status | whose doing | retryable |\n|---|---|---|---|\n".to_owned();
    let mut pages = BTreeSet::from(["README.md".to_owned()]);
    for error in ErrorCode::ALL.into_iter().filter(|code| *code != ErrorCode::Unspecified) {
        let name = error.as_str_name();
        check_error_page(name);
        pages.insert(format!("{name}.md"));
        let fault = match error.fault() {
            Fault::User => "the caller's",
            Fault::System => "the fleet's",
            Fault::Capacity => "nobody's: no room now",
        };
        let (status, retryable) = (tonic::Code::from(error.grpc()), if error.retryable() { "yes" } else { "no" });
        writeln!(table, "| [`{name}`]({name}.md) | {status:?} | {fault} | {retryable} |").unwrap();
    }
    let files = std::fs::read_dir(root().join("docs/errors")).unwrap();
    let files: BTreeSet<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(files, pages, "docs/errors holds a page per code and nothing else");
    section("docs/errors/README.md", "codes", &table);
}

/// What each method takes, as processes check it.
#[test]
fn methods() {
    let mut table = "| method | port | takes | functions |\n|---|---|---|---|\n".to_owned();
    for method in METHODS {
        let ports: Vec<&str> = method.surfaces.iter().map(|surface| surface.name()).collect();
        let takes = match method.demand {
            Demand::Nothing => "nothing".to_owned(),
            Demand::Known => "any token".to_owned(),
            Demand::OneOf(rights) => {
                let sources: Vec<&str> = rights.iter().map(|right| right.source()).collect();
                sources.join(" or ")
            }
        };
        let functions = match method.functions {
            FunctionCheck::None => "",
            FunctionCheck::Named => "its patterns",
        };
        writeln!(table, "| `{}` | {} | {takes} | {functions} |", method.path, ports.join(", ")).unwrap();
    }
    section("docs/security.md", "methods", &table);
}

/// A service or method without an entry is refused: so each has one.
#[test]
fn every_method_of_every_service_has_an_entry() {
    for file in ["fleet", "cluster"] {
        let text = read(&format!("proto/proto/udfleet/v1/{file}.proto"));
        let mut service = "";
        for line in text.lines() {
            let words: Vec<&str> = line.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).collect();
            match words[..] {
                ["service", name] => service = name,
                ["rpc", name, ..] => {
                    let path = format!("/udfleet.v1.{service}/{name}");
                    assert!(METHODS.iter().any(|method| method.path == path), "edge/src/auth/table.rs lacks {path}");
                }
                _ => {}
            }
        }
    }
}

#[test]
fn types() {
    let page = read("docs/types.md");
    let mut table = "| type | Arrow type |\n|---|---|\n".to_owned();
    let part = |root| Some(Box::new(simple(root)));
    for number in 1..64 {
        let Ok(root) = TypeRoot::try_from(number) else { continue };
        let name = root.as_str_name();
        let described = ["`", "(", "<"].iter().any(|end| page.contains(&format!("`{name}{end}")));
        assert!(described, "docs/types.md says nothing about {name}");
        let example = DataType {
            length: 4,
            precision: if root == TypeRoot::Decimal { 10 } else { 3 },
            scale: 2,
            key: part(TypeRoot::Bigint),
            element: part(TypeRoot::Int),
            fields: vec![udfleet_proto::v1::Field { name: "a".to_owned(), r#type: Some(simple(TypeRoot::Int)) }],
            ..simple(root)
        };
        let example = match root {
            TypeRoot::Array | TypeRoot::Map | TypeRoot::Multiset => DataType { fields: Vec::new(), ..example },
            _ => example,
        };
        writeln!(table, "| `{}` | `{}` |", udfleet_proto::types::sql(&example), arrow_type(&example)).unwrap();
    }
    section("docs/types.md", "carriers", &table);
}

/// Metric names in a text: whatever stands in quotes, backticks or alone.
fn metric_names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("udfleet_")).map(str::to_owned).collect()
}

#[test]
fn metrics() {
    let page = read("docs/metrics.md");
    let (_, rest) = page.split_once("\n## Coordinator\n").unwrap();
    let (coordinator, executor) = rest.split_once("\n## Executor\n").unwrap();
    for (described, source) in
        [(coordinator, "coordinator/src/http/metrics.rs"), (executor, "executor/src/http/prometheus.rs")]
    {
        let code: String = [source, "edge/src/metrics.rs"]
            .map(|file| read(file).split("#[cfg(test)]").take(1).collect::<String>())
            .concat();
        let exported: BTreeSet<String> =
            code.split('"').skip(1).step_by(2).filter(|text| text.starts_with("udfleet_")).map(str::to_owned).collect();
        assert_eq!(metric_names(described), exported, "docs/metrics.md against {source}");
    }
}
