//! State of a connection, shared by its calls.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tonic::Request;

use crate::identity::Peer;

#[derive(Debug, Default)]
struct ConnectionState {
    /// The peer has asked for the version of the arrow-udf protocol.
    asked: AtomicBool,
    open: bool,
    shown: Peer,
    /// Calls that have not ended.
    calls: AtomicUsize,
    /// Calls that have begun.
    begun: AtomicUsize,
    peer: Option<SocketAddr>,
}

/// A connection, as handlers of its calls see it.
#[derive(Debug, Clone, Default)]
pub struct Connection(Arc<ConnectionState>);

impl Connection {
    /// A connection to a listener; `open` to one that asks for no token.
    #[must_use]
    pub fn new(open: bool) -> Self {
        Self::with(open, Peer::Unasked, None)
    }

    /// The same, with what the peer has shown and where it comes from.
    #[must_use]
    pub fn with(open: bool, shown: Peer, peer: Option<SocketAddr>) -> Self {
        Self(Arc::new(ConnectionState { open, shown, peer, ..ConnectionState::default() }))
    }

    /// What the peer has shown.
    #[must_use]
    pub fn shown(&self) -> &Peer {
        &self.0.shown
    }

    /// Where it comes from.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        self.0.peer
    }

    /// The one that a call came on; a fresh one where the server was not given [`accepted`] connections.
    #[must_use]
    pub fn of<T>(request: &Request<T>) -> Self {
        request.extensions().get::<Self>().cloned().unwrap_or_default()
    }

    /// True where the listener asks for no token: only engines' part of Flight is served there.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.open
    }

    /// The peer has asked for the protocol version, as arrow-udf's clients do when they connect.
    pub fn asked_for_version(&self) {
        self.0.asked.store(true, Ordering::Relaxed);
    }

    /// True once it has.
    #[must_use]
    pub fn has_asked_for_version(&self) -> bool {
        self.0.asked.load(Ordering::Relaxed)
    }

    /// Notes a call, which lasts until what is returned is dropped.
    #[must_use]
    pub(crate) fn begin(&self) -> CallOfConnection {
        self.0.calls.fetch_add(1, Ordering::Relaxed);
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        CallOfConnection(Self::clone(self))
    }

    /// How many calls have begun; `None` while some have not ended.
    pub(crate) fn calls_while_idle(&self) -> Option<usize> {
        let idle = self.0.calls.load(Ordering::Relaxed) == 0;
        idle.then(|| self.0.begun.load(Ordering::Relaxed))
    }
}

/// A call under way.
#[derive(Debug)]
pub(crate) struct CallOfConnection(Connection);

impl Drop for CallOfConnection {
    fn drop(&mut self) {
        self.0.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}
