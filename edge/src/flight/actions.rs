//! Flight actions: the few requests of engines besides calls.

use arrow_flight::ActionType;
use bytes::Bytes;
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

use crate::engine::Connection;

/// The action by which remote-function clients (RisingWave) ask for the protocol version.
const PROTOCOL_VERSION_ACTION: &str = "protocol_version";
const PROTOCOL_VERSION: u8 = 2;

/// The answer to an action. Who asks for the protocol version is noted with its connection.
///
/// # Errors
/// [`ErrorCode::InvalidInput`] for actions that don't exist.
pub(super) fn action(name: &str, connection: &Connection) -> Result<Bytes, Error> {
    match name {
        PROTOCOL_VERSION_ACTION => {
            connection.asked_for_version();
            Ok(Bytes::from_static(&[PROTOCOL_VERSION]))
        }
        other => {
            Err(Error::new(ErrorCode::InvalidInput, format!("no Flight action {other:?}")).hint("see ListActions"))
        }
    }
}

/// What [`action`] takes.
#[must_use]
pub(super) fn actions() -> [ActionType; 1] {
    let description = "the version of the arrow-udf protocol that PATH streams speak: one byte".to_owned();
    [ActionType { r#type: PROTOCOL_VERSION_ACTION.to_owned(), description }]
}
