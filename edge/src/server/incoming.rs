//! Connections of a port, plain or after their handshakes.

use std::sync::Arc;

use futures::Stream;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::AbortHandle;

use super::accept::{Acceptor, Taken};
use super::socket::Socket;
use crate::identity::Peer;
use crate::tls::{Credentials, Handshake, Protocol};

/// Connections that are ready and not taken yet.
const READY: usize = 64;

/// A connection that may be served, which counts until `counted` is dropped.
#[derive(Debug)]
pub(super) struct Entered {
    pub socket: Socket,
    pub peer: Peer,
    pub counted: OwnedSemaphorePermit,
}

/// A port's connections, as they come.
#[derive(Debug)]
pub(super) enum Incoming {
    Plain(Acceptor),
    /// Handshakes go on beside each other: one that hangs keeps nobody waiting.
    Encrypted {
        ready: mpsc::Receiver<Entered>,
        _task: AbortOnDrop,
    },
}

/// Ends a task with its owner.
#[derive(Debug)]
pub(super) struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Incoming {
    /// Encrypted where there are credentials. Call within a tokio runtime.
    pub fn new(acceptor: Acceptor, tls: Option<Arc<Credentials>>, protocol: Protocol) -> Self {
        let Some(credentials) = tls else { return Self::Plain(acceptor) };
        let (sender, ready) = mpsc::channel(READY);
        let handshake = Handshake::new(credentials, protocol);
        let task = tokio::spawn(shake_all(acceptor, handshake, protocol, sender));
        Self::Encrypted { ready, _task: AbortOnDrop(task.abort_handle()) }
    }

    /// The next connection. May be dropped while it waits.
    pub async fn next(&mut self) -> Entered {
        match self {
            Self::Plain(acceptor) => {
                let Taken { stream, counted } = acceptor.next().await;
                Entered { socket: Socket::Plain(stream), peer: Peer::Unasked, counted }
            }
            Self::Encrypted { ready, .. } => match ready.recv().await {
                Some(entered) => entered,
                // The task ends only with this.
                None => std::future::pending().await,
            },
        }
    }

    /// All connections, without end.
    pub fn stream(self) -> impl Stream<Item = Entered> {
        futures::stream::unfold(self, |mut incoming| async move { Some((incoming.next().await, incoming)) })
    }
}

async fn shake_all(mut acceptor: Acceptor, handshake: Handshake, protocol: Protocol, ready: mpsc::Sender<Entered>) {
    loop {
        let Taken { stream, counted } = acceptor.next().await;
        let (handshake, ready) = (handshake.clone(), ready.clone());
        tokio::spawn(async move {
            let Some((mut stream, peer)) = handshake.accept(stream).await else { return };
            match (&peer, protocol) {
                (Peer::Refused(error), Protocol::Http1) => {
                    let refusal = format!(
                        "HTTP/1.1 401 Unauthorized\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n{error}\n"
                    );
                    // The peer may be gone.
                    let _ = stream.write_all(refusal.as_bytes()).await;
                    let _ = stream.shutdown().await;
                }
                // Calls of refused peers are answered, by the guard of the port.
                _ => {
                    let socket = Socket::Encrypted(Box::new(stream));
                    // Fails where the port has stopped.
                    let _ = ready.send(Entered { socket, peer, counted }).await;
                }
            }
        });
    }
}
