//! Where artifacts are kept: the settings that begin with `artifact_store`.

use std::time::Duration;

use udfleet_edge::config::invalid;
use udfleet_edge::objects::{BucketSettings, ObjectLocation};
use udfleet_proto::error::Error;

use super::{Config, MetaStoreUrl};

/// What it takes to open the store of artifacts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactStoreSettings {
    /// Where.
    pub location: ObjectLocation,
    /// Of S3.
    pub bucket: BucketSettings,
    /// How long a file is kept that no function needs.
    pub ttl: Duration,
}

impl Config {
    /// What it takes to open the store of artifacts.
    #[must_use]
    pub fn artifact_store(&self) -> ArtifactStoreSettings {
        let beside = || ObjectLocation::Folder(self.data_dir.join("artifacts"));
        ArtifactStoreSettings {
            location: self.artifact_store.clone().unwrap_or_else(beside),
            bucket: self.artifact_bucket(),
            ttl: self.artifact_ttl.0,
        }
    }

    fn artifact_bucket(&self) -> BucketSettings {
        BucketSettings {
            endpoint: self.artifact_store_endpoint.clone(),
            region: self.artifact_store_region.clone(),
            allow_http: self.artifact_store_allow_http,
        }
    }
}

/// Coordinators that share metadata share artifacts; settings of S3 are for S3.
pub(super) fn check(config: &Config) -> Result<(), Error> {
    let bucket = matches!(config.artifact_store, Some(ObjectLocation::S3 { .. }));
    if !bucket && !config.artifact_store_shared && config.meta_store != MetaStoreUrl::Embedded {
        let folder = config.artifact_store().location;
        return Err(invalid(format!("meta_store is shared by coordinators, and artifact_store is the folder {folder}"))
            .hint("keep artifacts in a bucket (artifact_store = \"s3://BUCKET/PREFIX\"), or set artifact_store_shared = true where all coordinators have mounted that folder"));
    }
    config.artifact_bucket().check("artifact_store", config.artifact_store.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_s3_need_a_bucket_and_plain_text_has_to_be_asked_for() {
        let config = |text: &str| toml::from_str::<Config>(text).unwrap().check();
        assert!(config("").is_ok() && config("artifact_store = \"/srv/a\"\n").is_ok());
        assert!(config("artifact_store_region = \"eu-1\"\n").is_err());
        assert!(config("artifact_store_allow_http = true\nartifact_store = \"/srv/a\"\n").is_err());
        let bucket = "artifact_store = \"s3://b/p\"\n";
        assert!(config(bucket).is_ok());
        let plain = format!("{bucket}artifact_store_endpoint = \"http://s3:8333\"\n");
        assert!(config(&plain).unwrap_err().info().hint.contains("artifact_store_allow_http"));
        assert!(config(&format!("{plain}artifact_store_allow_http = true\n")).is_ok());
        assert!(config(&format!("{bucket}artifact_store_endpoint = \"s3:8333\"\n")).is_err());
    }

    #[test]
    fn coordinators_that_share_metadata_share_artifacts() {
        let config = |text: &str| {
            let config: Config = toml::from_str(&format!("meta_store = \"etcd://h:2379\"\n{text}")).unwrap();
            config.check()
        };
        for text in ["", "artifact_store = \"/srv/a\"\n"] {
            assert!(config(text).unwrap_err().info().hint.contains("artifact_store_shared"));
            assert!(config(&format!("{text}artifact_store_shared = true\n")).is_ok());
        }
        assert!(config("artifact_store = \"s3://b/p\"\n").is_ok());
    }

    #[test]
    fn by_default_artifacts_lie_beside_the_metadata() {
        let config = Config { data_dir: "/d".into(), ..Config::default() };
        assert_eq!(config.artifact_store().location, ObjectLocation::Folder("/d/artifacts".into()));
    }
}
