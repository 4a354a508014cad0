//! Connections to other processes of the fleet.

use std::time::Duration;

use tonic::transport::{Endpoint, Error};
use udfleet_proto::limits::{CONNECTION_WINDOW_BYTES, STREAM_WINDOW_BYTES};

use crate::server::{FRAME_BYTES, KEEPALIVE};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A peer at `host:port`, with what all connections between processes of a fleet have in common.
///
/// # Errors
/// For an address that is none.
pub fn endpoint(address: &str) -> Result<Endpoint, Error> {
    Ok(Endpoint::from_shared(format!("http://{address}"))?
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES)
        .tcp_nodelay(true)
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE))
}
