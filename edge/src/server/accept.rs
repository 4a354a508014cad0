//! Accepts connections: so many at once, and slower when the process is out of descriptors.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long accepting pauses after it has failed, at first and at most.
const PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How often one port complains.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);
/// Of the process's descriptors, one in so many may be a connection of one port.
const PORT_SHARE: u64 = 4;
/// The fewest and the most connections of one port.
const FEWEST: u64 = 32;
const MOST: u64 = 8192;

/// The most connections that one port holds: a quarter of the descriptors that the process may have.
pub(super) fn most_connections() -> usize {
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from((descriptors / PORT_SHARE).clamp(FEWEST, MOST)).unwrap_or(usize::MAX)
}

/// A connection, which counts until it is dropped.
#[derive(Debug)]
pub(super) struct Taken {
    pub stream: TcpStream,
    pub counted: OwnedSemaphorePermit,
}

/// Accepts at one port.
#[derive(Debug)]
pub(super) struct Acceptor {
    listener: TcpListener,
    free: Arc<Semaphore>,
    pause: Duration,
    complained: Option<Instant>,
}

impl Acceptor {
    /// For at most `most` connections at once.
    pub fn new(listener: TcpListener, most: usize) -> Self {
        Self { listener, free: Arc::new(Semaphore::new(most)), pause: PAUSE, complained: None }
    }

    /// The next connection. What is beyond the most is closed at once.
    pub async fn next(&mut self) -> Taken {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    self.pause = PAUSE;
                    match Arc::clone(&self.free).try_acquire_owned() {
                        Ok(counted) => {
                            let _ = stream.set_nodelay(true);
                            return Taken { stream, counted };
                        }
                        Err(_) => self.complain(
                            || tracing::warn!(%peer, "a connection is refused: the port has as many as it may have"),
                        ),
                    }
                }
                // It was gone before it was accepted.
                Err(error) if is_of_peer(&error) => {}
                Err(error) => {
                    self.complain(|| tracing::error!(%error, "connections can't be accepted; will be tried again"));
                    tokio::time::sleep(self.pause).await;
                    self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    fn complain(&mut self, log: impl FnOnce()) {
        if self.complained.is_none_or(|last| last.elapsed() >= COMPLAIN_EVERY) {
            self.complained = Some(Instant::now());
            log();
        }
    }
}

fn is_of_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn a_connection_too_many_is_closed_and_room_comes_back() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut acceptor = Acceptor::new(listener, 1);
        let _first = TcpStream::connect(address).await.unwrap();
        let held = acceptor.next().await;
        let mut second = TcpStream::connect(address).await.unwrap();
        // Refused while the next one is waited for.
        let refused = async { second.read(&mut [0]).await.unwrap_or(0) };
        let refused = tokio::select! { read = refused => read, _ = acceptor.next() => panic!("one too many") };
        assert_eq!(refused, 0);
        drop(held);
        let _third = TcpStream::connect(address).await.unwrap();
        acceptor.next().await;
    }
}
