//! Who a caller is, once it has been let in.

use std::sync::{Arc, LazyLock};

use tonic::Request;
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

use super::pattern::FunctionPatterns;
use super::right::{Right, Rights};
use crate::tenant::TenantLimits;

/// How a caller has shown who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrincipalKind {
    /// It has not, where nobody has to.
    Anonymous,
    /// By the fleet's own token.
    FleetToken,
    /// By a token with roles.
    Token,
    /// By a join token.
    JoinToken,
    /// As an executor, by its credential.
    Executor,
    /// By a ticket of a coordinator.
    Ticket,
    /// By a certificate alone.
    Certificate,
}

impl PrincipalKind {
    /// In messages and the audit log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::FleetToken => "fleet token",
            Self::Token => "token",
            Self::JoinToken => "join token",
            Self::Executor => "executor",
            Self::Ticket => "ticket",
            Self::Certificate => "certificate",
        }
    }
}

/// A caller that has been let in. Made once per call or stream; what it holds does not change while that lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// How it has shown who it is.
    pub kind: PrincipalKind,
    /// Of its token or executor; empty for the kinds that have no name.
    pub name: String,
    /// What it may do.
    pub rights: Rights,
    /// Which functions it may register, drop and call.
    pub functions: FunctionPatterns,
    /// Whose use it counts as.
    pub tenant: String,
    /// What its ticket says that this tenant may use; none: as it is set where it calls.
    pub limits: Option<TenantLimits>,
}

/// The tenant of callers that have no name of their own.
pub const DEFAULT_TENANT: &str = "default";

impl Principal {
    /// Who may do everything: the only kind of caller where a fleet has no tokens, and the holder of its own token.
    #[must_use]
    pub fn unlimited(kind: PrincipalKind) -> Self {
        Self { rights: Rights::ALL, ..Self::nameless(kind) }
    }

    /// A data engine on the port for engines.
    #[must_use]
    pub fn engine() -> Self {
        Self { rights: Rights::of(&[Right::Call]), ..Self::nameless(PrincipalKind::Anonymous) }
    }

    /// Who may do nothing, and claims this name.
    #[must_use]
    pub fn nobody(claimed: &str) -> Self {
        Self { name: claimed.to_owned(), ..Self::nameless(PrincipalKind::Anonymous) }
    }

    fn nameless(kind: PrincipalKind) -> Self {
        let (functions, tenant) = (FunctionPatterns::all(), DEFAULT_TENANT.to_owned());
        Self { kind, name: String::new(), rights: Rights::default(), functions, tenant, limits: None }
    }

    /// The caller of a request that has passed a [`Gate`](super::Gate). Without one, a caller that may do nothing.
    #[must_use]
    pub fn of<T>(request: &Request<T>) -> Arc<Self> {
        static NOBODY: LazyLock<Arc<Principal>> =
            LazyLock::new(|| Arc::new(Principal::nameless(PrincipalKind::Anonymous)));
        request.extensions().get::<Arc<Self>>().unwrap_or(&NOBODY).clone()
    }

    /// How messages call it: `token "ci"`.
    #[must_use]
    pub fn title(&self) -> String {
        match self.name.as_str() {
            "" => format!("the caller ({})", self.kind.name()),
            name => format!("{} {name:?}", self.kind.name()),
        }
    }

    /// Checks that it has one of these rights; none of them means that any caller will do.
    ///
    /// # Errors
    /// [`ErrorCode::PermissionDenied`] naming what is missing.
    pub fn demand(&self, rights: &[Right], what: &str) -> Result<(), Error> {
        if rights.is_empty() || rights.iter().any(|right| self.rights.has(*right)) {
            return Ok(());
        }
        let sources: Vec<&str> = rights.iter().map(|right| right.source()).collect();
        Err(Error::new(
            ErrorCode::PermissionDenied,
            format!("{} may not use {what}: that takes {}", self.title(), sources.join(" or ")),
        )
        .hint("an admin makes tokens: udfleet token create NAME --role ROLE"))
    }

    /// Checks that a function, named without its version, is one of those that it may use.
    ///
    /// # Errors
    /// [`ErrorCode::PermissionDenied`] naming its patterns.
    pub fn demand_function(&self, name: &str) -> Result<(), Error> {
        if self.functions.include(name) {
            return Ok(());
        }
        let patterns = self.functions.texts().join(", ");
        Err(Error::new(
            ErrorCode::PermissionDenied,
            format!("{} may not use the function {name}: its functions are {patterns}", self.title()),
        )
        .function(name)
        .hint("an admin makes tokens: udfleet token create NAME --role ROLE --functions PATTERN"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_what_is_missing() {
        let caller = Principal {
            kind: PrincipalKind::Token,
            name: "ci".to_owned(),
            rights: Rights::of(&[Right::Call]),
            functions: FunctionPatterns::new(vec!["team_*".to_owned()]).unwrap(),
            tenant: "ci".to_owned(),
            limits: None,
        };
        caller.demand(&[Right::Observe, Right::Call], "Progress").unwrap();
        caller.demand(&[], "ServerInfo").unwrap();
        caller.demand_function("team_a").unwrap();
        let error = caller.demand(&[Right::Register], "DropFunction").unwrap_err();
        assert_eq!(error.code(), ErrorCode::PermissionDenied);
        let message = &error.info().message;
        assert!(["\"ci\"", "DropFunction", "role register"].iter().all(|part| message.contains(part)), "{message}");
        let error = caller.demand_function("other").unwrap_err();
        assert_eq!((error.code(), error.info().function.as_str()), (ErrorCode::PermissionDenied, "other"));
        assert!(error.info().message.contains("team_*"), "{error}");
    }

    #[test]
    fn a_request_that_passed_no_gate_may_do_nothing() {
        let caller = Principal::of(&Request::new(()));
        assert_eq!(caller.demand(&[Right::Call], "x").unwrap_err().code(), ErrorCode::PermissionDenied);
        let mut request = Request::new(());
        request.extensions_mut().insert(Arc::new(Principal::unlimited(PrincipalKind::FleetToken)));
        Principal::of(&request).demand(&[Right::Coordinate], "x").unwrap();
    }
}
