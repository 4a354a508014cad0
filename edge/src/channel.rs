//! Connections to other processes of the fleet.

use std::error::Error as StdError;
use std::iter::successors;
use std::time::Duration;

use tonic::transport::Endpoint;
use tonic::{Code, Status};
use udfleet_proto::error::Error;
use udfleet_proto::limits::{CONNECTION_WINDOW_BYTES, STREAM_WINDOW_BYTES};
use udfleet_proto::v1::ErrorCode;

use crate::server::{FRAME_BYTES, KEEPALIVE};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A peer at `host:port`, with what all connections between processes of a fleet have in common.
///
/// # Errors
/// For an address that is none.
pub fn endpoint(address: &str) -> Result<Endpoint, tonic::transport::Error> {
    Ok(Endpoint::from_shared(format!("http://{address}"))?
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES)
        .tcp_nodelay(true)
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE))
}

/// What a failed call of the peer at `address` means: its own error, or [`ErrorCode::NoCapacity`] where it did not answer,
/// with the reason.
#[must_use]
pub fn error_of(status: &Status, address: &str) -> Error {
    if status.details().is_empty()
        && let Some(error) = refused_by_tls(status, address)
    {
        return error;
    }
    match status.code() {
        _ if !status.details().is_empty() => Error::from(status),
        _ if is_unreached(status) => {
            let error = Error::new(ErrorCode::NoCapacity, format!("{address} can't be reached: {}", reason(status)));
            error.hint("does the process run, and is its address right as seen from this machine?")
        }
        Code::Unavailable | Code::Cancelled | Code::Unknown => {
            Error::new(ErrorCode::NoCapacity, format!("the connection to {address} broke: {}", reason(status)))
        }
        _ => Error::from(status),
    }
}

/// Why there is no connection, where certificates are the reason or only one side speaks TLS: trying again does not help.
#[must_use]
pub fn refused_by_tls(status: &Status, address: &str) -> Option<Error> {
    if let Some(error) = causes(status).find_map(|error| error.downcast_ref::<Error>()) {
        return Some(error.clone());
    }
    // The first bytes of a port that speaks TLS or HTTP/1, read as a frame of HTTP/2, state a size beyond the limit.
    let other = causes(status).any(|error| {
        error.downcast_ref::<h2::Error>().is_some_and(|error| error.reason() == Some(h2::Reason::FRAME_SIZE_ERROR))
    });
    other.then(|| {
        Error::new(ErrorCode::Unauthenticated, format!("{address} does not speak HTTP/2 in plain text"))
            .hint("where it speaks TLS, name the fleet's CA file (tls_ca, UDFLEET_TLS_CA)")
    })
}

/// True where there was no connection at all: nothing was sent.
#[must_use]
pub fn is_unreached(status: &Status) -> bool {
    causes(status).any(|error| error.is::<tonic::ConnectError>())
}

/// Why a call was not answered, including the system's message. Names that do not resolve are reported as such.
#[must_use]
pub fn reason(status: &Status) -> String {
    let mut text = if causes(status).any(|error| error.to_string() == UNRESOLVED) {
        "its name does not resolve".to_owned()
    } else {
        status.message().to_owned()
    };
    for said in causes(status).map(ToString::to_string).filter(|said| said != UNRESOLVED && said != TRANSPORT) {
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
    }
    text
}

/// What hyper calls a failed look-up of a name; its error type is private.
const UNRESOLVED: &str = "dns error";
/// What tonic calls everything.
const TRANSPORT: &str = "transport error";

fn causes(status: &Status) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    successors(status.source(), |error: &&(dyn StdError + 'static)| (*error).source())
}

#[cfg(test)]
mod tests {
    use udfleet_proto::v1::ServerInfoRequest;
    use udfleet_proto::v1::fleet_client::FleetClient;

    use super::*;

    async fn failed(address: &str) -> Status {
        let mut client = FleetClient::new(endpoint(address).unwrap().connect_lazy());
        client.server_info(ServerInfoRequest::default()).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_name_that_does_not_resolve_is_said_to_be_that() {
        // The top-level domain is reserved: no server knows names in it.
        let status = failed("nobody.invalid:8815").await;
        let error = error_of(&status, "nobody.invalid:8815");
        assert_eq!(error.code(), ErrorCode::NoCapacity);
        let said = &error.info().message;
        assert!(said.starts_with("nobody.invalid:8815 can't be reached: its name does not resolve: "), "{said}");
        assert!(is_unreached(&status));
    }

    #[tokio::test]
    async fn a_port_where_nobody_listens_is_not_a_name() {
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let error = error_of(&failed(&address).await, &address);
        assert_eq!(error.code(), ErrorCode::NoCapacity);
        let said = &error.info().message;
        assert!(said.contains("refused") && !said.contains("resolve"), "{said}");
    }

    #[test]
    fn what_a_peer_says_stands() {
        let typed = Status::from(Error::new(ErrorCode::Unauthenticated, "no token"));
        assert_eq!(error_of(&typed, "h:1").code(), ErrorCode::Unauthenticated);
        assert_eq!(error_of(&Status::invalid_argument("no"), "h:1").code(), ErrorCode::InvalidInput);
        let broken = error_of(&Status::unavailable("h2 protocol error"), "h:1");
        assert!(broken.code().retryable() && broken.info().message.contains("h2 protocol error"), "{broken}");
    }
}
