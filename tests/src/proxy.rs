//! A TCP relay that can break: for peers that vanish without a word, and networks that are cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// Relays to one address until it is cut.
pub struct Proxy {
    address: String,
    cut: Arc<Notify>,
    closed: Arc<AtomicBool>,
}

impl Proxy {
    /// Listens on a free port.
    ///
    /// # Panics
    /// When there is none.
    pub async fn start(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let (cut, closed, target) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)), target.to_owned());
        let (stop, refuses) = (Arc::clone(&cut), Arc::clone(&closed));
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                if refuses.load(Ordering::SeqCst) {
                    continue;
                }
                // It may not be there yet, or no more: then the connection ends.
                if let Ok(far) = TcpStream::connect(&target).await {
                    tokio::spawn(relay(near, far, Arc::clone(&stop)));
                }
            }
        });
        Self { address, cut, closed }
    }

    /// Where to connect.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Resets every connection, both ways.
    pub fn cut(&self) {
        self.cut.notify_waiters();
    }

    /// The same, and ends every new connection until [`Proxy::open`].
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.cut();
    }

    /// Lets connections through again.
    pub fn open(&self) {
        self.closed.store(false, Ordering::SeqCst);
    }
}

async fn relay(mut near: TcpStream, mut far: TcpStream, cut: Arc<Notify>) {
    let reset = cut.notified();
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
        () = reset => {
            // Closing then sends a reset in place of an orderly end.
            near.set_zero_linger().expect("a socket option");
            far.set_zero_linger().expect("a socket option");
        }
    }
}
