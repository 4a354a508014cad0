//! The source of batches of an exchange: the client, or the exchange of the stage before.

use arrow_flight::FlightData;
use udfleet_edge::engine::{Incoming, broken_input};

use super::core::Event;
use super::exchange::Exchange;
use crate::routes::Server;

/// See the module.
pub(super) enum InputSource {
    Client(Box<Incoming>),
    Stage(Box<Exchange>),
}

impl InputSource {
    /// What it has to say next. May be dropped while it waits: nothing is lost.
    pub async fn next(&mut self) -> Event<Server> {
        let message: Option<FlightData> = match self {
            Self::Client(client) => match client.message().await {
                Ok(message) => message,
                Err(status) => return Event::InputFailed(broken_input(&status)),
            },
            Self::Stage(stage) => stage.next_boxed().await,
        };
        let results_sequence = match self {
            Self::Client(_) => None,
            Self::Stage(stage) => stage.results_sequence(),
        };
        match message {
            Some(message) => Event::Input { message, results_sequence },
            None => Event::InputEnded,
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
