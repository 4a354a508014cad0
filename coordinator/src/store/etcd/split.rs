//! Large values: etcd takes 1.5 MiB a request, whatever is in it. What is too large for a transaction is stored before
//! it, in chunks; the entry itself then holds a pointer to them.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::super::{LeaseId, MAX_OPERATIONS, StoreError, Write};
use super::keys::ChunkSet;

/// The largest value that stands in its entry, bytes. Listings read entries by pages: this bounds a page.
pub(super) const MAX_INLINE: usize = 256 << 10;
/// What all values that stand in their entries may take in one transaction, bytes.
const MAX_INLINE_TOTAL: usize = 1 << 20;
/// Size of a chunk, bytes.
const CHUNK: usize = 1 << 20;
/// What a pointer begins with. A value that happens to begin so is stored in chunks whatever its size.
const MARK: &[u8] = b"\0udfleet chunks\0";

/// What an entry holds in place of a large value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pointer {
    pub id: String,
    pub chunks: usize,
    pub bytes: usize,
}

impl Pointer {
    /// `None`: the entry holds the value itself.
    pub fn of(value: &[u8]) -> Result<Option<Self>, StoreError> {
        let Some(pointer) = value.strip_prefix(MARK) else { return Ok(None) };
        let pointer = serde_json::from_slice(pointer);
        pointer.map(Some).map_err(|e| StoreError::Failed(format!("a pointer to chunks can't be read: {e}")))
    }

    fn encode(&self) -> Result<Vec<u8>, StoreError> {
        let text = serde_json::to_vec(self).map_err(|e| StoreError::Failed(format!("a pointer to chunks: {e}")))?;
        Ok([MARK, &text].concat())
    }
}

/// A value that goes ahead of its transaction.
#[derive(Debug)]
pub(super) struct LargeValue {
    pub set: ChunkSet,
    pub chunks: Vec<Bytes>,
    /// Of the entry: in the transaction the chunks get it too.
    pub lease: Option<LeaseId>,
}

/// A transaction's writes, small enough for one request, and what has to be stored before it.
#[derive(Debug)]
pub(super) struct Split {
    pub writes: Vec<Write>,
    pub large: Vec<LargeValue>,
}

/// Takes out of `writes` what is too large.
pub(super) fn split(mut writes: Vec<Write>, new_id: impl Fn() -> String) -> Result<Split, StoreError> {
    let mut large = Vec::new();
    for index in too_large(&writes) {
        let Some(Write::Put { key, value, lease }) = writes.get_mut(index) else { continue };
        let whole = std::mem::take(value);
        let set = ChunkSet { key: key.clone(), id: new_id() };
        let chunks: Vec<Bytes> = (0..whole.len()).step_by(CHUNK).map(|at| slice(&whole, at)).collect();
        let pointer = Pointer { id: set.id.clone(), chunks: chunks.len(), bytes: whole.len() };
        *value = pointer.encode()?.into();
        large.push(LargeValue { set, chunks, lease: *lease });
    }
    let operations = writes.len() + large.iter().map(|value| value.chunks.len()).sum::<usize>();
    if operations > MAX_OPERATIONS {
        return Err(StoreError::Invalid(format!(
            "its large values make {operations} operations: at most {MAX_OPERATIONS} fit into a transaction of etcd"
        )));
    }
    Ok(Split { writes, large })
}

fn slice(whole: &Bytes, at: usize) -> Bytes {
    whole.slice(at..whole.len().min(at + CHUNK))
}

/// Which writes, by index: those whose value is too large, and the largest others until what is left fits.
fn too_large(writes: &[Write]) -> Vec<usize> {
    let value = |write: &Write| match write {
        Write::Put { value, .. } => value.clone(),
        Write::Delete(_) => Bytes::new(),
    };
    let mut sizes: Vec<(usize, usize)> = writes.iter().map(|write| value(write).len()).enumerate().collect();
    sizes.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    let mut total: usize = sizes.iter().map(|(_, size)| size).sum();
    let mut out = Vec::new();
    for (index, size) in sizes {
        let marked = value(&writes[index]).starts_with(MARK);
        if size > MAX_INLINE || total > MAX_INLINE_TOTAL || marked {
            out.push(index);
            total -= size;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_size(size: usize) -> Write {
        Write::put(format!("k{size}"), vec![7; size])
    }

    fn split_up(writes: Vec<Write>) -> Split {
        split(writes, || "id".to_owned()).unwrap()
    }

    #[test]
    fn small_values_stay_where_they_are() {
        let writes = vec![of_size(10), of_size(MAX_INLINE), Write::delete("gone")];
        let split = split_up(writes.clone());
        assert_eq!(split.writes, writes);
        assert!(split.large.is_empty());
    }

    #[test]
    fn a_large_value_leaves_a_pointer() {
        let split = split_up(vec![of_size(5), of_size(2 * CHUNK + 1)]);
        let [value] = &split.large[..] else { panic!("{split:?}") };
        assert_eq!(value.chunks.iter().map(Bytes::len).collect::<Vec<_>>(), [CHUNK, CHUNK, 1]);
        let Write::Put { value, .. } = &split.writes[1] else { panic!("{split:?}") };
        let pointer = Pointer::of(value).unwrap().unwrap();
        assert_eq!(pointer, Pointer { id: "id".to_owned(), chunks: 3, bytes: 2 * CHUNK + 1 });
        assert_eq!(Pointer::of(b"plain").unwrap(), None);
    }

    #[test]
    fn a_value_that_looks_like_a_pointer_is_none() {
        let odd = [MARK, b"whatever"].concat();
        let split = split_up(vec![Write::put("k", odd.clone())]);
        assert_eq!(split.large[0].chunks, [odd]);
    }

    #[test]
    fn a_transaction_fits_one_request() {
        let writes: Vec<Write> = (0..32).map(|number| Write::put(format!("{number}"), vec![0; 100 << 10])).collect();
        let split = split_up(writes);
        let size = |write: &Write| match write {
            Write::Put { value, .. } => value.len(),
            Write::Delete(_) => 0,
        };
        let total: usize = split.writes.iter().map(size).sum();
        assert!(total <= MAX_INLINE_TOTAL + 32 * 100, "{total}");
        assert!(split.large.len() >= 21 && split.large.len() < 32);
    }

    #[test]
    fn what_makes_too_many_operations_is_refused() {
        let writes: Vec<Write> = (0..100).map(|number| Write::put(format!("{number}"), vec![0; 100 << 10])).collect();
        assert!(matches!(split(writes, String::new), Err(StoreError::Invalid(_))));
    }
}
