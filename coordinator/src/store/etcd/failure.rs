//! What etcd's errors mean for a request.

use std::error::Error;

use tonic::Code;

use super::super::StoreError;

/// Why a request to one member failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// For now, and the request has not happened.
    NotDone(String),
    /// For now. Whether the request has happened, nobody knows.
    Unknown(String),
    /// Another member would say the same.
    Final(Refusal),
}

/// What etcd says to a request that it understands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The revision is no longer kept.
    Compacted,
    /// A lease of the request does not exist.
    NoLease,
    /// A key whose value was to be kept does not exist.
    NoKey,
    /// etcd has no room: for now, whichever member is asked.
    NoSpace(String),
    /// The request is too large, or otherwise against the rules.
    Invalid(String),
    /// Settings are wrong or etcd is broken.
    Failed(String),
}

impl Refusal {
    /// For requests that know no better what it means.
    pub fn into_error(self) -> StoreError {
        match self {
            Self::NoSpace(why) => StoreError::Unavailable(why),
            Self::Invalid(why) => StoreError::Invalid(why),
            Self::Failed(why) => StoreError::Failed(why),
            Self::Compacted => StoreError::Compacted(0),
            Self::NoLease => StoreError::NoLease(0),
            Self::NoKey => StoreError::Unavailable("parts of a value have expired before it was stored".to_owned()),
        }
    }
}

// Of etcd's api/v3rpc/rpctypes: clients may rely on these texts.
const COMPACTED: &str = "required revision has been compacted";
const NO_LEASE: &str = "requested lease not found";
const NO_KEY: &str = "key not found";
const NO_SPACE: &str = "database space exceeded";
const NO_LEADER: &str = "no leader";
const TOO_MANY: &str = "too many requests";

impl From<etcd_client::Error> for Failure {
    fn from(error: etcd_client::Error) -> Self {
        match error {
            etcd_client::Error::GRpcStatus(status) => of_status(&status),
            // The only answer to a keep-alive that is no status.
            etcd_client::Error::LeaseKeepAliveError(_) => Self::Final(Refusal::NoLease),
            error @ (etcd_client::Error::IoError(_)
            | etcd_client::Error::TransportError(_)
            | etcd_client::Error::WatchError(_)
            | etcd_client::Error::EndpointError(_)) => Self::Unknown(chain(&error)),
            error => Self::Final(Refusal::Failed(error.to_string())),
        }
    }
}

fn of_status(status: &tonic::Status) -> Failure {
    if let Some(connecting) = not_connected(status) {
        return Failure::NotDone(connecting);
    }
    let (text, says) = (status.message().to_owned(), |part: &str| status.message().contains(part));
    match status.code() {
        _ if says(COMPACTED) => Failure::Final(Refusal::Compacted),
        _ if says(NO_LEASE) => Failure::Final(Refusal::NoLease),
        _ if says(NO_KEY) => Failure::Final(Refusal::NoKey),
        _ if says(NO_SPACE) => Failure::Final(Refusal::NoSpace(text)),
        _ if says(NO_LEADER) || says(TOO_MANY) => Failure::NotDone(text),
        Code::InvalidArgument if !says("auth") && !says("user") => Failure::Final(Refusal::Invalid(text)),
        Code::InvalidArgument
        | Code::FailedPrecondition
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::Unimplemented
        | Code::OutOfRange
        | Code::DataLoss => Failure::Final(Refusal::Failed(text)),
        _ => Failure::Unknown(chain(status)),
    }
}

/// Why there is no connection, where that is what went wrong: then nothing was sent.
fn not_connected(status: &tonic::Status) -> Option<String> {
    let mut source = status.source();
    while let Some(error) = source {
        if error.is::<tonic::ConnectError>() {
            return Some(chain(error));
        }
        source = error.source();
    }
    None
}

/// An error with what is behind it, each once: the outermost often says nothing.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut texts = vec![error.to_string()];
    let mut source = error.source();
    while let Some(error) = source {
        let text = error.to_string();
        if texts.iter().all(|before| !before.contains(&text)) {
            texts.push(text);
        }
        source = error.source();
    }
    texts.join(": ")
}

#[cfg(test)]
mod tests {
    use tonic::Status;

    use super::*;

    fn of(status: Status) -> Failure {
        etcd_client::Error::GRpcStatus(status).into()
    }

    #[test]
    fn transient_is_told_from_final() {
        for status in [
            Status::unavailable("etcdserver: request timed out"),
            Status::unavailable("etcdserver: leader changed"),
            Status::unknown("transport error"),
            Status::deadline_exceeded("etcdserver: request timed out"),
            Status::cancelled("connection closed"),
            Status::internal("h2 protocol error"),
        ] {
            assert!(matches!(of(status.clone()), Failure::Unknown(_)), "{status:?}");
        }
        for status in
            [Status::unavailable("etcdserver: no leader"), Status::resource_exhausted("etcdserver: too many requests")]
        {
            assert!(matches!(of(status.clone()), Failure::NotDone(_)), "{status:?}");
        }
        let refusal = |status| match of(status) {
            Failure::Final(refusal) => refusal,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            refusal(Status::out_of_range("etcdserver: mvcc: required revision has been compacted")),
            Refusal::Compacted
        );
        assert_eq!(refusal(Status::not_found("etcdserver: requested lease not found")), Refusal::NoLease);
        let full = refusal(Status::resource_exhausted("etcdserver: mvcc: database space exceeded"));
        assert!(matches!(full.into_error(), StoreError::Unavailable(_)));
        let large = refusal(Status::invalid_argument("etcdserver: request is too large"));
        assert!(matches!(large.into_error(), StoreError::Invalid(_)));
        let password = "etcdserver: authentication failed, invalid user ID or password";
        assert!(matches!(refusal(Status::invalid_argument(password)).into_error(), StoreError::Failed(_)));
        let denied = refusal(Status::permission_denied("etcdserver: permission denied"));
        assert!(matches!(denied.into_error(), StoreError::Failed(_)));
    }
}
