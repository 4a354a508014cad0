//! The protocol's messages as they travel.

use bytes::Bytes;
use udfleet_proto::error::Error;
use udfleet_proto::v1::partition_refused::Reason;
use udfleet_proto::v1::{
    PartitionAbort, PartitionAttempt, PartitionConfirm, PartitionOpen, PartitionRefused, PartitionReply, PartitionRun,
    partition_reply, partition_request,
};
use udfleet_state::{BundleAttempt, Digest, Header, PositionRecord, Refusal, Reply, Request, RowSpan};

/// What a partition gets of a bundle.
#[derive(Debug, Clone)]
pub struct BundleRows {
    /// How many columns are the key.
    pub key_columns: u32,
    /// The bundle's time.
    pub now_ms: u64,
    /// The schema's IPC message.
    pub schema: Bytes,
    /// The batch's IPC message, and its body.
    pub header: Bytes,
    /// See `header`.
    pub body: Bytes,
    /// Where results are retained, which rows of the cut these are.
    pub retained: Vec<u32>,
}

/// A request as it travels; `rows` are those of a bundle to run.
#[must_use]
pub fn request(request: Request, rows: Option<&BundleRows>) -> partition_request::Request {
    match request {
        Request::Open => partition_request::Request::Open(PartitionOpen {}),
        Request::Run(attempt, RowSpan { first, end, cut_first, cut_partitions }) => {
            let run = PartitionRun {
                attempt: Some(attempt_message(attempt)),
                first,
                end,
                cut_first,
                cut_partitions,
                ..PartitionRun::default()
            };
            partition_request::Request::Run(match rows.cloned() {
                Some(rows) => PartitionRun {
                    key_columns: rows.key_columns,
                    now_ms: rows.now_ms,
                    schema: rows.schema,
                    header: rows.header,
                    body: rows.body,
                    retained_rows: rows.retained,
                    ..run
                },
                None => run,
            })
        }
        Request::Confirm(attempt, digest) => partition_request::Request::Confirm(PartitionConfirm {
            attempt: Some(attempt_message(attempt)),
            digest: Bytes::copy_from_slice(&digest.0.to_le_bytes()),
        }),
        Request::Abort(attempt) => {
            partition_request::Request::Abort(PartitionAbort { attempt: Some(attempt_message(attempt)) })
        }
    }
}

/// An owner's answer.
pub struct Answer {
    /// Of whom and to whom.
    pub header: Header,
    /// None to an abort.
    pub reply: Option<Reply>,
    /// Of a delivered bundle.
    pub results: Vec<(Bytes, Bytes)>,
    /// Of a failed one.
    pub failure: Option<Error>,
}

/// The answer in the protocol's terms.
///
/// # Errors
/// For one that is cut short.
pub fn answer(message: PartitionReply) -> Result<Answer, Error> {
    let malformed = || Error::internal("an executor's answer about a partition is cut short");
    let header = Header { session: message.session, epoch: message.epoch };
    let mut answer = Answer { header, reply: None, results: Vec::new(), failure: None };
    answer.reply = match message.reply.ok_or_else(malformed)? {
        partition_reply::Reply::Opened(opened) => {
            let record = PositionRecord::decode(&opened.record).map_err(|e| Error::internal(e.to_string()))?;
            Some(Reply::Opened(record))
        }
        partition_reply::Reply::Delivered(delivered) => {
            answer.results = delivered.results.into_iter().map(|part| (part.header, part.body)).collect();
            let digest = digest(&delivered.digest).ok_or_else(malformed)?;
            Some(Reply::Delivered(attempt(delivered.attempt).ok_or_else(malformed)?, digest))
        }
        partition_reply::Reply::Failed(failed) => {
            answer.failure = failed.error.map(Error::from);
            Some(Reply::Failed(attempt(failed.attempt).ok_or_else(malformed)?))
        }
        partition_reply::Reply::Committed(committed) => {
            let digest = digest(&committed.digest).ok_or_else(malformed)?;
            Some(Reply::Committed(attempt(committed.attempt).ok_or_else(malformed)?, digest))
        }
        partition_reply::Reply::Refused(refused) => Some(Reply::Refused(refusal(&refused).ok_or_else(malformed)?)),
        partition_reply::Reply::Aborted(_) => None,
    };
    Ok(answer)
}

fn refusal(refused: &PartitionRefused) -> Option<Refusal> {
    let (number, about) = (refused.number, attempt(refused.attempt));
    Some(match refused.reason() {
        Reason::Unspecified => return None,
        Reason::NewerOwner => Refusal::NewerOwner { epoch: number },
        Reason::NotOwner => Refusal::NotOwner,
        Reason::SessionReplaced => Refusal::SessionReplaced { session: number },
        Reason::NotOpen => Refusal::NotOpen,
        Reason::AttemptOver => Refusal::AttemptOver(about?),
        Reason::DigestDiffers => Refusal::DigestDiffers(about?),
        Reason::AlreadyCommitted => Refusal::AlreadyCommitted(about?),
        Reason::BundleGap => Refusal::BundleGap { expected: number },
        Reason::RowsApplied => Refusal::RowsApplied { next_offset: number },
    })
}

fn attempt(message: Option<PartitionAttempt>) -> Option<BundleAttempt> {
    message.map(|PartitionAttempt { bundle, attempt }| BundleAttempt { bundle, attempt })
}

fn attempt_message(BundleAttempt { bundle, attempt }: BundleAttempt) -> PartitionAttempt {
    PartitionAttempt { bundle, attempt }
}

fn digest(bytes: &[u8]) -> Option<Digest> {
    bytes.try_into().ok().map(|bytes| Digest(u128::from_le_bytes(bytes)))
}
