//! What failed handshakes mean, and what to do about them. None of them passes by itself.

use tokio_rustls::rustls::{self, AlertDescription, CertificateError};
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

fn unauthenticated(message: String, hint: &str) -> Error {
    Error::new(ErrorCode::Unauthenticated, message).hint(hint)
}

/// Why a server's calls of a connection are refused: the certificate that the client has shown is no good.
pub(super) fn of_client_certificate(error: &rustls::Error) -> Error {
    let rustls::Error::InvalidCertificate(why) = error else {
        return unauthenticated(format!("the client certificate that was shown can't be used: {error}"), "use another");
    };
    match why {
        // A bad signature: a CA of the same name, as `udfleet certs` gives all of them.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => unauthenticated(
            "the client certificate that was shown is not signed by this fleet's CA".to_owned(),
            "use one that is: `udfleet certs show FILE` prints who signed it",
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => unauthenticated(
            "the client certificate that was shown has expired".to_owned(),
            "renew it: `udfleet certs create` with the same folder",
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => unauthenticated(
            "the client certificate that was shown is not valid yet".to_owned(),
            "compare the clocks of the machines",
        ),
        other => unauthenticated(
            format!("the client certificate that was shown can't be used: {other:?}"),
            "it needs the key usage of client authentication, as `udfleet certs create` gives it",
        ),
    }
}

/// Why a connection to `address` was not made.
pub(super) fn of_server(error: &rustls::Error, address: &str) -> Error {
    match error {
        rustls::Error::InvalidCertificate(why) => of_server_certificate(why, address),
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

fn of_server_certificate(why: &CertificateError, address: &str) -> Error {
    match why {
        // A bad signature: a CA of the same name, as `udfleet certs` gives all of them.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => unauthenticated(
            format!("the certificate of {address} is not signed by a CA in tls_ca"),
            "use the CA file of this fleet (tls_ca, UDFLEET_TLS_CA)",
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => unauthenticated(
            format!("the certificate of {address} is one for other names"),
            "connect by a name that it has, or make one that has this: `udfleet certs create --hosts ...`",
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => unauthenticated(
            format!("the certificate of {address} has expired"),
            "renew it there: its files are read again without a restart",
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => unauthenticated(
            format!("the certificate of {address} is not valid yet"),
            "compare the clocks of the machines",
        ),
        CertificateError::Other(other) => unauthenticated(
            format!("the certificate of {address} is not the one that is expected there: {}", other.0),
            "is another process at this address?",
        ),
        other => unauthenticated(format!("the certificate of {address} can't be used: {other:?}"), "see docs/tls.md"),
    }
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
