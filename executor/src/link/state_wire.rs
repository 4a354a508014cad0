//! What an interpreter asks about keyed state while a bundle runs, and what it is answered, as bytes. Numbers are
//! little-endian; a text of bytes is its length in four bytes, then itself. `python-sdk/src/udfleet/_state/channel.py` is the
//! other end.

use bytes::Bytes;
use thiserror::Error;

/// A change: a key with its new value, or none where it is deleted.
pub type Change = (Vec<u8>, Option<Bytes>);

/// A request of a function, about the state of the bundle that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateRequest {
    /// The values of these keys.
    Read(Vec<Vec<u8>>),
    /// Entries whose keys begin with `prefix`, those behind `after` where it is given.
    Page {
        /// What keys begin with.
        prefix: Vec<u8>,
        /// The last key of the page before.
        after: Option<Vec<u8>>,
        /// The most entries.
        limit: usize,
    },
    /// Deletes all whose keys begin with one of `cleared`, then makes the changes.
    Write {
        /// What keys of deleted entries begin with.
        cleared: Vec<Vec<u8>>,
        /// In their order.
        changes: Vec<Change>,
    },
}

/// What a request is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateAnswer {
    /// Values of the first keys, in their order: of all, unless they are large, and of one at least.
    Values(Vec<Option<Bytes>>),
    /// Entries in the order of their keys, and whether they are the last.
    Page {
        /// Keys and values.
        entries: Vec<(Bytes, Bytes)>,
        /// Nothing lies behind them.
        is_last: bool,
    },
    /// It is done.
    Written,
    /// Why it can't be done.
    Failed(String),
}

/// Bytes that are no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a request about keyed state that is cut short, of an unknown kind, or with more than {most} keys", most = MAX_ITEMS)]
pub struct Malformed;

/// The most keys, prefixes or changes of a request: decoded they take many times the bytes that they are sent in.
const MAX_ITEMS: usize = 100_000;

const READ: u8 = 1;
const PAGE: u8 = 2;
const WRITE: u8 = 3;
const DONE: u8 = 0;
const FAILED: u8 = 1;

/// The number of the bundle that a request belongs to, and the request.
///
/// # Errors
/// [`Malformed`].
pub fn decode(bytes: &[u8]) -> Result<(u64, StateRequest), Malformed> {
    let mut input = Input(bytes);
    let token = u64::from_le_bytes(input.fixed()?);
    let request = match input.byte()? {
        READ => StateRequest::Read(input.list(Input::text)?),
        PAGE => StateRequest::Page {
            prefix: input.text()?,
            after: input.option(Input::text)?,
            limit: usize::try_from(input.number()?).map_err(|_| Malformed)?,
        },
        WRITE => StateRequest::Write {
            cleared: input.list(Input::text)?,
            changes: input.list(|input| Ok((input.text()?, input.option(Input::text)?.map(Bytes::from))))?,
        },
        _ => return Err(Malformed),
    };
    if input.0.is_empty() { Ok((token, request)) } else { Err(Malformed) }
}

/// An answer, behind its length.
#[must_use]
pub fn encode(answer: &StateAnswer) -> Vec<u8> {
    let mut out = vec![0; 4];
    out.push(if matches!(answer, StateAnswer::Failed(_)) { FAILED } else { DONE });
    match answer {
        StateAnswer::Values(values) => {
            for value in values {
                out.push(u8::from(value.is_some()));
                value.iter().for_each(|value| put(&mut out, value));
            }
        }
        StateAnswer::Page { entries, is_last } => {
            out.push(u8::from(*is_last));
            for (key, value) in entries {
                put(&mut out, key);
                put(&mut out, value);
            }
        }
        StateAnswer::Written => {}
        StateAnswer::Failed(why) => out.extend(why.as_bytes()),
    }
    let length = u32::try_from(out.len() - 4).unwrap_or(u32::MAX).to_le_bytes();
    out[..4].copy_from_slice(&length);
    out
}

fn put(out: &mut Vec<u8>, text: &[u8]) {
    out.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend(text);
}

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (first, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*first)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        self.fixed::<1>().map(|[byte]| byte)
    }

    fn number(&mut self) -> Result<u32, Malformed> {
        self.fixed().map(u32::from_le_bytes)
    }

    fn text(&mut self) -> Result<Vec<u8>, Malformed> {
        let length = self.number()? as usize;
        let (text, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(text.to_vec())
    }

    fn option<T>(&mut self, read: impl Fn(&mut Self) -> Result<T, Malformed>) -> Result<Option<T>, Malformed> {
        match self.byte()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(Malformed),
        }
    }

    fn list<T>(&mut self, read: impl Fn(&mut Self) -> Result<T, Malformed>) -> Result<Vec<T>, Malformed> {
        let count = self.number()? as usize;
        if count > MAX_ITEMS {
            return Err(Malformed);
        }
        // Each item has a byte at least: a count that lies costs nothing.
        let mut items = Vec::with_capacity(count.min(self.0.len()));
        for _ in 0..count {
            items.push(read(self)?);
        }
        Ok(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(kind: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = 7u64.to_le_bytes().to_vec();
        bytes.push(kind);
        bytes.extend(rest);
        bytes
    }

    #[test]
    fn requests_are_read() {
        let read = request(READ, b"\x02\0\0\0\x01\0\0\0a\0\0\0\0");
        assert_eq!(decode(&read), Ok((7, StateRequest::Read(vec![b"a".to_vec(), Vec::new()]))));
        let page = request(PAGE, b"\x01\0\0\0p\x01\x01\0\0\0q\x09\0\0\0");
        let expected = StateRequest::Page { prefix: b"p".to_vec(), after: Some(b"q".to_vec()), limit: 9 };
        assert_eq!(decode(&page), Ok((7, expected)));
        let write = request(WRITE, b"\x01\0\0\0\x01\0\0\0c\x02\0\0\0\x01\0\0\0k\0\x01\0\0\0l\x01\x01\0\0\0v");
        let changes = vec![(b"k".to_vec(), None), (b"l".to_vec(), Some("v".into()))];
        assert_eq!(decode(&write), Ok((7, StateRequest::Write { cleared: vec![b"c".to_vec()], changes })));
    }

    #[test]
    fn what_is_cut_short_or_too_long_is_refused() {
        let whole = request(READ, b"\x01\0\0\0\x01\0\0\0a");
        for end in 0..whole.len() {
            assert_eq!(decode(&whole[..end]), Err(Malformed));
        }
        assert_eq!(decode(&[whole.as_slice(), b"x"].concat()), Err(Malformed));
        assert_eq!(decode(&request(9, b"")), Err(Malformed));
        assert_eq!(decode(&request(READ, b"\xff\xff\xff\xff")), Err(Malformed), "a count that lies");
        for (count, fits) in [(MAX_ITEMS, true), (MAX_ITEMS + 1, false)] {
            let keys = [(count as u32).to_le_bytes().as_slice(), &vec![0; 4 * count]].concat();
            assert_eq!(decode(&request(READ, &keys)).is_ok(), fits, "{count} empty keys");
        }
    }

    #[test]
    fn answers_are_written_behind_their_length() {
        assert_eq!(encode(&StateAnswer::Written), b"\x01\0\0\0\0");
        assert_eq!(encode(&StateAnswer::Values(vec![None, Some("v".into())])), b"\x08\0\0\0\0\0\x01\x01\0\0\0v");
        let page = StateAnswer::Page { entries: vec![("k".into(), "v".into())], is_last: true };
        assert_eq!(encode(&page), b"\x0c\0\0\0\0\x01\x01\0\0\0k\x01\0\0\0v");
        assert_eq!(encode(&StateAnswer::Failed("no".to_owned())), b"\x03\0\0\0\x01no");
    }
}
