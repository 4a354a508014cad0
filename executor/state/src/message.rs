//! What client and owner say to each other.

use thiserror::Error;

use crate::{Digest, PositionRecord};

/// What every message carries, either way: one with another session or an older epoch is refused, or ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Header {
    /// Which opening of the stream by a client.
    pub session: u64,
    /// Which opening of the partition by an owner: of a request, the owner it is meant for.
    pub epoch: u64,
}

/// A try to run a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BundleAttempt {
    /// The bundle's number in its stream and partition, from 1.
    pub bundle: u64,
    /// Which try within the session, from 1.
    pub attempt: u32,
}

/// Where a bundle's rows lie in the stream. A partition gets some of the rows only, so spans of one partition may have
/// gaps between them, but never overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowSpan {
    /// The offset of the first row.
    pub first: u64,
    /// The offset behind the last row.
    pub end: u64,
    /// The offset of the first row of what the client has cut into bundles of several partitions at once. All rows before
    /// it are applied, in all partitions.
    pub cut_first: u64,
    /// How many partitions have rows of it, with those that have applied theirs already.
    pub cut_partitions: u32,
}

/// What a client asks of an owner. All of it may come twice or late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Request {
    /// Take the stream over for this session, and say where it stands.
    Open,
    /// Run the bundle.
    Run(BundleAttempt, RowSpan),
    /// Commit what this attempt has given; where that has happened already, say so.
    Confirm(BundleAttempt, Digest),
    /// Drop what this attempt has given. A confirmed attempt can't be dropped.
    Abort(BundleAttempt),
}

/// What an owner answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reply {
    /// The stream is the session's, durably; it stands here.
    Opened(PositionRecord),
    /// The bundle has run. Its results travel with this message, or before it.
    Delivered(BundleAttempt, Digest),
    /// The function failed. The attempt is over.
    Failed(BundleAttempt),
    /// The attempt is durable.
    Committed(BundleAttempt, Digest),
    /// The request was not done.
    Refused(Refusal),
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Error)]
pub enum Refusal {
    /// The request is meant for an earlier owner.
    #[error("the partition has a newer owner, of epoch {epoch}: send to it what is unanswered")]
    NewerOwner {
        /// The epoch of the owner that answers.
        epoch: u64,
    },
    /// The one who was asked no longer owns the partition, or does not know what its store holds.
    #[error("this executor no longer owns the partition: ask a coordinator who does")]
    NotOwner,
    /// Another client has opened the stream since.
    #[error("the stream was opened again by another client, as session {session}: close it here, or open it again")]
    SessionReplaced {
        /// The session that the stream belongs to.
        session: u64,
    },
    /// The session has not opened the stream at this partition.
    #[error("the stream is not open at this partition: open it first")]
    NotOpen,
    /// The attempt is not committed, and will never be.
    #[error("attempt {} of bundle {} is over and was not committed: run the bundle again", .0.attempt, .0.bundle)]
    AttemptOver(BundleAttempt),
    /// Other results were confirmed than the attempt gave. It is over.
    #[error("the confirmed digest is not that of attempt {} of bundle {}: run the bundle again", .0.attempt, .0.bundle)]
    DigestDiffers(BundleAttempt),
    /// The bundle was committed by another attempt.
    #[error("bundle {} is committed already, by attempt {}", .0.bundle, .0.attempt)]
    AlreadyCommitted(BundleAttempt),
    /// A bundle is missing before this one.
    #[error("a bundle is missing: the next one here is {expected}")]
    BundleGap {
        /// The bundle that has to come next.
        expected: u64,
    },
    /// Some of the rows are applied already, or the span is empty.
    #[error("rows before offset {next_offset} are applied already: send the rows from there")]
    RowsApplied {
        /// The first offset that is not applied.
        next_offset: u64,
    },
}
