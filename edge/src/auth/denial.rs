//! Calls that are refused because of who makes them, for whoever keeps a record of these.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use udfleet_proto::v1::ErrorCode;

use super::principal::Principal;

/// A refused call.
#[derive(Debug, Clone, Copy)]
pub struct Denial<'d> {
    /// Who it is; none where that is not known.
    pub caller: Option<&'d Principal>,
    /// What a caller that is not known claims to be: the name of a token that is valid no more.
    pub claimed: &'d str,
    /// Where it comes from.
    pub from: Option<SocketAddr>,
    /// The method; empty where there is none of its name.
    pub what: &'static str,
    /// The function, where the method is about one.
    pub subject: &'d str,
    /// [`ErrorCode::Unauthenticated`] or [`ErrorCode::PermissionDenied`].
    pub code: ErrorCode,
    /// Why the caller is not known, as in metrics.
    pub reason: &'static str,
}

/// Keeps a record of refused calls. Strangers cause them: it has to be bounded.
pub trait DenialLog: Send + Sync + 'static {
    /// Notes one; never waits.
    fn note(&self, denial: &Denial<'_>);
}

/// Where refused calls are noted, if anywhere.
#[derive(Clone, Default)]
pub struct Denials(Option<Arc<dyn DenialLog>>);

impl Denials {
    /// There.
    #[must_use]
    pub fn new(log: Arc<dyn DenialLog>) -> Self {
        Self(Some(log))
    }

    /// Notes one.
    pub fn note(&self, denial: &Denial<'_>) {
        if let Some(log) = &self.0 {
            log.note(denial);
        }
    }
}

impl fmt::Debug for Denials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Denials").field(&self.0.is_some()).finish()
    }
}
