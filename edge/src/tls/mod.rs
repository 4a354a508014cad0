//! TLS on every port and connection: by rustls, with ring. What is trusted and shown stands in files, which are read
//! again when they change.
//!
//! `credentials` keeps what the files hold (`material`), as the settings name them; `accept` and `connect` are the two ends
//! of a handshake, `verify` decides on who shows a certificate, `failure` says what a failed handshake means.

mod accept;
mod certificate;
mod connect;
mod credentials;
mod der;
mod failure;
mod material;
mod settings;
mod verify;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio_rustls::rustls::crypto::{CryptoProvider, ring};

pub use accept::{Handshake, Protocol, ServerStream};
pub use certificate::CertificateSummary;
pub use connect::{Connector, ExpectedPeer};
pub use credentials::{Credentials, TlsNumbers};
pub use settings::{ClientAuth, GivenTls, TlsFiles, TlsSettings};

/// Makes ring the library behind TLS of this process, also for crates that take the default. For `main`.
pub fn install_provider() {
    // Fails where there is one already, which is as good.
    let _ = ring::default_provider().install_default();
}

fn provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(ring::default_provider()))
}
