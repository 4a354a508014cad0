//! Where artifacts are kept: the settings that begin with `artifact_store`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use udfleet_edge::config::invalid;
use udfleet_proto::error::Error;

use super::{Config, MetaStoreUrl};

/// `s3://BUCKET/PREFIX`, `file:///FOLDER` or the path of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArtifactLocation {
    /// A folder of this machine, or one that several machines have mounted.
    Folder(PathBuf),
    /// What speaks S3's protocol.
    S3 {
        /// The bucket, which has to exist.
        bucket: String,
        /// What all keys begin with; empty: nothing.
        prefix: String,
    },
}

impl FromStr for ArtifactLocation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected s3://BUCKET/PREFIX, file:///FOLDER or the path of a folder";
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (scheme, rest),
            None if text.is_empty() => return Err(format!("it is empty: {expected}")),
            None => return Ok(Self::Folder(text.into())),
        };
        match scheme {
            "file" if rest.starts_with('/') => Ok(Self::Folder(rest.into())),
            "s3" => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                let named = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
                if bucket.is_empty() || !bucket.chars().all(named) {
                    return Err(format!("{text:?} names no bucket: {expected}"));
                }
                Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.trim_matches('/').to_owned() })
            }
            _ => Err(format!("{text:?} is no place that artifacts can be kept at: {expected}")),
        }
    }
}

impl fmt::Display for ArtifactLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

impl Serialize for ArtifactLocation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ArtifactLocation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What it takes to open the store of artifacts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactStoreSettings {
    /// Where.
    pub location: ArtifactLocation,
    /// Of S3: another server than Amazon's.
    pub endpoint: Option<String>,
    /// Of S3.
    pub region: Option<String>,
    /// Of S3: without TLS.
    pub allow_http: bool,
    /// How long a file is kept that no function needs.
    pub ttl: Duration,
}

impl Config {
    /// What it takes to open the store of artifacts.
    #[must_use]
    pub fn artifact_store(&self) -> ArtifactStoreSettings {
        let beside = || ArtifactLocation::Folder(self.data_dir.join("artifacts"));
        ArtifactStoreSettings {
            location: self.artifact_store.clone().unwrap_or_else(beside),
            endpoint: self.artifact_store_endpoint.clone(),
            region: self.artifact_store_region.clone(),
            allow_http: self.artifact_store_allow_http,
            ttl: self.artifact_ttl.0,
        }
    }
}

/// Coordinators that share metadata share artifacts; settings of S3 are for S3.
pub(super) fn check(config: &Config) -> Result<(), Error> {
    let of_s3 = [
        ("artifact_store_endpoint", config.artifact_store_endpoint.is_some()),
        ("artifact_store_region", config.artifact_store_region.is_some()),
        ("artifact_store_allow_http", config.artifact_store_allow_http),
    ];
    let bucket = matches!(config.artifact_store, Some(ArtifactLocation::S3 { .. }));
    if !bucket && !config.artifact_store_shared && config.meta_store != MetaStoreUrl::Embedded {
        let folder = config.artifact_store().location;
        return Err(invalid(format!("meta_store is shared by coordinators, and artifact_store is the folder {folder}"))
            .hint("keep artifacts in a bucket (artifact_store = \"s3://BUCKET/PREFIX\"), or set artifact_store_shared = true where all coordinators have mounted that folder"));
    }
    if !bucket {
        return match of_s3.iter().find(|(_, set)| *set) {
            Some((key, _)) => Err(invalid(format!("{key} is set, and artifact_store names no bucket"))
                .hint("set artifact_store to s3://BUCKET/PREFIX")),
            None => Ok(()),
        };
    }
    match config.artifact_store_endpoint.as_deref() {
        Some(endpoint) if endpoint.starts_with("http://") && !config.artifact_store_allow_http => {
            Err(invalid(format!("artifact_store_endpoint is {endpoint}, and traffic is not encrypted there"))
                .hint("use https://, or set artifact_store_allow_http = true on a network that you trust"))
        }
        Some(endpoint) if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") => {
            Err(invalid(format!("artifact_store_endpoint is {endpoint:?}: expected https://HOST:PORT")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s3(bucket: &str, prefix: &str) -> ArtifactLocation {
        ArtifactLocation::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() }
    }

    #[test]
    fn folders_and_buckets_are_told_apart() {
        for (text, location) in [
            ("s3://b", s3("b", "")),
            ("s3://b.c-1/", s3("b.c-1", "")),
            ("s3://b/udfleet/prod/", s3("b", "udfleet/prod")),
            ("file:///srv/artifacts", ArtifactLocation::Folder("/srv/artifacts".into())),
            ("relative/folder", ArtifactLocation::Folder("relative/folder".into())),
        ] {
            assert_eq!(text.parse(), Ok(location.clone()), "{text}");
            assert_eq!(location.to_string().parse(), Ok(location), "{text}");
        }
        for text in ["", "s3://", "s3:///x", "s3://UPPER/x", "s3://a b", "gs://b/x", "file://host/x", "https://x"] {
            assert!(text.parse::<ArtifactLocation>().is_err(), "{text}");
        }
    }

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
        assert_eq!(config.artifact_store().location, ArtifactLocation::Folder("/d/artifacts".into()));
    }
}
