//! Bounds that all processes share. Each is named in the error that it causes.

/// The largest Flight message (one record batch with its header), bytes. Larger ones are refused.
pub const MAX_FRAME_BYTES: usize = 256 << 20;

/// The most rows of one record batch: those of a frame of four-byte values. Columns without bytes (none at all, NULLs) have
/// no other bound.
pub const MAX_BATCH_ROWS: usize = MAX_FRAME_BYTES / 4;

/// The largest control message outside Flight, bytes.
pub const MAX_CONTROL_BYTES: usize = 16 << 20;

/// The largest single artifact (payload, file, archive), bytes.
pub const MAX_ARTIFACT_BYTES: u64 = 2 << 30;

/// Size of the chunks in which artifacts travel, bytes.
pub const ARTIFACT_CHUNK_BYTES: usize = 1 << 20;

/// Batches of one stream that a server takes in before it has answered the first of them.
pub const STREAM_WINDOW: usize = 8;

/// HTTP/2 window of one stream, bytes. A client that keeps less than this in flight never blocks in a write.
pub const STREAM_WINDOW_BYTES: u32 = 8 << 20;

/// HTTP/2 window of one connection, bytes: large, so that streams whose readers are slow never starve the others.
pub const CONNECTION_WINDOW_BYTES: u32 = 1 << 30;

/// Longest error text sent in gRPC trailers, bytes: gRPC peers refuse metadata beyond 8 KiB.
pub const MAX_TRAILER_BYTES: usize = 3 << 10;

/// The most functions of one stage: what each did goes into one control message of the interpreter.
pub const MAX_STAGE_FUNCTIONS: usize = 100;

/// The largest stage, bytes.
pub const MAX_STAGE_BYTES: usize = 1 << 20;

/// Longest function name, bytes.
pub const MAX_NAME_BYTES: usize = 128;

/// How an executor tells an interpreter what to put in front of `sys.path`: folders joined by `:`.
pub const SYS_PATH_VARIABLE: &str = "UDFLEET_SYS_PATH";

/// The signal by which the kernel tells an interpreter that its executor died: Linux' last real-time signal.
pub const PARENT_DEATH_SIGNAL: i32 = 64;

/// The most bytes that an interpreter reports besides a result: an error, metrics, errors of rows.
pub const MAX_REPORT_BYTES: usize = 8 << 20;

/// The longest name of a user metric or of one of its groups, and the longest value of a group, bytes.
pub const MAX_METRIC_TEXT: usize = 256;

/// The deepest nesting of groups of user metrics.
pub const MAX_METRIC_GROUPS: usize = 16;

/// The most user metrics of one function at an executor; more are not reported.
pub const MAX_USER_METRICS: usize = 1000;
