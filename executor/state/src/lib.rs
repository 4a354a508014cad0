//! Keyed state, exactly once: the protocol by which the client of a stream and the owner of a partition agree on what is
//! committed. Plain code without sockets, clock or storage.
//!
//! It concerns one stream and one partition, since a row touches one partition. The client cuts the rows that a partition
//! gets into bundles, numbered from 1 without gaps. A bundle is
//!
//! | phase | what it means |
//! |---|---|
//! | running | the owner computes it; its changes to state are held back |
//! | delivered | the client has the results and their digest; giving up costs nothing yet |
//! | confirmed | the client has asked for the commit, naming attempt and digest; from here only the store knows |
//! | committed | changes and [`PositionRecord`] are durable, in one write |
//! | released | the client knows that, and hands the results on |
//!
//! What keeps this exact:
//!
//! * Every opening of a partition's store has an **epoch** of its own, and the store fences writers of older ones. Owners
//!   answer under their epoch only, so "not committed" is said by somebody whom no older owner can prove wrong.
//! * Every opening of a stream by a client has a **session** of its own, higher than the ones before. It is made durable in
//!   the position record before the client hears where to go on, so that a client which was replaced can't commit.
//! * Every try to run a bundle is an **attempt** with a number of its own. An attempt that an owner has called over is never
//!   committed. A confirm names attempt and digest: functions may be random, and late messages exist.

mod client;
#[cfg(test)]
mod exploration;
mod message;
mod owner;
mod position;
mod record;

pub use client::{ClientEffect, ClientEvent, StreamClient, StreamOver};
pub use message::{BundleAttempt, Header, Refusal, Reply, Request, RowSpan};
pub use owner::{OwnerEffect, OwnerEvent, StreamOwner};
pub use position::stream_position;
pub use record::{Digest, PositionRecord, RETAINED, RecordError};
