//! Builds with the real uv, and its real package index.

use std::io::Write;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tonic::transport::Channel;
use udfleet_proto::v1::{Artifact, Environment, ErrorCode};

use super::*;
use crate::artifact::{ArtifactStore, Source};
use crate::sandbox::Sandbox;
use udfleet_edge::auth::SendToken;

use crate::coordinators::Coordinators;

/// A store whose coordinator can't be reached: artifacts are there already or fail.
struct Bench {
    folder: tempfile::TempDir,
    pythons: Pythons,
}

type Lines = Arc<Mutex<Vec<String>>>;

impl Bench {
    async fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), pythons: Pythons::discover(&[], &Sandbox::off()).await }
    }

    fn store(&self) -> EnvironmentStore {
        let channel = Channel::from_static("http://127.0.0.1:1").connect_lazy();
        let source = Source::new(Arc::new(Coordinators::new("test", channel)), SendToken::new(None).unwrap());
        let artifacts = Arc::new(ArtifactStore::new(self.folder.path().join("artifacts"), source).unwrap());
        let dir = self.folder.path().join("environments");
        EnvironmentStore::new(dir, None, self.pythons.clone(), artifacts, Sandbox::off()).unwrap()
    }

    fn artifact(&self, name: &str, content: &[u8]) -> Artifact {
        let hash = hex::encode(Sha256::digest(content));
        let dir = self.folder.path().join("artifacts");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join(&hash), content).unwrap();
        Artifact { hash, name: name.to_owned(), size: content.len() as u64 }
    }
}

fn log() -> (BuildLog, Lines) {
    let lines = Lines::default();
    let sink = Arc::clone(&lines);
    (Arc::new(move |line: &str| sink.lock().push(line.to_owned())), lines)
}

fn requirements(lines: &[&str]) -> Environment {
    Environment { requirements: lines.iter().map(|l| (*l).to_owned()).collect(), ..Environment::default() }
}

async fn obtain(
    store: &EnvironmentStore,
    environment: &Environment,
) -> Result<store::LeasedEnvironment, udfleet_proto::error::Error> {
    store.obtain(&udfleet_proto::environment::hash(environment), environment, &log().0).await
}

/// Runs code as an interpreter would see the environment.
fn run(built: &Built, code: &str) -> String {
    let code = format!("import sys; sys.path[:0] = {:?}\n{code}", built.sys_path);
    let output =
        Command::new(&built.python).args(["-I", "-c", &code]).current_dir(&built.working_dir).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn zipped(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, text) in entries {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn packages_are_installed_once_for_all_who_ask() {
    let bench = Bench::new().await;
    let (one, two) = (bench.store(), bench.store());
    let environment = requirements(&["haversine"]);
    let hash = udfleet_proto::environment::hash(&environment);
    let (sink, lines) = log();
    // Held by all of them until the last one has it: whoever waits must see that somebody else has finished.
    let all = [&one, &two, &one, &two].map(|store| store.obtain(&hash, &environment, &sink));
    let held = futures::future::join_all(all).await;
    assert!(held.iter().all(Result::is_ok), "{held:?}");
    let installs = lines.lock().iter().filter(|line| line.contains("+ haversine")).count();
    assert_eq!(installs, 1, "{:?}", lines.lock());
    let built = held[0].as_ref().unwrap().built.clone();
    assert_eq!(run(&built, "import haversine; print(haversine.haversine((0, 0), (0, 0)))"), "0.0");
    assert_eq!(one.built(), std::slice::from_ref(&hash));
    assert!(two.collect(Duration::ZERO).is_empty(), "in use");
    drop(held);
    assert!(two.collect(Duration::from_secs(60)).is_empty(), "used just now");
    // Its modules may still be being compiled.
    while two.collect(Duration::ZERO) != [hash.clone()] {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(one.built().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_does_not_exist_is_named_and_can_be_tried_again() {
    let bench = Bench::new().await;
    let store = bench.store();
    for _ in 0..2 {
        let error = obtain(&store, &requirements(&["udfleet-no-such-package-xyz"])).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::EnvironmentFailed);
        assert!(error.info().message.contains("\"udfleet-no-such-package-xyz\""), "{error}");
    }
    assert!(store.built().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_environment_is_built_anew() {
    let bench = Bench::new().await;
    let store = bench.store();
    let environment = Environment::default();
    let venv = obtain(&store, &environment).await.unwrap().built.python.parent().unwrap().parent().unwrap().to_owned();
    std::fs::remove_file(venv.parent().unwrap().join("complete.json")).unwrap();
    std::fs::remove_file(venv.join("bin/python")).unwrap();
    std::fs::write(venv.join("bin/python"), "half").unwrap();
    let held = obtain(&store, &environment).await.unwrap();
    assert_eq!(run(&held.built, "print(sys.prefix)"), venv.canonicalize().unwrap().display().to_string());
    assert!(held.built.version.starts_with('3'));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_working_folder_is_built_anew() {
    let bench = Bench::new().await;
    let store = bench.store();
    let archives = vec![bench.artifact("data", &zipped(&[("numbers.txt", "7")]))];
    let environment = Environment { archives, ..Environment::default() };
    let working = obtain(&store, &environment).await.unwrap().built.working_dir.clone();
    std::fs::remove_dir_all(&working).unwrap();
    let held = obtain(&store, &environment).await.unwrap();
    assert_eq!(run(&held.built, "print(open('data/numbers.txt').read())"), "7");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_build_leaves_nothing() {
    let bench = Bench::new().await;
    let store = bench.store();
    let archives =
        vec![bench.artifact("data", &zipped(&[("numbers.txt", "7")])), bench.artifact("broken", b"no archive at all")];
    let environment = Environment { archives, ..Environment::default() };
    assert_eq!(obtain(&store, &environment).await.unwrap_err().code(), ErrorCode::EnvironmentFailed);
    // The SDK's copy lies beside environments.
    let entries = std::fs::read_dir(bench.folder.path().join("environments")).unwrap().flatten();
    let folders = entries.filter(|entry| entry.path().is_dir() && entry.file_name() != "runtime");
    assert_eq!(folders.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_means_another_python_by_now_is_another_environment() {
    let bench = Bench::new().await;
    let store = bench.store();
    let link = bench.folder.path().join("house-python");
    let environment = Environment { python: link.display().to_string(), ..Environment::default() };
    for python in bench.pythons.usable() {
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(&python.executable, &link).unwrap();
        for _ in 0..2 {
            let held = obtain(&store, &environment).await.unwrap();
            assert_eq!(held.built.version, python.version_text());
        }
    }
    assert_eq!(store.built(), [udfleet_proto::environment::hash(&environment)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_python_of_this_node_makes_an_environment() {
    let bench = Bench::new().await;
    let store = bench.store();
    for python in bench.pythons.usable() {
        let environment = Environment { python: python.version_text(), ..Environment::default() };
        let held = obtain(&store, &environment).await.unwrap();
        assert_eq!(run(&held.built, "print('%d.%d.%d' % sys.version_info[:3])"), python.version_text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_and_archives_are_laid_out() {
    let bench = Bench::new().await;
    let environment = Environment {
        files: vec![
            bench.artifact("helper.py", b"value = 41"),
            bench.artifact("lib.zip", &zipped(&[("lib/__init__.py", "more = 1")])),
        ],
        archives: vec![bench.artifact("data", &zipped(&[("numbers.txt", "7")]))],
        ..Environment::default()
    };
    let held = obtain(&bench.store(), &environment).await.unwrap();
    let code = "import helper, lib; print(helper.value + lib.more, open('data/numbers.txt').read())";
    assert_eq!(run(&held.built, code), "42 7");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_may_lie_inside_an_archive() {
    let bench = Bench::new().await;
    let python = bench.pythons.usable().next().unwrap();
    let script = format!("#!/bin/sh\nexec {} \"$@\"\n", python.executable.display());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o755);
    header.set_size(script.len() as u64);
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_data(&mut header, "bin/python", script.as_bytes()).unwrap();
    let environment = Environment {
        python: "mine/bin/python".to_owned(),
        archives: vec![bench.artifact("mine", &tar.into_inner().unwrap())],
        ..Environment::default()
    };
    let held = obtain(&bench.store(), &environment).await.unwrap();
    assert_eq!(held.built.version, python.version_text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requirements_cache_needs_no_network() {
    let bench = Bench::new().await;
    let metadata = "Metadata-Version: 2.1\nName: tiny-offline\nVersion: 1.0\n";
    let wheel = zipped(&[
        ("tiny_offline.py", "x = 5"),
        ("tiny_offline-1.0.dist-info/METADATA", metadata),
        ("tiny_offline-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
        ("tiny_offline-1.0.dist-info/RECORD", "tiny_offline.py,,\n"),
    ]);
    let mut cache = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let name = "tiny_offline-1.0-py3-none-any.whl";
    cache.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
    cache.write_all(&wheel).unwrap();
    let mut environment = requirements(&["tiny-offline"]);
    environment.requirements_cache = Some(bench.artifact("cache", &cache.finish().unwrap().into_inner()));
    let held = obtain(&bench.store(), &environment).await.unwrap();
    assert_eq!(run(&held.built, "import tiny_offline; print(tiny_offline.x)"), "5");
    environment.requirements = vec!["haversine".to_owned()];
    let error = obtain(&bench.store(), &environment).await.unwrap_err();
    assert!(error.info().message.contains("\"haversine\""), "{error}");
}
