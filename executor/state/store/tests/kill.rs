//! An owner that is killed: what it said is durable, and each commit is whole.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use common::{commit, entry, options, place, record};
use tempfile::tempdir;
use udfleet_state_store::PartitionStore;

/// Where the process under test keeps its state: set, this program is that process.
const FOLDER: &str = "UDFLEET_TEST_STATE_FOLDER";
const EPOCH: &str = "UDFLEET_TEST_STATE_EPOCH";

/// The process under test: opens the state and commits for ever, and says each time what it does.
#[tokio::test(flavor = "multi_thread")]
async fn owner_process() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let epoch = std::env::var(EPOCH).unwrap().parse().unwrap();
    say("opening", 0);
    let store = PartitionStore::open(&place(Path::new(&folder)), epoch, options()).await.unwrap();
    let mut bundle = store.position("s").await.unwrap().bundle;
    say("open", bundle);
    loop {
        bundle += 1;
        let changes = (0..20).map(|key| entry(&format!("k{key}"), &bundle.to_string())).collect();
        say("writing", bundle);
        store.commit(commit("s", bundle, changes)).await.unwrap();
        say("durable", bundle);
    }
}

fn say(what: &str, bundle: u64) {
    let mut out = std::io::stdout();
    writeln!(out, "\n@ {what} {bundle}").unwrap();
    out.flush().unwrap();
}

fn start(folder: &Path, epoch: u64) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["owner_process", "--exact", "--nocapture"])
        .env(FOLDER, folder)
        .env(EPOCH, epoch.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    (child, out)
}

/// Kills an owner where it has said `what` for the `count`th time; gives the last bundle that it said is durable.
fn kill_at(folder: &Path, epoch: u64, what: &str, count: usize) -> u64 {
    let (mut child, out) = start(folder, epoch);
    let mut said = 0;
    let mut durable = 0;
    for line in out.lines() {
        let line = line.unwrap();
        let Some(words) = line.strip_prefix("@ ") else { continue };
        let (said_what, bundle) = words.split_once(' ').unwrap();
        if matches!(said_what, "durable" | "open") {
            durable = bundle.parse().unwrap();
        }
        said += usize::from(said_what == what);
        if said == count {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(said, count, "the owner ended by itself");
    durable
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_owner_loses_nothing_that_it_called_durable() {
    let folder = tempdir().unwrap();
    let points =
        [("opening", 1), ("open", 1), ("writing", 1), ("durable", 1), ("writing", 7), ("durable", 5), ("writing", 30)];
    let mut epoch = 0;
    let mut known = 0;
    for (what, count) in points {
        epoch += 1;
        let durable = kill_at(folder.path(), epoch, what, count).max(known);
        epoch += 1;
        let store = PartitionStore::open(&place(folder.path()), epoch, options()).await.unwrap();
        let found = store.position("s").await.unwrap();
        assert!(found.bundle >= durable, "{what} {count}: {found:?}, said {durable}");
        check(&store, found.bundle).await;
        known = found.bundle;
    }
}

/// Every key is as the record says: a commit is there as a whole, or not at all.
async fn check(store: &PartitionStore, bundle: u64) {
    if bundle == 0 {
        return;
    }
    assert_eq!(store.position("s").await.unwrap(), record(bundle));
    let keys: Vec<_> = (0..20).map(|key| format!("k{key}").into_bytes()).collect();
    for value in store.read("s", &keys).await.unwrap() {
        assert_eq!(value, Some(bundle.to_string().into()));
    }
}
