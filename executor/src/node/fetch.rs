//! Fetches the definitions that desired state refers to and this node lacks, one fetch at a time.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use ractor::ActorRef;
use udfleet_proto::error::Error;

use super::actor::NodeMessage;
use crate::definition::{DefinitionSource, HASHES_AT_ONCE};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Whether a fetch is under way, and how long the next one waits.
#[derive(Debug, Default)]
pub(super) struct Fetching {
    under_way: bool,
    /// The fetch that is under way has brought something.
    progressed: bool,
    /// Fetches in a row that brought nothing.
    fruitless: u32,
}

impl Fetching {
    /// Begins a fetch after the pause that it returns; `None` while one is under way.
    pub(super) fn begin(&mut self) -> Option<Duration> {
        if self.under_way {
            return None;
        }
        self.under_way = true;
        self.progressed = false;
        let pause = match self.fruitless {
            0 => Duration::ZERO,
            fruitless => FIRST_PAUSE * 2u32.saturating_pow(fruitless - 1),
        };
        Some(pause.min(LONGEST_PAUSE))
    }

    /// The fetch that is under way has brought something.
    pub(super) fn progressed(&mut self) {
        self.progressed = true;
    }

    pub(super) fn ended(&mut self) {
        self.under_way = false;
        self.fruitless = if self.progressed { 0 } else { (self.fruitless + 1).min(16) };
    }
}

/// Fetches, and tells the node what came and that it has ended.
pub(super) async fn fetch(source: DefinitionSource, missing: Vec<Bytes>, pause: Duration, node: ActorRef<NodeMessage>) {
    if !pause.is_zero() {
        // The last fetch has brought nothing.
        source.pass_over();
    }
    tokio::time::sleep(pause).await;
    for hashes in missing.chunks(HASHES_AT_ONCE) {
        if let Err(error) = one(&source, hashes.to_vec(), &node).await {
            tracing::warn!("definitions can't be fetched from a coordinator, trying again: {error}");
            break;
        }
    }
    // Fails only while the executor stops.
    let _ = node.send_message(NodeMessage::Fetched);
}

async fn one(source: &DefinitionSource, hashes: Vec<Bytes>, node: &ActorRef<NodeMessage>) -> Result<(), Error> {
    let mut answers = std::pin::pin!(source.fetch(hashes).await?);
    while let Some(definitions) = answers.next().await {
        let _ = node.send_message(NodeMessage::Defined(definitions?));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_slower_while_nothing_comes() {
        let mut fetching = Fetching::default();
        assert_eq!(fetching.begin(), Some(Duration::ZERO));
        assert_eq!(fetching.begin(), None);
        fetching.ended();
        assert_eq!(fetching.begin(), Some(FIRST_PAUSE));
        fetching.ended();
        assert_eq!(fetching.begin(), Some(2 * FIRST_PAUSE));
        for _ in 0..100 {
            fetching.ended();
            assert!(fetching.begin() <= Some(LONGEST_PAUSE));
        }
    }

    #[test]
    fn what_brought_something_is_followed_at_once() {
        let mut fetching = Fetching::default();
        fetching.begin();
        fetching.ended();
        assert_eq!(fetching.begin(), Some(FIRST_PAUSE));
        fetching.progressed();
        fetching.ended();
        assert_eq!(fetching.begin(), Some(Duration::ZERO));
    }
}
