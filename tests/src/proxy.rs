//! A TCP relay that can break: for clients that vanish without a word.

use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// Relays to one address until it is cut.
pub struct Proxy {
    address: String,
    cut: Arc<Notify>,
}

impl Proxy {
    /// Listens on a free port.
    ///
    /// # Panics
    /// When there is none.
    pub async fn start(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let (cut, target) = (Arc::new(Notify::new()), target.to_owned());
        let stop = Arc::clone(&cut);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(&target).await.expect("a connection to the target");
                tokio::spawn(relay(near, far, Arc::clone(&stop)));
            }
        });
        Self { address, cut }
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
