//! The declarations of all keys.

use super::{Key, ValueType};

const fn key(name: &'static str, value: ValueType, default: &'static str, meaning: &'static str) -> Key {
    Key { name, value, default, meaning }
}

const fn integer(min: u64, max: u64) -> ValueType {
    ValueType::Integer { min, max }
}

/// The Python an environment is built on.
pub const EXECUTABLE: Key = key(
    "python.executable",
    ValueType::Text,
    "python",
    "The Python an environment is built on: a path, a command or a version.",
);
/// Read by the command line only.
pub const CLIENT_EXECUTABLE: Key = key(
    "python.client.executable",
    ValueType::Text,
    "python",
    "The Python that the command line uses to load and pickle functions named `module:attr`.",
);
/// Files on the interpreter's path.
pub const FILES: Key = key(
    "python.files",
    ValueType::Text,
    "",
    "Comma list of .py, .zip, .whl and folders, shipped by content and put on the interpreter's path.",
);
/// Archives in the working folder.
pub const ARCHIVES: Key = key(
    "python.archives",
    ValueType::Text,
    "",
    "Comma list of `path[#target]`, unpacked under the interpreter's working folder.",
);
/// A requirements file.
pub const REQUIREMENTS: Key = key(
    "python.requirements",
    ValueType::Text,
    "",
    "`file[#cache_dir]`: a requirements file; with a cache folder the install is offline.",
);
/// Rows a function sees at once.
pub const ARROW_BATCH_SIZE: Key = key(
    "python.fn-execution.arrow.batch.size",
    integer(1, u32::MAX as u64),
    "10000",
    "The most rows a function sees at once.",
);
/// Rows of a bundle.
pub const BUNDLE_SIZE: Key = key(
    "python.fn-execution.bundle.size",
    integer(1, u32::MAX as u64),
    "100000",
    "Rows of input after which a bundle of a stream ends: progress handlers hear of each. A function sees no more at once.",
);
/// Time of a bundle.
pub const BUNDLE_TIME: Key = key(
    "python.fn-execution.bundle.time",
    integer(1, 86_400_000),
    "1000",
    "Milliseconds after which a bundle of a stream ends, once the batch that runs is answered.",
);
/// Whether the memory budget is divided and enforced.
pub const MEMORY_MANAGED: Key = key(
    "python.fn-execution.memory.managed",
    ValueType::Boolean,
    "true",
    "Divide the executor's memory budget among its interpreters and enforce it; false: no limit.",
);
/// Keyed states in memory.
pub const STATE_CACHE: Key =
    key("python.state.cache-size", integer(0, u32::MAX as u64), "1000", "Keyed states held in memory per partition.");
/// Cached reads.
pub const MAP_READ_CACHE: Key = key(
    "python.map-state.read-cache-size",
    integer(0, u32::MAX as u64),
    "1000",
    "Cached reads of each map state, absent keys too.",
);
/// Pending writes.
pub const MAP_WRITE_CACHE: Key =
    key("python.map-state.write-cache-size", integer(0, u32::MAX as u64), "1000", "Pending writes of each map state.");
/// Entries per page.
pub const MAP_PAGE: Key = key(
    "python.map-state.iterate-response-batch-size",
    integer(1, u32::MAX as u64),
    "1000",
    "Entries per page when a map state is iterated.",
);
/// User metrics and timings.
pub const METRIC_ENABLED: Key = key(
    "python.metric.enabled",
    ValueType::Boolean,
    "true",
    "Counters and timings of the function, in `fleet.progress`, `/metrics` and reports.",
);
/// Profiles.
pub const PROFILE_ENABLED: Key =
    key("python.profile.enabled", ValueType::Boolean, "false", "Samples what the function does: `udfleet profile`.");
/// Deadline of one batch.
pub const CALL_TIMEOUT: Key = key(
    "udfleet.call.timeout",
    integer(1, 86_400_000),
    "120000",
    "Milliseconds that one batch may run in an interpreter; then the interpreter is killed and the caller gets CALL_TIMEOUT.",
);
/// Tries of one batch.
pub const MAX_ATTEMPTS: Key = key(
    "udfleet.retry.max-attempts",
    integer(1, 100),
    "3",
    "How often a batch is tried in all when interpreters crash or executors are lost under it. A function that is not deterministic is run once, unless this is set for it.",
);
/// Memory of one interpreter.
pub const MEMORY_LIMIT: Key = key(
    "udfleet.memory.limit",
    ValueType::Size,
    "",
    "Memory that an interpreter of the function's environment may take (`512 MiB`); none: its share of the executor's budget.",
);
/// Where the function may connect to.
pub const NETWORK: Key = key(
    "udfleet.network",
    ValueType::Network,
    "all",
    "Where the function may connect to: `all`, `none`, or TCP ports (`443,53`). Functions with another network have interpreters of their own.",
);
/// Interpreters per executor.
pub const INTERPRETERS: Key = key(
    "udfleet.interpreters",
    integer(0, 1024),
    "0",
    "Interpreters per executor for the function's environment; 0: as the executor is configured.",
);
/// Executors per environment.
pub const EXECUTORS: Key = key(
    "udfleet.executors",
    integer(0, 65_536),
    "0",
    "On how many executors the function's environment runs; 0: on all that can.",
);
/// Rows that wait at once.
pub const ASYNC_CONCURRENCY: Key = key(
    "udfleet.async.concurrency",
    integer(1, 100_000),
    "100",
    "How many rows of a batch an `async def` function works on at the same time.",
);
/// Deadline of one row.
pub const ASYNC_TIMEOUT: Key = key(
    "udfleet.async.timeout",
    integer(0, 86_400_000),
    "0",
    "Milliseconds that an `async def` function may take for one row, retries included; then the row fails with TimeoutError. 0: no bound.",
);
/// Tries of one row.
pub const ASYNC_RETRIES: Key = key(
    "udfleet.async.retries",
    integer(0, 100),
    "0",
    "How often a row is tried again for which an `async def` function raised.",
);
/// Pause before a row is tried again.
pub const ASYNC_RETRY_DELAY: Key =
    key("udfleet.async.retry-delay", integer(0, 86_400_000), "0", "Milliseconds before a row is tried again.");

/// Whether failed batches are kept.
pub const CAPSULES: Key = key(
    "udfleet.capsules",
    ValueType::Choice(&["off", "errors"]),
    "off",
    "`errors`: executors keep some of the batches that fail, with their values, so that they can be run again elsewhere: `udfleet replay`.",
);
/// Columns whose values are not kept.
pub const CAPSULES_REDACT: Key = key(
    "udfleet.capsules.redact",
    ValueType::Text,
    "",
    "Comma list of columns, by name or by position from 0, whose values are null in kept batches; `*`: all.",
);

/// Every key, in the order of the reference page.
pub const KEYS: &[Key] = &[
    EXECUTABLE,
    CLIENT_EXECUTABLE,
    FILES,
    ARCHIVES,
    REQUIREMENTS,
    ARROW_BATCH_SIZE,
    BUNDLE_SIZE,
    BUNDLE_TIME,
    MEMORY_MANAGED,
    STATE_CACHE,
    MAP_READ_CACHE,
    MAP_WRITE_CACHE,
    MAP_PAGE,
    METRIC_ENABLED,
    PROFILE_ENABLED,
    CALL_TIMEOUT,
    MAX_ATTEMPTS,
    MEMORY_LIMIT,
    NETWORK,
    INTERPRETERS,
    EXECUTORS,
    ASYNC_CONCURRENCY,
    ASYNC_TIMEOUT,
    ASYNC_RETRIES,
    ASYNC_RETRY_DELAY,
    CAPSULES,
    CAPSULES_REDACT,
];
