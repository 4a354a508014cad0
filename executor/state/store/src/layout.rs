//! Which keys the database has. All of a stream's lie together, so that one range holds them.
//!
//! | key | value |
//! |---|---|
//! | `p`, stream | its position record |
//! | `s`, stream, key of its state | a value |
//! | `e` | the epoch of the last opening that was complete, eight bytes |
//!
//! A stream is four bytes for how long its id is, big-endian, then the id: no id is the beginning of another.

pub(crate) const EPOCH: &[u8] = b"e";

pub(crate) fn position(stream: &str) -> Vec<u8> {
    prefix(b'p', stream)
}

/// What the keys of a stream's state begin with.
pub(crate) fn state_of(stream: &str) -> Vec<u8> {
    prefix(b's', stream)
}

pub(crate) fn state(stream: &str, key: &[u8]) -> Vec<u8> {
    let mut whole = state_of(stream);
    whole.extend(key);
    whole
}

fn prefix(kind: u8, stream: &str) -> Vec<u8> {
    let length = u32::try_from(stream.len()).unwrap_or(u32::MAX);
    let mut key = Vec::with_capacity(5 + stream.len());
    key.push(kind);
    key.extend(length.to_be_bytes());
    key.extend(stream.as_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::{position, state, state_of};

    #[test]
    fn no_stream_lies_in_another() {
        assert_eq!(position("ab"), b"p\0\0\0\x02ab");
        assert_eq!(state("ab", b"k"), b"s\0\0\0\x02abk");
        assert!(!state("abc", b"").starts_with(&state_of("ab")));
    }
}
