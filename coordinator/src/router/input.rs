//! Where an exchange's batches come from: the client, or the exchange of the stage before.

use arrow_flight::FlightData;
use tonic::Status;
use udfleet_edge::engine::Incoming;

use super::exchange::Exchange;

/// See the module.
pub(super) enum Input {
    Client(Box<Incoming>),
    Stage(Box<Exchange>),
}

impl Input {
    /// The next message. May be dropped while it waits: nothing is lost.
    pub async fn message(&mut self) -> Result<Option<FlightData>, Status> {
        match self {
            Self::Client(client) => client.message().await,
            Self::Stage(stage) => Ok(stage.next_boxed().await),
        }
    }

    /// Gives up all work on the way and leaves the client's side.
    pub fn abandon(self) -> Option<Incoming> {
        match self {
            Self::Client(client) => Some(*client),
            Self::Stage(stage) => stage.abandon(),
        }
    }
}
