//! Who is at the other end of a connection or call.

use std::fmt;
use std::str::FromStr;

use tonic::Request;
use udfleet_proto::error::Error;

/// What the URIs in certificates of a fleet begin with.
pub const SCHEME: &str = "udfleet://";

/// A peer whose name has been proved.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    /// The certificate says `udfleet://coordinator/NAME`.
    Coordinator(String),
    /// The certificate says `udfleet://executor/NAME`.
    Executor(String),
    /// The certificate says `udfleet://client/NAME`.
    Client(String),
    /// The certificate has no identity of a fleet; the settings allow this name of it.
    Other(String),
}

impl Identity {
    /// Its name among those of its kind.
    #[must_use]
    pub fn name(&self) -> &str {
        let (Self::Coordinator(name) | Self::Executor(name) | Self::Client(name) | Self::Other(name)) = self;
        name
    }

    /// Who made a call; `None` where nobody has shown a certificate.
    #[must_use]
    pub fn of<T>(request: &Request<T>) -> Option<&Self> {
        request.extensions().get()
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Coordinator(_) => "coordinator",
            Self::Executor(_) => "executor",
            Self::Client(_) => "client",
            Self::Other(name) => return f.write_str(name),
        };
        write!(f, "{SCHEME}{kind}/{}", self.name())
    }
}

impl FromStr for Identity {
    type Err = ();

    fn from_str(uri: &str) -> Result<Self, ()> {
        let (kind, name) = uri.strip_prefix(SCHEME).and_then(|rest| rest.split_once('/')).ok_or(())?;
        if name.is_empty() || name.contains('/') {
            return Err(());
        }
        match kind {
            "coordinator" => Ok(Self::Coordinator(name.to_owned())),
            "executor" => Ok(Self::Executor(name.to_owned())),
            "client" => Ok(Self::Client(name.to_owned())),
            _ => Err(()),
        }
    }
}

/// What the handshake of a connection has shown about the peer.
#[derive(Debug, Clone, Default)]
pub enum Peer {
    /// The port asks for no certificate.
    #[default]
    Unasked,
    /// The port asks for one, and none was shown.
    Anonymous,
    /// A certificate of a CA that is trusted, with a name that is allowed.
    Known(Identity),
    /// Any other certificate: all its calls are refused with this.
    Refused(Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_uris() {
        for uri in ["udfleet://coordinator/c-1", "udfleet://executor/node.7", "udfleet://client/etl"] {
            assert_eq!(uri.parse::<Identity>().unwrap().to_string(), uri);
        }
        for uri in [
            "",
            "udfleet://executor/",
            "udfleet://executor",
            "udfleet://king/a",
            "spiffe://executor/a",
            "udfleet://executor/a/b",
            "UDFLEET://executor/a",
        ] {
            assert!(uri.parse::<Identity>().is_err(), "{uri}");
        }
        assert_eq!(Identity::Other("flink.example.org".to_owned()).to_string(), "flink.example.org");
    }
}
