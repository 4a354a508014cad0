//! A client's side of a stream.

use std::sync::Arc;

use arrow_flight::FlightData;
use tonic::{Code, Status, Streaming};
use udfleet_proto::error::Error;
use udfleet_proto::limits::MAX_FRAME_BYTES;
use udfleet_proto::v1::ErrorCode;

use super::Arrivals;
use crate::tenant::TenantStream;

/// Messages of a client. Those of PATH streams come without metadata: it is the client's own.
#[derive(Debug)]
pub struct Incoming {
    messages: Streaming<FlightData>,
    arrivals: Option<Arc<Arrivals>>,
    ended: bool,
    counted: Option<Arc<TenantStream>>,
    /// Read, and not its tenant's turn yet.
    early: Option<FlightData>,
}

impl Incoming {
    /// Of a CMD stream, as they are.
    #[must_use]
    pub fn numbered(messages: Streaming<FlightData>) -> Self {
        Self { messages, arrivals: None, ended: false, counted: None, early: None }
    }

    /// Of a PATH stream, noted as they come.
    #[must_use]
    pub fn plain(messages: Streaming<FlightData>, arrivals: Arc<Arrivals>) -> Self {
        Self { messages, arrivals: Some(arrivals), ended: false, counted: None, early: None }
    }

    /// With its rows counted, and read no faster than its tenant may send them.
    #[must_use]
    pub fn counted(self, counted: Option<Arc<TenantStream>>) -> Self {
        Self { counted, ..self }
    }

    /// The next message; `None` at the end. May be dropped while it waits: nothing is lost.
    ///
    /// # Errors
    /// What broke the stream.
    pub async fn message(&mut self) -> Result<Option<FlightData>, Status> {
        if self.ended {
            return Ok(None);
        }
        if let Some(counted) = &self.counted {
            if self.early.is_none() {
                counted.paced().await;
                self.early = self.messages.message().await?;
            }
            if let Some(message) = &self.early
                && let Err(refused) = counted.take(message).await
            {
                self.early = None;
                return Err(refused.into());
            }
        } else {
            self.early = self.messages.message().await?;
        }
        Ok(self.early.take().and_then(|message| self.take(message)))
    }

    /// Looks at a message that was read before; `None` where the stream is to end before it.
    pub fn take(&mut self, mut message: FlightData) -> Option<FlightData> {
        if let Some(arrivals) = &self.arrivals {
            message.app_metadata.clear();
            if !arrivals.note(&message) {
                self.ended = true;
                return None;
            }
        }
        Some(message)
    }
}

/// Why reading from the client ended early. The client may well read on: it is told.
#[must_use]
pub fn broken_input(status: &Status) -> Error {
    // One of ours says what it is.
    if !status.details().is_empty() {
        return Error::from(status);
    }
    match status.code() {
        Code::OutOfRange | Code::ResourceExhausted => {
            let message = format!("a Flight message is larger than the limit of {MAX_FRAME_BYTES} bytes");
            Error::new(ErrorCode::LimitExceeded, message).hint("send smaller record batches")
        }
        _ => Error::new(ErrorCode::InvalidInput, format!("reading the stream failed: {}", status.message())),
    }
}
