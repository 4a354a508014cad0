//! From settings to an object store.

use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use udfleet_edge::config::invalid;
use udfleet_edge::objects::{ObjectLocation, Retries};
use udfleet_proto::error::Error;

use crate::config::ArtifactStoreSettings;

/// Of one request to a bucket.
const RETRIES: Retries = Retries { most: 4, within: Duration::from_secs(10) };

/// An object store, and the folder that it is, if it is one.
pub(super) struct Backing {
    pub objects: Arc<dyn ObjectStore>,
    pub folder: Option<PathBuf>,
}

/// Opens what the settings name.
pub(super) async fn open(settings: &ArtifactStoreSettings) -> Result<Backing, Error> {
    let unusable = |error: &dyn std::fmt::Display| invalid(format!("artifact_store {}: {error}", settings.location));
    match &settings.location {
        ObjectLocation::Folder(path) => {
            let folder = path.clone();
            let made = tokio::task::spawn_blocking(move || make_folder(&folder)).await.map_err(io::Error::other);
            made.flatten().map_err(|e| unusable(&e))?;
            let objects = LocalFileSystem::new_with_prefix(path).map_err(|e| unusable(&e))?.with_fsync(true);
            Ok(Backing { objects: Arc::new(objects), folder: Some(path.clone()) })
        }
        ObjectLocation::S3 { bucket, prefix } => {
            let opened = settings.bucket.open(bucket, prefix, RETRIES)?;
            Ok(Backing { objects: opened.map_err(|e| unusable(&e))?, folder: None })
        }
    }
}

/// Only we read what functions are made of.
fn make_folder(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    // Earlier versions wrote uploads there first.
    match std::fs::remove_dir_all(path.join("incoming")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
