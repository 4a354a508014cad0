//! The protocol's messages as they travel.

use bytes::Bytes;
use udfleet_proto::error::Error;
use udfleet_proto::v1::partition_refused::Reason;
use udfleet_proto::v1::{
    ErrorCode, PartitionAttempt, PartitionCommitted, PartitionDelivered, PartitionFailed, PartitionOpened,
    PartitionRefused, PartitionReply, PartitionRequest, PartitionResults, partition_reply, partition_request,
};
use udfleet_state::{BundleAttempt, Digest, Header, Refusal, Reply, Request, RowSpan};

/// The request in the protocol's terms.
///
/// # Errors
/// [`ErrorCode::InvalidInput`] for one that is cut short.
pub fn request(message: &PartitionRequest) -> Result<(Header, Request), Error> {
    let malformed = || Error::new(ErrorCode::InvalidInput, "a request to a partition is cut short");
    let header = Header { session: message.session, epoch: message.epoch };
    let request = match message.request.as_ref().ok_or_else(malformed)? {
        partition_request::Request::Open(_) => Request::Open,
        partition_request::Request::Run(run) => {
            let span = RowSpan {
                first: run.first,
                end: run.end,
                cut_first: run.cut_first,
                cut_partitions: run.cut_partitions,
            };
            Request::Run(attempt(run.attempt).ok_or_else(malformed)?, span)
        }
        partition_request::Request::Confirm(confirm) => {
            let digest = digest(&confirm.digest).ok_or_else(malformed)?;
            Request::Confirm(attempt(confirm.attempt).ok_or_else(malformed)?, digest)
        }
        partition_request::Request::Abort(abort) => Request::Abort(attempt(abort.attempt).ok_or_else(malformed)?),
    };
    Ok((header, request))
}

/// The reply; `results` and `failure` are those of the attempt that it is about.
#[must_use]
pub fn reply(header: Header, reply: Reply, results: Vec<(Bytes, Bytes)>, failure: Option<Error>) -> PartitionReply {
    let reply = match reply {
        Reply::Opened(record) => partition_reply::Reply::Opened(PartitionOpened { record: record.encode().into() }),
        Reply::Delivered(attempt, digest) => partition_reply::Reply::Delivered(PartitionDelivered {
            attempt: Some(attempt_message(attempt)),
            digest: bytes(digest),
            results: results.into_iter().map(|(header, body)| PartitionResults { header, body }).collect(),
        }),
        Reply::Failed(attempt) => {
            let error = failure.unwrap_or_else(|| Error::internal("a bundle failed without a reason"));
            let (attempt, error) = (Some(attempt_message(attempt)), Some(error.into_info()));
            partition_reply::Reply::Failed(PartitionFailed { attempt, error })
        }
        Reply::Committed(attempt, digest) => partition_reply::Reply::Committed(PartitionCommitted {
            attempt: Some(attempt_message(attempt)),
            digest: bytes(digest),
        }),
        Reply::Refused(refusal) => partition_reply::Reply::Refused(refused(refusal)),
    };
    PartitionReply { session: header.session, epoch: header.epoch, reply: Some(reply) }
}

/// A refusal by who has no machine for the stream.
#[must_use]
pub fn refusal(header: Header, refusal: Refusal) -> PartitionReply {
    reply(header, Reply::Refused(refusal), Vec::new(), None)
}

fn refused(refusal: Refusal) -> PartitionRefused {
    let (reason, attempt, number) = match refusal {
        Refusal::NewerOwner { epoch } => (Reason::NewerOwner, None, epoch),
        Refusal::NotOwner => (Reason::NotOwner, None, 0),
        Refusal::SessionReplaced { session } => (Reason::SessionReplaced, None, session),
        Refusal::NotOpen => (Reason::NotOpen, None, 0),
        Refusal::AttemptOver(attempt) => (Reason::AttemptOver, Some(attempt), 0),
        Refusal::DigestDiffers(attempt) => (Reason::DigestDiffers, Some(attempt), 0),
        Refusal::AlreadyCommitted(attempt) => (Reason::AlreadyCommitted, Some(attempt), 0),
        Refusal::BundleGap { expected } => (Reason::BundleGap, None, expected),
        Refusal::RowsApplied { next_offset } => (Reason::RowsApplied, None, next_offset),
    };
    PartitionRefused { reason: reason.into(), attempt: attempt.map(attempt_message), number }
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

fn bytes(digest: Digest) -> Bytes {
    Bytes::copy_from_slice(&digest.0.to_le_bytes())
}
