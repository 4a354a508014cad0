//! What a failing object store means for who asked.

use std::error::Error as _;
use std::io::ErrorKind;
use std::iter::successors;
use std::time::Duration;

use object_store::Error as StoreFailure;
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

/// What artifacts lie in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Medium {
    /// Files.
    Folder,
    /// Objects behind a network.
    Bucket,
}

/// `EIO`, which has no [`ErrorKind`].
const INPUT_OUTPUT: i32 = 5;

/// The store's own word.
pub(super) fn of(medium: Medium, error: &StoreFailure) -> Error {
    let (code, hint) = match error {
        _ if has_cause(error, is_full) => (ErrorCode::NoCapacity, "make room where the coordinator keeps artifacts"),
        _ if has_cause(error, is_away) => {
            (ErrorCode::NoCapacity, "try again when the coordinator's artifact store is mounted and answers")
        }
        StoreFailure::PermissionDenied { .. } | StoreFailure::Unauthenticated { .. } => {
            (ErrorCode::Internal, "check what the coordinator may do in its artifact store, and its credentials")
        }
        StoreFailure::NotFound { .. } => {
            (ErrorCode::Internal, "check that the artifact store's folder or bucket exists")
        }
        // Whatever else a bucket's server does may pass: it restarts, or the network is cut.
        StoreFailure::Generic { .. } if medium == Medium::Bucket => {
            (ErrorCode::NoCapacity, "try again when the coordinator's artifact store can be reached")
        }
        _ => (ErrorCode::Internal, "see the coordinator's log and its artifact store"),
    };
    Error::new(code, format!("artifact store: {error}")).hint(hint)
}

/// It does not answer.
pub(super) fn too_slow(limit: Duration) -> Error {
    let message = format!("artifact store: no answer within {} s", limit.as_secs_f64());
    Error::new(ErrorCode::NoCapacity, message).hint("try again when the coordinator's artifact store is faster")
}

fn has_cause(error: &StoreFailure, is: fn(&std::io::Error) -> bool) -> bool {
    successors(error.source(), |error| (*error).source()).filter_map(|error| error.downcast_ref()).any(is)
}

fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// What a file system says whose server does not answer. One that is mounted to give up says no more than that input and
/// output have failed.
fn is_away(error: &std::io::Error) -> bool {
    let away = [
        ErrorKind::StaleNetworkFileHandle,
        ErrorKind::NotConnected,
        ErrorKind::TimedOut,
        ErrorKind::HostUnreachable,
        ErrorKind::NetworkUnreachable,
        ErrorKind::NetworkDown,
    ];
    away.contains(&error.kind()) || error.raw_os_error() == Some(INPUT_OUTPUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(kind: ErrorKind) -> StoreFailure {
        StoreFailure::Generic { store: "test", source: Box::new(std::io::Error::from(kind)) }
    }

    #[test]
    fn only_what_may_pass_is_retryable() {
        for medium in [Medium::Folder, Medium::Bucket] {
            assert!(of(medium, &generic(ErrorKind::StorageFull)).code().retryable(), "room may be made");
            let path = || "p".to_owned();
            let denied = StoreFailure::PermissionDenied { path: path(), source: "403".into() };
            assert!(!of(medium, &denied).code().retryable());
            let gone = StoreFailure::NotFound { path: path(), source: "NoSuchBucket".into() };
            assert!(!of(medium, &gone).code().retryable());
        }
        assert!(of(Medium::Bucket, &generic(ErrorKind::ConnectionRefused)).code().retryable());
        assert!(!of(Medium::Folder, &generic(ErrorKind::ReadOnlyFilesystem)).code().retryable());
        for away in [ErrorKind::StaleNetworkFileHandle.into(), std::io::Error::from_raw_os_error(INPUT_OUTPUT)] {
            let failure = StoreFailure::Generic { store: "test", source: Box::<std::io::Error>::new(away) };
            assert!(of(Medium::Folder, &failure).code().retryable(), "it may be mounted again");
        }
        assert!(too_slow(Duration::from_secs(1)).code().retryable());
    }
}
