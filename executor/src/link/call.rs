//! Input and failures of calls.

use arrow_schema::SchemaRef;
use bytes::Bytes;
use udfleet_proto::error::Error;
use udfleet_proto::v1::{ErrorCode, KeyedBundle, OnError, ProcessExit};

use super::process::signal_name;

/// One batch for one function or stage.
#[derive(Debug, Clone, Default)]
pub struct Input {
    /// Number of the function or stage in the interpreters of its environment.
    pub function: u32,
    /// StageSpec, where the number is that of a stage; else empty.
    pub stage: Bytes,
    /// Identifies the schema: equal numbers mean equal bytes.
    pub schema_id: u64,
    /// The schema's IPC message (flatbuffer).
    pub schema: Bytes,
    /// The record batch's IPC message (flatbuffer).
    pub header: Bytes,
    /// Its body.
    pub body: Bytes,
    /// Milliseconds that the call may run, and each further part of its result.
    pub timeout_ms: u64,
    /// Of an aggregation, the stream whose groups the rows belong to. 0: none.
    pub session: u64,
    /// The end of the session's input: it carries no batch and no schema.
    pub end: bool,
    /// Overrides the registered on_error.
    pub on_error: OnError,
    /// Of a keyed function: its bundle, which the rows are.
    pub keyed: Option<KeyedBundle>,
    /// What the result has to be; `None`: nobody outside of the executor gets it.
    pub results: Option<SchemaRef>,
}

/// The caller of a call.
#[derive(Debug)]
pub struct Caller<F> {
    /// Resolves when the caller has gone.
    pub gone: F,
    /// States of the caller that the interpreter keeps, not needed once it has gone: groups, or the rest of a result.
    pub holds: usize,
}

impl Caller<std::future::Pending<()>> {
    /// One that waits to the end.
    #[must_use]
    pub fn patient() -> Self {
        Self { gone: std::future::pending(), holds: 0 }
    }
}

/// Why a call gave no result.
#[derive(Debug)]
pub struct CallFailure {
    /// For the caller.
    pub error: Error,
    /// The interpreter is gone.
    pub lost: bool,
    /// This call was running when it ended; others were only queued behind it.
    pub ran: bool,
}

impl CallFailure {
    /// An error that the interpreter itself replied with.
    #[must_use]
    pub fn answered(error: Error) -> Self {
        Self { error, lost: false, ran: true }
    }

    /// True if the call may be retried on another interpreter.
    #[must_use]
    pub fn retryable(&self) -> bool {
        self.lost
            && (!self.ran
                || self.error.code() == ErrorCode::InterpreterCrashed
                || self.error.code() == ErrorCode::MemoryExceeded)
    }
}

/// Why the executor itself killed an interpreter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KillReason {
    /// A call ran for longer than this, milliseconds.
    Timeout(u64),
    /// It took more memory than its share.
    Memory {
        /// Bytes measured.
        peak: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// Its functions kept more on the disk than their share.
    Disk {
        /// Bytes counted until they were too many; none: a folder hides what is in it.
        used: Option<u64>,
        /// Bytes allowed.
        limit: u64,
    },
    /// Its functions have started more processes than this.
    Processes(usize),
    /// It broke the protocol: how.
    Breach(String),
    /// It said that it can't go on: why.
    Unusable(String),
    /// Nobody waited any more for the call that ran.
    Abandoned,
    /// It is not wanted any more.
    Stop,
}

/// The typed error for the end of an interpreter, from measured facts only.
#[must_use]
pub fn exit_error(exit: &ProcessExit, reason: Option<&KillReason>) -> Error {
    let error = match reason {
        Some(KillReason::Timeout(ms)) => {
            Error::new(ErrorCode::CallTimeout, format!("the call ran longer than {ms} ms and was killed"))
                .hint("make the call faster, send smaller batches, or raise udfleet.call.timeout")
        }
        Some(KillReason::Memory { peak, limit }) => {
            let (peak, limit) = (peak >> 20, limit >> 20);
            let message =
                format!("the interpreter took {peak} MiB, more than its limit of {limit} MiB, and was killed");
            Error::new(ErrorCode::MemoryExceeded, message)
                .hint("take smaller batches, or raise udfleet.memory.limit or the executor's memory")
        }
        Some(KillReason::Disk { used, limit }) => {
            let kept = used.map_or_else(
                || "a folder that can't be looked into".to_owned(),
                |used| format!("at least {used} bytes, where {limit} are allowed,"),
            );
            let message = format!(
                "the interpreter's functions kept {kept} in their working folder and temporary files, and it was killed"
            );
            Error::new(ErrorCode::LimitExceeded, message)
                .hint("remove files as soon as they are not needed, or raise the executor's --sandbox-disk")
        }
        Some(KillReason::Processes(limit)) => {
            let message =
                format!("the interpreter's functions started more than {limit} processes, and it was killed with them");
            Error::new(ErrorCode::InterpreterCrashed, message)
                .hint("wait for the processes that a function starts, and use fewer at once")
        }
        Some(KillReason::Breach(how)) => {
            let message = format!("the interpreter broke the protocol with its executor and was killed: {how}");
            Error::new(ErrorCode::InterpreterCrashed, message)
                .hint("a function must leave descriptors and memory alone that are not its own")
        }
        Some(KillReason::Unusable(why)) => Error::new(
            ErrorCode::InterpreterCrashed,
            format!("the interpreter could not go on and was replaced: {why}"),
        )
        .hint("close what the function opens, or open it once, in ScalarFunction.open()"),
        Some(KillReason::Abandoned) => {
            Error::new(ErrorCode::InterpreterCrashed, "the interpreter was ended with a call that nobody waited for")
        }
        Some(KillReason::Stop) => Error::new(ErrorCode::InterpreterCrashed, "the interpreter was stopped"),
        None if exit.out_of_memory => {
            let message = "the kernel ended the interpreter, because the machine or its container was out of memory";
            Error::new(ErrorCode::MemoryExceeded, message)
                .hint("take smaller batches, run fewer interpreters, or set udfleet.memory.limit or the executor's memory lower than what there is")
        }
        None if exit.signal != 0 => {
            let how = signal_name(exit.signal);
            Error::new(ErrorCode::InterpreterCrashed, format!("the interpreter was ended by {how}"))
                .hint("the last lines of its stderr may show where; see `udfleet logs`")
        }
        None => {
            let message = format!("the interpreter exited with status {}", exit.status);
            Error::new(ErrorCode::InterpreterCrashed, message).hint("a function must not exit its interpreter")
        }
    };
    error.with(|info| info.exit = Some(exit.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exits_become_typed_errors() {
        let segfault = ProcessExit { signal: 11, ..ProcessExit::default() };
        let error = exit_error(&segfault, None);
        assert_eq!(error.code(), ErrorCode::InterpreterCrashed);
        assert!(error.info().message.contains("SIGSEGV"), "{error}");
        let three = ProcessExit { status: 3, ..ProcessExit::default() };
        assert!(exit_error(&three, None).info().message.contains("status 3"));
        let killed = ProcessExit { signal: 9, ..ProcessExit::default() };
        assert_eq!(exit_error(&killed, Some(&KillReason::Timeout(5))).code(), ErrorCode::CallTimeout);
        for reason in [KillReason::Breach("so".to_owned()), KillReason::Unusable("so".to_owned())] {
            let error = exit_error(&killed, Some(&reason));
            assert_eq!(error.code(), ErrorCode::InterpreterCrashed, "another interpreter may be tried");
        }
        let by_the_kernel = ProcessExit { out_of_memory: true, ..killed.clone() };
        assert_eq!(exit_error(&by_the_kernel, None).code(), ErrorCode::MemoryExceeded);
        assert_eq!(exit_error(&by_the_kernel, Some(&KillReason::Timeout(5))).code(), ErrorCode::CallTimeout);
        let disk = KillReason::Disk { used: Some(300 << 20), limit: 200 << 20 };
        assert_eq!(exit_error(&by_the_kernel, Some(&disk)).code(), ErrorCode::LimitExceeded);
        let memory = KillReason::Memory { peak: 300 << 20, limit: 200 << 20 };
        let error = exit_error(&killed, Some(&memory));
        assert!(error.info().message.contains("300 MiB") && error.info().message.contains("200 MiB"), "{error}");
    }

    #[test]
    fn only_crashes_and_bystanders_are_tried_again() {
        let failure = |code, lost, ran| CallFailure { error: Error::new(code, ""), lost, ran };
        assert!(failure(ErrorCode::InterpreterCrashed, true, true).retryable());
        assert!(failure(ErrorCode::CallTimeout, true, false).retryable(), "waited behind a call that hung");
        assert!(!failure(ErrorCode::CallTimeout, true, true).retryable());
        assert!(!failure(ErrorCode::UserCode, false, true).retryable());
    }
}
