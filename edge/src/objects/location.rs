//! Where objects are kept: a folder, or a bucket.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `s3://BUCKET/PREFIX`, `file:///FOLDER` or the path of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectLocation {
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

impl FromStr for ObjectLocation {
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
            _ => Err(format!("{text:?} is no place for objects: {expected}")),
        }
    }
}

impl fmt::Display for ObjectLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

impl Serialize for ObjectLocation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ObjectLocation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s3(bucket: &str, prefix: &str) -> ObjectLocation {
        ObjectLocation::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() }
    }

    #[test]
    fn folders_and_buckets_are_told_apart() {
        for (text, location) in [
            ("s3://b", s3("b", "")),
            ("s3://b.c-1/", s3("b.c-1", "")),
            ("s3://b/udfleet/prod/", s3("b", "udfleet/prod")),
            ("file:///srv/artifacts", ObjectLocation::Folder("/srv/artifacts".into())),
            ("relative/folder", ObjectLocation::Folder("relative/folder".into())),
        ] {
            assert_eq!(text.parse(), Ok(location.clone()), "{text}");
            assert_eq!(location.to_string().parse(), Ok(location), "{text}");
        }
        for text in ["", "s3://", "s3:///x", "s3://UPPER/x", "s3://a b", "gs://b/x", "file://host/x", "https://x"] {
            assert!(text.parse::<ObjectLocation>().is_err(), "{text}");
        }
    }
}
