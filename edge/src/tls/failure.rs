//! What failed handshakes mean, and what to do about them. None of them passes by itself.

use tokio_rustls::rustls::{self, AlertDescription, CertificateError};
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

fn unauthenticated(message: String, hint: &str) -> Error {
    Error::new(ErrorCode::Unauthenticated, message).hint(hint)
}

/// Whose certificate is no good, and where.
#[derive(Debug, Clone, Copy)]
enum Shown<'a> {
    /// A client's, which has shown it here.
    Client,
    /// That of the server at this address.
    Server(&'a str),
}

/// Why a server's calls of a connection are refused: the certificate that the client has shown is no good.
pub(super) fn of_client_certificate(error: &rustls::Error) -> Error {
    match error {
        rustls::Error::InvalidCertificate(why) => of_certificate(why, Shown::Client),
        other => unauthenticated(format!("{} can't be used: {other}", Shown::Client.subject()), "use another"),
    }
}

/// Why a connection to `address` was not made.
pub(super) fn of_server(error: &rustls::Error, address: &str) -> Error {
    match error {
        rustls::Error::InvalidCertificate(why) => of_certificate(why, Shown::Server(address)),
        rustls::Error::AlertReceived(alert) => unauthenticated(
            format!("{address} has refused the TLS handshake: {}", alert_text(*alert)),
            "does it take the certificate that this process shows (tls_cert)?",
        ),
        rustls::Error::InvalidMessage(_) => {
            unauthenticated(format!("{address} does not speak TLS"), "give it certificates, or connect without tls_ca")
        }
        other => unauthenticated(format!("the TLS handshake with {address} failed: {other}"), "see docs/tls.md"),
    }
}

impl Shown<'_> {
    fn subject(self) -> String {
        match self {
            Self::Client => "the client certificate that was shown".to_owned(),
            Self::Server(address) => format!("the certificate of {address}"),
        }
    }

    /// One of two, by whose it is.
    fn either<T>(self, client: T, server: T) -> T {
        match self {
            Self::Client => client,
            Self::Server(_) => server,
        }
    }
}

fn of_certificate(why: &CertificateError, shown: Shown<'_>) -> Error {
    let (what, hint) = match why {
        // A bad signature: a CA of the same name, as `udfleet certs` gives all of them.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => shown.either(
            (
                "is not signed by this fleet's CA".to_owned(),
                "use one that is: `udfleet certs show FILE` prints who signed it",
            ),
            ("is not signed by a CA in tls_ca".to_owned(), "use the CA file of this fleet (tls_ca, UDFLEET_TLS_CA)"),
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => (
            "has expired".to_owned(),
            shown.either(
                "renew it: `udfleet certs create` with the same folder",
                "renew it there: its files are read again without a restart",
            ),
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            ("is not valid yet".to_owned(), "compare the clocks of the machines")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
            "is one for other names".to_owned(),
            "connect by a name that it has, or make one that has this: `udfleet certs create --hosts ...`",
        ),
        CertificateError::Other(other) => {
            (format!("is not the one that is expected there: {}", other.0), "is another process at this address?")
        }
        other => (
            format!("can't be used: {other:?}"),
            shown.either(
                "it needs the key usage of client authentication, as `udfleet certs create` gives it",
                "see docs/tls.md",
            ),
        ),
    };
    unauthenticated(format!("{} {what}", shown.subject()), hint)
}

fn alert_text(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::UnknownCA => "it does not know the CA of the certificate that was shown".to_owned(),
        AlertDescription::CertificateExpired => "the certificate that was shown has expired".to_owned(),
        AlertDescription::CertificateRequired => "it wants a client certificate".to_owned(),
        AlertDescription::NoApplicationProtocol => "it speaks another protocol there".to_owned(),
        other => format!("{other:?}"),
    }
}
