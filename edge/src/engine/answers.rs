//! Translates a stream of numbered answers for an engine.

use std::pin::Pin;

use arrow_flight::FlightData;
use futures::{Stream, StreamExt as _};
use tonic::Status;

use super::Gateway;

/// What goes back to a client.
pub type AnswerStream = Pin<Box<dyn Stream<Item = Result<FlightData, Status>> + Send>>;

struct Passing {
    gateway: Gateway,
    /// Dropped with what it holds once nothing of it is wanted any more.
    numbered: Option<AnswerStream>,
}

/// Passes answers through the gateway.
#[must_use]
pub fn answers(gateway: Gateway, numbered: AnswerStream) -> AnswerStream {
    let passing = Passing { gateway, numbered: Some(numbered) };
    Box::pin(futures::stream::unfold(passing, |mut passing| async move {
        passing.next().await.map(|message| (message, passing))
    }))
}

impl Passing {
    async fn next(&mut self) -> Option<Result<FlightData, Status>> {
        loop {
            if let Some(message) = self.gateway.pop() {
                return Some(message);
            }
            if self.gateway.is_over() {
                self.numbered = None;
            }
            match self.numbered.as_mut()?.next().await {
                Some(Ok(message)) => self.gateway.take(message),
                Some(Err(status)) => {
                    self.numbered = None;
                    return Some(Err(status));
                }
                None => {
                    self.gateway.end();
                    self.numbered = None;
                }
            }
        }
    }
}
