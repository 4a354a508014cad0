//! Under which keys of etcd things are: `PREFIX/entries/KEY`, and chunks of large values `PREFIX/chunks/KEY/ID/NUMBER`.

/// The keys of one fleet.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    entries: String,
    chunks: String,
}

/// Names the chunks of one value: every value has its own id, so that chunks are never changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ChunkSet {
    pub key: String,
    pub id: String,
}

impl Keys {
    pub fn new(prefix: &str) -> Self {
        Self { entries: format!("{prefix}/entries/"), chunks: format!("{prefix}/chunks/") }
    }

    pub fn entry(&self, key: &str) -> String {
        format!("{}{key}", self.entries)
    }

    /// The key of an entry as the store's users know it.
    pub fn key_of(&self, raw: &[u8]) -> Option<String> {
        Some(std::str::from_utf8(raw).ok()?.strip_prefix(&self.entries)?.to_owned())
    }

    /// What all chunks of all values begin with.
    pub fn all_chunks(&self) -> &str {
        &self.chunks
    }

    /// What the chunks of one value begin with.
    pub fn chunk_set(&self, set: &ChunkSet) -> String {
        format!("{}{}/{}/", self.chunks, set.key, set.id)
    }

    /// In the order of their keys, chunks are in the order of their numbers.
    pub fn chunk(&self, set: &ChunkSet, number: usize) -> String {
        format!("{}{number:04}", self.chunk_set(set))
    }

    /// Which value a chunk belongs to.
    pub fn set_of(&self, raw: &[u8]) -> Option<ChunkSet> {
        let (rest, _number) = std::str::from_utf8(raw).ok()?.strip_prefix(&self.chunks)?.rsplit_once('/')?;
        let (key, id) = rest.rsplit_once('/')?;
        Some(ChunkSet { key: key.to_owned(), id: id.to_owned() })
    }
}

/// The first key after all that begin with `prefix`.
pub(super) fn end_of(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    // etcd's word for "to the end of all keys".
    vec![0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_again() {
        let keys = Keys::new("/udfleet");
        assert_eq!(keys.key_of(keys.entry("functions/add/3").as_bytes()).as_deref(), Some("functions/add/3"));
        assert_eq!(keys.key_of(b"/udfleeter/entries/a"), None);
        let set = ChunkSet { key: "functions/add/3".to_owned(), id: "0a".to_owned() };
        assert_eq!(keys.set_of(keys.chunk(&set, 12).as_bytes()), Some(set.clone()));
        assert!(keys.chunk(&set, 9) < keys.chunk(&set, 10));
        assert_eq!(end_of("a/"), b"a0");
    }
}
