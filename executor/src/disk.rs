//! What is said where the executor's disk refuses something.

use std::io::{self, ErrorKind};

use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

/// `what`, and what the disk says: [`ErrorCode::NoCapacity`] where it is full, which passes once there is room, else
/// `code`.
pub(crate) fn refused(code: ErrorCode, what: &str, error: &io::Error) -> Error {
    let full = matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
    let (code, hint) = if full {
        (ErrorCode::NoCapacity, "make room on the disk of the executor's work folder")
    } else {
        (code, "check permissions and the disk of the executor's work folder")
    };
    Error::new(code, format!("{what}: {error}")).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_full_disk_is_worth_another_try() {
        for (kind, code) in [
            (ErrorKind::StorageFull, ErrorCode::NoCapacity),
            (ErrorKind::QuotaExceeded, ErrorCode::NoCapacity),
            (ErrorKind::PermissionDenied, ErrorCode::LoadFailed),
        ] {
            let error = refused(ErrorCode::LoadFailed, "a", &kind.into());
            assert_eq!((error.code(), error.code().retryable()), (code, code == ErrorCode::NoCapacity));
        }
    }
}
