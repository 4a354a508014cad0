//! From settings to an object store.

use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientConfigKey, ObjectStore, RetryConfig};
use udfleet_edge::config::invalid;
use udfleet_proto::error::Error;

use super::credentials;
use crate::config::{ArtifactLocation, ArtifactStoreSettings};

/// Tries of one request to a bucket, all of them together and each.
const RETRY_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_RETRIES: usize = 4;
const CONNECT_TIMEOUT: &str = "5 seconds";
const REQUEST_TIMEOUT: &str = "20 seconds";
/// Set by Amazon's tools for one service; the library lets it win over what we are told.
const ENDPOINT_OF_S3: &str = "AWS_ENDPOINT_URL_S3";

/// An object store, and the folder that it is, if it is one.
pub(super) struct Backing {
    pub objects: Arc<dyn ObjectStore>,
    pub folder: Option<PathBuf>,
}

/// Opens what the settings name.
pub(super) async fn open(settings: &ArtifactStoreSettings) -> Result<Backing, Error> {
    let unusable = |error: &dyn std::fmt::Display| invalid(format!("artifact_store {}: {error}", settings.location));
    match &settings.location {
        ArtifactLocation::Folder(path) => {
            let folder = path.clone();
            let made = tokio::task::spawn_blocking(move || make_folder(&folder)).await.map_err(io::Error::other);
            made.flatten().map_err(|e| unusable(&e))?;
            let objects = LocalFileSystem::new_with_prefix(path).map_err(|e| unusable(&e))?.with_fsync(true);
            Ok(Backing { objects: Arc::new(objects), folder: Some(path.clone()) })
        }
        ArtifactLocation::S3 { bucket, prefix } => {
            let bucket = self::bucket(bucket, settings)?.build().map_err(|e| unusable(&e))?;
            let objects: Arc<dyn ObjectStore> = match prefix.as_str() {
                "" => Arc::new(bucket),
                prefix => Arc::new(PrefixStore::new(bucket, prefix)),
            };
            Ok(Backing { objects, folder: None })
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

/// Amazon's variables say what our settings do not.
fn bucket(name: &str, settings: &ArtifactStoreSettings) -> Result<AmazonS3Builder, Error> {
    // Two providers could be compiled in, by whatever else uses TLS: then one has to be chosen.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = AmazonS3Builder::new();
    for (variable, value) in std::env::vars() {
        let overruled = settings.endpoint.is_some() && variable == ENDPOINT_OF_S3;
        if variable.starts_with("AWS_")
            && !overruled
            && let Ok(key) = variable.to_ascii_lowercase().parse::<AmazonS3ConfigKey>()
        {
            builder = builder.with_config(key, value);
        }
    }
    builder = builder
        .with_bucket_name(name)
        .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::ConnectTimeout), CONNECT_TIMEOUT)
        .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::Timeout), REQUEST_TIMEOUT)
        .with_retry(RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: MAX_RETRIES,
            retry_timeout: RETRY_TIMEOUT,
        });
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(region) = &settings.region {
        builder = builder.with_region(region);
    }
    if settings.allow_http {
        builder = builder.with_allow_http(true);
    }
    if let Some(file) = credentials::file()? {
        builder = builder.with_credentials(Arc::new(file));
    }
    Ok(builder)
}
