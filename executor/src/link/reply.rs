//! Validates replies of an interpreter. It runs user code, which may write to any descriptor and any memory of its
//! process, so nothing from there is trusted before it has been checked here. An interpreter that violates the protocol
//! is killed.

use arrow_ipc::root_as_message;
use prost::Message;
use udfleet_proto::limits::MAX_REPORT_BYTES;
use udfleet_proto::v1::{Command, Done, ErrorInfo, OnError, Reply, Slice, command, reply};

/// The most bytes of a profile: ten thousand deep stacks.
const MAX_PROFILE: usize = 128 << 20;
/// The most bytes of a result's header: buffers of a hundred thousand columns.
const MAX_HEADER: usize = 8 << 20;
/// In front of a message's header: marker and length, which count against the limit of a result.
const PREFIX: u64 = 8;
/// No command takes longer, nanoseconds: a hundred years.
const MAX_NS: u64 = 3_155_760_000_000_000_000;

/// What may come for one command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// `Loaded`.
    Load,
    /// `Unloaded`.
    Unload,
    /// `Stopped`.
    Shutdown,
    /// `Profiled`.
    Profile,
    /// `Done`, or a question for what was not sent along.
    Output {
        /// The most bytes of output.
        limit: u64,
        /// The schema was not sent along.
        may_ask_for_schema: bool,
        /// The stage was not sent along.
        may_ask_for_stage: bool,
        /// A second column may say why rows have failed.
        may_have_errors: bool,
        /// The rows go into groups, and nothing comes back yet.
        may_be_none: bool,
    },
}

impl Expected {
    /// For a command; `None` where nothing comes.
    pub fn of(command: &Command) -> Option<Self> {
        match command.kind.as_ref()? {
            command::Kind::Load(_) => Some(Self::Load),
            command::Kind::Unload(_) => Some(Self::Unload),
            command::Kind::Shutdown(_) => Some(Self::Shutdown),
            command::Kind::Profile(_) => Some(Self::Profile),
            command::Kind::Invoke(invoke) => Some(Self::Output {
                limit: invoke.output_limit,
                may_ask_for_schema: invoke.schema.is_none() && !invoke.end,
                may_ask_for_stage: invoke.stage.is_none(),
                may_have_errors: invoke.on_error() == OnError::Column,
                may_be_none: invoke.session != 0 && !invoke.end && invoke.keyed.is_none(),
            }),
            command::Kind::Resume(resume) => Some(Self::Output {
                limit: resume.output_limit,
                may_ask_for_schema: false,
                may_ask_for_stage: false,
                may_have_errors: false,
                may_be_none: false,
            }),
            command::Kind::Forget(_) | command::Kind::Cancel(_) => None,
        }
    }
}

/// Refuses a reply that the command can't have, or that is not what it says. `memory` is its region.
///
/// # Errors
/// What is wrong, as the end of a sentence about the interpreter.
pub fn check(reply: &Reply, expected: Expected, memory: &[u8]) -> Result<(), String> {
    let kind = reply.kind.as_ref().ok_or("it sent an empty reply")?;
    match (kind, expected) {
        (reply::Kind::Loaded(_), Expected::Load)
        | (reply::Kind::Unloaded(_), Expected::Unload)
        | (reply::Kind::Stopped(_), Expected::Shutdown)
        | (reply::Kind::SchemaUnknown(_), Expected::Output { may_ask_for_schema: true, .. })
        | (reply::Kind::StageUnknown(_), Expected::Output { may_ask_for_stage: true, .. }) => Ok(()),
        (reply::Kind::Profiled(slice), Expected::Profile) => report(memory, slice, "a profile", MAX_PROFILE).map(drop),
        (reply::Kind::Done(done), Expected::Output { limit, may_have_errors, may_be_none, .. }) => {
            if done.errors_column && !may_have_errors {
                return Err("it sent a column of errors that nobody asked for".to_owned());
            }
            check_done(done, limit, may_be_none, memory)
        }
        (reply::Kind::Failed(slice), _) => {
            let error = ErrorInfo::decode(report(memory, slice, "an error", MAX_REPORT_BYTES)?);
            let described = error.is_ok_and(|error| error.code != 0);
            if described { Ok(()) } else { Err("it failed without saying why".to_owned()) }
        }
        _ => Err(format!("it replied to {expected:?} with another message")),
    }
}

fn check_done(done: &Done, limit: u64, may_be_none: bool, memory: &[u8]) -> Result<(), String> {
    if done.convert_ns > MAX_NS || done.run_ns > MAX_NS || done.cpu_ns > MAX_NS {
        return Err("it took longer than anything can".to_owned());
    }
    for slice in [&done.metrics, &done.row_errors].into_iter().flatten() {
        report(memory, slice, "a report", MAX_REPORT_BYTES)?;
    }
    let (header, body) = match (&done.header, &done.body) {
        (None, None) if may_be_none && done.rows == 0 => return Ok(()),
        (Some(header), Some(body)) => (header, body),
        _ => return Err("its result is not whole".to_owned()),
    };
    let length = header.length.saturating_add(body.length);
    if length > limit.saturating_add(PREFIX) {
        return Err(format!("its result has {length} bytes, more than the {limit} that it may have"));
    }
    // A copy: what is verified in place may be changed before it is read.
    let bytes = report(memory, header, "a header", MAX_HEADER)?.to_vec();
    inside(memory, body, "a body")?;
    if header.offset + header.length != body.offset {
        return Err("its result's body does not follow the header".to_owned());
    }
    let message = root_as_message(&bytes).map_err(|e| format!("its result's header is malformed: {e}"))?;
    let batch = message.header_as_record_batch().ok_or("its result is no record batch")?;
    let is_as_said =
        u64::try_from(batch.length()) == Ok(done.rows) && u64::try_from(message.bodyLength()) == Ok(body.length);
    if is_as_said { Ok(()) } else { Err("its result is not of the size that it says".to_owned()) }
}

fn report<'a>(memory: &'a [u8], slice: &Slice, what: &str, limit: usize) -> Result<&'a [u8], String> {
    if slice.length > limit as u64 {
        return Err(format!("it sent {what} of {} bytes, more than {limit}", slice.length));
    }
    inside(memory, slice, what)
}

fn inside<'a>(memory: &'a [u8], slice: &Slice, what: &str) -> Result<&'a [u8], String> {
    let end = slice.offset.checked_add(slice.length).and_then(|end| usize::try_from(end).ok());
    let found = end.and_then(|end| memory.get(slice.offset as usize..end));
    found.ok_or_else(|| format!("it named {what} outside its region of {} bytes", memory.len()))
}

#[cfg(test)]
mod tests {
    use udfleet_proto::v1::{Invoke, Loaded, SchemaUnknown, StageUnknown, Unloaded};

    use super::*;

    const OUTPUT: Expected = Expected::Output {
        limit: 1000,
        may_ask_for_schema: false,
        may_ask_for_stage: true,
        may_have_errors: false,
        may_be_none: true,
    };

    fn reply(kind: reply::Kind) -> Reply {
        Reply { id: 1, kind: Some(kind), ..Reply::default() }
    }

    fn done(done: Done) -> Result<(), String> {
        check(&reply(reply::Kind::Done(done)), OUTPUT, &[0; 100])
    }

    fn slice(offset: u64, length: u64) -> Option<Slice> {
        Some(Slice { offset, length })
    }

    #[test]
    fn replies_of_other_commands_are_refused() {
        assert!(check(&Reply::default(), OUTPUT, &[]).is_err(), "empty");
        assert!(check(&reply(reply::Kind::Loaded(Loaded {})), Expected::Load, &[]).is_ok());
        assert!(check(&reply(reply::Kind::Loaded(Loaded {})), OUTPUT, &[]).is_err());
        assert!(check(&reply(reply::Kind::Unloaded(Unloaded {})), Expected::Load, &[]).is_err());
        assert!(check(&reply(reply::Kind::Done(Done::default())), Expected::Profile, &[]).is_err());
    }

    #[test]
    fn only_what_was_not_sent_may_be_asked_for() {
        let schema = reply(reply::Kind::SchemaUnknown(SchemaUnknown {}));
        let stage = reply(reply::Kind::StageUnknown(StageUnknown {}));
        let expected =
            |invoke| Expected::of(&Command { kind: Some(command::Kind::Invoke(invoke)), ..Command::default() });
        let without = expected(Invoke::default()).unwrap();
        assert_eq!((check(&schema, without, &[]), check(&stage, without, &[])), (Ok(()), Ok(())));
        let with = expected(Invoke { schema: slice(0, 1), stage: slice(1, 1), ..Invoke::default() }).unwrap();
        assert!(check(&schema, with, &[]).is_err() && check(&stage, with, &[]).is_err());
    }

    #[test]
    fn results_lie_inside_their_region_and_within_their_limit() {
        assert_eq!(done(Done::default()), Ok(()), "rows went into groups");
        for lie in [
            Done { rows: 1, ..Done::default() },
            Done { header: slice(0, 8), ..Done::default() },
            Done { header: slice(0, 8), body: slice(8, 93), ..Done::default() },
            Done { header: slice(u64::MAX, 8), body: slice(8, 8), ..Done::default() },
            Done { header: slice(0, 8), body: slice(16, 8), ..Done::default() },
            Done { header: slice(0, 8), body: slice(8, 8), ..Done::default() },
            Done { header: slice(0, 8), body: slice(8, 2000), ..Done::default() },
            Done { metrics: slice(90, 20), ..Done::default() },
            Done { row_errors: slice(0, MAX_REPORT_BYTES as u64 + 1), ..Done::default() },
            Done { run_ns: u64::MAX, ..Done::default() },
            Done { errors_column: true, ..Done::default() },
        ] {
            assert!(done(lie.clone()).is_err(), "{lie:?}");
        }
    }

    #[test]
    fn failures_say_why() {
        let told = ErrorInfo { code: 1, ..ErrorInfo::default() }.encode_to_vec();
        let failed = |length: usize| reply(reply::Kind::Failed(Slice { offset: 0, length: length as u64 }));
        assert_eq!(check(&failed(told.len()), Expected::Load, &told), Ok(()));
        assert!(check(&failed(0), Expected::Load, &told).is_err());
        assert!(check(&failed(told.len() + 1), Expected::Load, &told).is_err());
        assert!(check(&failed(3), OUTPUT, &[0xff; 3]).is_err());
    }
}
