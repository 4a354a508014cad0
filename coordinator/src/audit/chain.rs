//! The chain of hashes.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::event::AuditEvent;

/// What a line's hash comes after.
const HASH_FIELD: &str = ",\"hash\":\"";

/// Where the chain ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ChainEnd {
    /// Number of the last line; lines count from 1.
    pub sequence: u64,
    /// Its hash.
    pub hash: String,
}

impl Default for ChainEnd {
    /// Before the first line.
    fn default() -> Self {
        Self { sequence: 0, hash: "0".repeat(64) }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    sequence: u64,
    previous: &'a str,
    #[serde(flatten)]
    event: &'a AuditEvent,
}

impl ChainEnd {
    /// The next line, with its end.
    pub fn next(&mut self, event: &AuditEvent) -> serde_json::Result<String> {
        let line = Line { sequence: self.sequence + 1, previous: &self.hash, event };
        let mut text = serde_json::to_string(&line)?;
        text.pop();
        let hash = hex::encode(Sha256::digest(&text));
        text.push_str(HASH_FIELD);
        text.push_str(&hash);
        text.push_str("\"}\n");
        *self = Self { sequence: self.sequence + 1, hash };
        Ok(text)
    }

    /// The end of a chain whose last line this is; none where it is no whole line of a log.
    pub fn of_line(line: &str) -> Option<Self> {
        let (content, rest) = line.rsplit_once(HASH_FIELD)?;
        let hash = rest.strip_suffix("\"}")?;
        let value: serde_json::Value = serde_json::from_str(line).ok()?;
        let sequence = value.get("sequence")?.as_u64()?;
        (hex::encode(Sha256::digest(content)) == hash).then(|| Self { sequence, hash: hash.to_owned() })
    }
}
