//! One channel to whichever of several processes can be reached.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint, Error};

use crate::address::Addresses;
use crate::channel::endpoint;

/// How long a process that does not answer may hold up the next.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A channel that connects when it is first used, and again whenever its connection breaks: then to the next address, as
/// what broke may hang and still take connections. `with` adds to what all connections of a fleet have in common.
///
/// # Errors
/// For an address that is none.
pub fn channel(addresses: &Addresses, with: impl FnOnce(Endpoint) -> Endpoint) -> Result<Channel, Error> {
    let all: Arc<[String]> = addresses.as_slice().into();
    // No process looks at the name in its requests.
    let name = all.first().map_or("", String::as_str);
    let patience = CONNECT_TIMEOUT.saturating_mul(u32::try_from(all.len()).unwrap_or(u32::MAX).saturating_add(1));
    let endpoint = with(endpoint(name)?).connect_timeout(patience);
    let next = Arc::new(AtomicUsize::new(0));
    let connector = tower::service_fn(move |_| connect(Arc::clone(&all), Arc::clone(&next)));
    Ok(endpoint.connect_with_connector_lazy(connector))
}

/// Connects to the first that answers, `next` first.
async fn connect(all: Arc<[String]>, next: Arc<AtomicUsize>) -> io::Result<TokioIo<TcpStream>> {
    let first = next.load(Ordering::Relaxed);
    let mut failures = Vec::new();
    for index in (0..all.len()).map(|step| (first + step) % all.len()) {
        let address = &all[index];
        match tokio::time::timeout(CONNECT_TIMEOUT, open(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                next.store((index + 1) % all.len(), Ordering::Relaxed);
                return Ok(TokioIo::new(stream));
            }
            Ok(Err(error)) => failures.push(format!("{address}: {error}")),
            Err(_) => failures.push(format!("{address}: no answer within {} s", CONNECT_TIMEOUT.as_secs())),
        }
    }
    Err(io::Error::new(io::ErrorKind::NotConnected, failures.join("; ")))
}

async fn open(address: &str) -> io::Result<TcpStream> {
    let unknown = |e: io::Error| io::Error::new(e.kind(), format!("its name does not resolve: {e}"));
    let found: Vec<SocketAddr> = tokio::net::lookup_host(address).await.map_err(unknown)?.collect();
    TcpStream::connect(&found[..]).await
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// An address where nobody listens.
    async fn dead() -> String {
        TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string()
    }

    async fn listener() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        (listener, address)
    }

    #[tokio::test]
    async fn who_answers_is_found_and_after_a_break_the_next_is_tried() {
        let ((one, first), (_two, second)) = (listener().await, listener().await);
        let all: Arc<[String]> = [dead().await, first.clone(), second.clone()].into();
        let next = Arc::default();
        let peer = async || {
            let stream = connect(Arc::clone(&all), Arc::clone(&next)).await.unwrap();
            stream.inner().peer_addr().unwrap().to_string()
        };
        assert_eq!(peer().await, first);
        assert_eq!(peer().await, second);
        // Around, past the one that is dead.
        assert_eq!(peer().await, first);
        drop(one);
        assert_eq!((peer().await, peer().await), (second.clone(), second));
    }

    #[tokio::test]
    async fn each_that_does_not_answer_is_named() {
        let all: Arc<[String]> = [dead().await, dead().await].into();
        let error = connect(Arc::clone(&all), Arc::default()).await.unwrap_err().to_string();
        assert!(all.iter().all(|address| error.contains(address.as_str())), "{error}");
    }
}
