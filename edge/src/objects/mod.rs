//! Object stores: artifacts and keyed state lie in a folder, or in a bucket that is opened as Amazon's tools open it.

mod credentials;
mod location;

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientConfigKey, ObjectStore, RetryConfig};
use udfleet_proto::error::Error;

use crate::config::invalid;

pub use location::ObjectLocation;

const CONNECT_TIMEOUT: &str = "5 seconds";
const REQUEST_TIMEOUT: &str = "20 seconds";
/// Set by Amazon's tools for one service; the library lets it win over what we are told.
const ENDPOINT_OF_S3: &str = "AWS_ENDPOINT_URL_S3";

/// How a bucket is reached, where that is not as Amazon's variables say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BucketSettings {
    /// Another server than Amazon's.
    pub endpoint: Option<String>,
    /// Its region.
    pub region: Option<String>,
    /// Without TLS.
    pub allow_http: bool,
}

/// Tries of one request.
#[derive(Debug, Clone, Copy)]
pub struct Retries {
    /// After the first.
    pub most: usize,
    /// How long they may take, all of them together.
    pub within: Duration,
}

impl BucketSettings {
    /// Settings of a bucket are for a bucket, and plain text has to be asked for. `name` is that of the location's setting.
    ///
    /// # Errors
    /// `INVALID_CONFIG` saying what to set.
    pub fn check(&self, name: &str, location: Option<&ObjectLocation>) -> Result<(), Error> {
        let set =
            [("endpoint", self.endpoint.is_some()), ("region", self.region.is_some()), ("allow_http", self.allow_http)];
        if !matches!(location, Some(ObjectLocation::S3 { .. })) {
            return match set.iter().find(|(_, set)| *set) {
                Some((key, _)) => Err(invalid(format!("{name}_{key} is set, and {name} names no bucket"))
                    .hint(format!("set {name} to s3://BUCKET/PREFIX"))),
                None => Ok(()),
            };
        }
        match self.endpoint.as_deref() {
            Some(endpoint) if endpoint.starts_with("http://") && !self.allow_http => {
                Err(invalid(format!("{name}_endpoint is {endpoint}, and traffic is not encrypted there"))
                    .hint(format!("use https://, or set {name}_allow_http = true on a network that you trust")))
            }
            Some(endpoint) if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") => {
                Err(invalid(format!("{name}_endpoint is {endpoint:?}: expected https://HOST:PORT")))
            }
            _ => Ok(()),
        }
    }

    /// What is under a prefix of a bucket; nothing is asked of its server yet.
    ///
    /// # Errors
    /// `INVALID_CONFIG` where credentials can't be read; within, where the library refuses the settings.
    pub fn open(
        &self,
        bucket: &str,
        prefix: &str,
        retries: Retries,
    ) -> Result<object_store::Result<Arc<dyn ObjectStore>>, Error> {
        let builder = self.builder(bucket, retries)?;
        Ok(builder.build().map(|bucket| match prefix {
            "" => Arc::new(bucket) as Arc<dyn ObjectStore>,
            prefix => Arc::new(PrefixStore::new(bucket, prefix)),
        }))
    }

    /// Amazon's variables say what our settings do not.
    fn builder(&self, bucket: &str, retries: Retries) -> Result<AmazonS3Builder, Error> {
        // Two providers could be compiled in, by whatever else uses TLS: then one has to be chosen.
        crate::tls::install_provider();
        let mut builder = AmazonS3Builder::new();
        for (variable, value) in std::env::vars() {
            let overruled = self.endpoint.is_some() && variable == ENDPOINT_OF_S3;
            if variable.starts_with("AWS_")
                && !overruled
                && let Ok(key) = variable.to_ascii_lowercase().parse::<AmazonS3ConfigKey>()
            {
                builder = builder.with_config(key, value);
            }
        }
        builder = builder
            .with_bucket_name(bucket)
            .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::ConnectTimeout), CONNECT_TIMEOUT)
            .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::Timeout), REQUEST_TIMEOUT)
            .with_retry(RetryConfig {
                backoff: BackoffConfig::default(),
                max_retries: retries.most,
                retry_timeout: retries.within,
            });
        if let Some(endpoint) = &self.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some(region) = &self.region {
            builder = builder.with_region(region);
        }
        if self.allow_http {
            builder = builder.with_allow_http(true);
        }
        if let Some(file) = credentials::file()? {
            builder = builder.with_credentials(Arc::new(file));
        }
        Ok(builder)
    }
}
