//! What the tests of the store share.
#![allow(dead_code)]

use std::path::Path;
use std::time::Duration;

use udfleet_state::{Digest, PositionRecord};
use udfleet_state_store::{Commit, StateChange, StatePlace, StoreOptions, local_object_store};

pub fn place(folder: &Path) -> StatePlace {
    StatePlace { objects: local_object_store(folder).unwrap(), folder: "function/0".into() }
}

pub fn options() -> StoreOptions {
    StoreOptions { patience: Duration::from_secs(20), ..StoreOptions::default() }
}

pub fn record(bundle: u64) -> PositionRecord {
    PositionRecord {
        session: 1,
        next_offset: bundle * 10,
        bundle,
        attempt: 1,
        epoch: 1,
        digest: Digest(bundle.into()),
        ..PositionRecord::default()
    }
}

pub fn entry(key: &str, value: &str) -> StateChange {
    StateChange { key: key.as_bytes().to_vec(), value: Some(value.as_bytes().to_vec()) }
}

pub fn commit(stream: &str, bundle: u64, changes: Vec<StateChange>) -> Commit<'_> {
    Commit { stream, record: record(bundle), changes }
}

/// How many files there are in a folder, however deep.
pub fn files(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries.flatten().map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { 1 }).sum()
}
