//! Checks batches against their headers. The Arrow reader trusts offsets and lengths, and panics or allocates by them,
//! so they are checked first.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::error::Error;
use crate::expanded::{array_bytes, expanded_bytes, without_text_views};
use crate::limits::{MAX_BATCH_ROWS, MAX_FRAME_BYTES};
use crate::v1::ErrorCode;
use arrow_array::ArrayRef;
use arrow_ipc::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};

/// In front of each compressed buffer: how long it is uncompressed.
const PREFIX: usize = 8;
/// A prefix that says: what follows is not compressed.
const PLAIN: i64 = -1;

/// The error for a batch that can't be read.
pub fn malformed(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorCode::InvalidInput, format!("malformed batch: {what}"))
        .hint("the Arrow IPC message contradicts itself: see the library that wrote it")
}

/// What the Arrow reader panics on came from outside: it is the caller's error, and must not end other streams.
///
/// # Errors
/// [`ErrorCode::InvalidInput`] where it can't be read.
pub fn guarded<T>(read: impl FnOnce() -> Result<T, ArrowError>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(ArrowError::IpcError("the Arrow reader gave up on it".to_owned())))
        .map_err(malformed)
}

/// Checks counts, positions and sizes, which costs a few instructions per buffer.
///
/// # Errors
/// [`ErrorCode::InvalidInput`] for a header that contradicts itself or its body; [`ErrorCode::LimitExceeded`] for a
/// batch of too many rows, or one that would be too large once uncompressed.
pub fn check(batch: &RecordBatch<'_>, body: &[u8]) -> Result<(), Error> {
    let rows =
        usize::try_from(batch.length()).map_err(|_| malformed(format_args!("it has {} rows", batch.length())))?;
    bounded_rows(rows, MAX_BATCH_ROWS)?;
    for (index, node) in batch.nodes().into_iter().flatten().enumerate() {
        if node.length() < 0 || node.null_count() < 0 || node.null_count() > node.length() {
            let (nulls, values) = (node.null_count(), node.length());
            return Err(malformed(format_args!("array {index} has {nulls} nulls in {values} values")));
        }
    }
    let (compressed, mut total) = (batch.compression().is_some(), 0_usize);
    for (index, buffer) in batch.buffers().into_iter().flatten().enumerate() {
        let bytes = slice(body, buffer.offset(), buffer.length()).ok_or_else(|| {
            let (offset, length, held) = (buffer.offset(), buffer.length(), body.len());
            malformed(format_args!("buffer {index} at {offset} of {length} bytes lies outside a body of {held} bytes"))
        })?;
        // Buffers may share bytes of the body: each counts.
        total = total.saturating_add(if compressed { uncompressed(index, bytes)? } else { bytes.len() });
    }
    bounded(total, if compressed { "uncompressed" } else { "in its buffers" })
}

/// Refuses a batch of more than `limit` rows.
///
/// # Errors
/// [`ErrorCode::LimitExceeded`].
pub fn bounded_rows(rows: usize, limit: usize) -> Result<(), Error> {
    if rows <= limit {
        return Ok(());
    }
    let message = format!("the batch has {rows} rows, more than the limit of {limit}");
    Err(Error::new(ErrorCode::LimitExceeded, message).hint("send smaller batches"))
}

/// Refuses a batch whose values would take more memory than a frame may once they are written out: layouts in which values
/// share bytes (views, dictionaries) make a small frame stand for any size.
///
/// # Errors
/// [`ErrorCode::LimitExceeded`]; [`ErrorCode::InvalidInput`] where it can't be measured.
pub fn bounded_values(batch: &arrow_array::RecordBatch) -> Result<(), Error> {
    let bytes = guarded(|| Ok(expanded_bytes(batch)))?;
    bounded(usize::try_from(bytes).unwrap_or(usize::MAX), "with all of its values written out")
}

/// Refuses what would take more memory than a frame may.
///
/// # Errors
/// [`ErrorCode::LimitExceeded`], with `how` the bytes were counted.
pub fn bounded(bytes: usize, how: &str) -> Result<(), Error> {
    if bytes <= MAX_FRAME_BYTES {
        return Ok(());
    }
    let message = format!("the batch has {bytes} bytes {how}, more than the limit of {MAX_FRAME_BYTES} bytes");
    Err(Error::new(ErrorCode::LimitExceeded, message).hint("send smaller batches"))
}

/// The same for arrays.
///
/// # Errors
/// As [`bounded_values`].
pub fn bounded_arrays<'a>(arrays: impl Iterator<Item = &'a ArrayRef>) -> Result<(), Error> {
    let bytes = guarded(|| Ok(arrays.map(array_bytes).fold(0, u64::saturating_add)))?;
    bounded(usize::try_from(bytes).unwrap_or(usize::MAX), "with all of its values written out")
}

/// Reads a batch of `schema`, within the bounds of [`bounded_values`].
///
/// # Errors
/// As [`guarded`] and [`bounded_values`].
pub fn read_bounded(
    schema: &SchemaRef,
    read: impl Fn(&SchemaRef) -> Result<arrow_array::RecordBatch, ArrowError>,
) -> Result<arrow_array::RecordBatch, Error> {
    if let Some(bytes) = without_text_views(schema) {
        bounded_values(&guarded(|| read(&Arc::new(bytes)))?)?;
        return guarded(|| read(schema));
    }
    let batch = guarded(|| read(schema))?;
    bounded_values(&batch)?;
    Ok(batch)
}

fn slice(body: &[u8], offset: i64, length: i64) -> Option<&[u8]> {
    let (offset, length) = (usize::try_from(offset).ok()?, usize::try_from(length).ok()?);
    body.get(offset..offset.checked_add(length)?)
}

fn uncompressed(index: usize, buffer: &[u8]) -> Result<usize, Error> {
    let prefix = match buffer.first_chunk::<PREFIX>() {
        None if buffer.is_empty() => return Ok(0),
        None => return Err(malformed(format_args!("compressed buffer {index} is too short for its length"))),
        Some(prefix) => i64::from_le_bytes(*prefix),
    };
    if prefix == PLAIN {
        return Ok(buffer.len() - PREFIX);
    }
    usize::try_from(prefix).map_err(|_| malformed(format_args!("compressed buffer {index} has {prefix} bytes")))
}
