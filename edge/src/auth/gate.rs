//! The check that every call passes: who the caller is, and whether it may do what it asks for.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use tonic::Status;
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

use super::denial::{Denial, Denials};
use super::failures::LoginFailures;
use super::principal::{Principal, PrincipalKind};
use super::right::Right;
use super::table::{Demand, Surface, method};
use crate::identity::Identity;

/// Why a caller is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginFailure {
    /// It shows nothing.
    Missing,
    /// What it shows is none of this fleet's.
    Wrong,
    /// Its token has expired.
    Expired(String),
    /// Its token was revoked.
    Revoked(String),
}

impl LoginFailure {
    /// All reasons, as labels of metrics.
    pub const REASONS: [&str; 4] = ["missing", "wrong", "expired", "revoked"];

    /// As a label of metrics.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Wrong => "wrong",
            Self::Expired(_) => "expired",
            Self::Revoked(_) => "revoked",
        }
    }
}

impl LoginFailure {
    /// The name of a token that is valid no more; empty for others, who only claim to be somebody.
    fn claimed(&self) -> &str {
        match self {
            Self::Missing | Self::Wrong => "",
            Self::Expired(name) | Self::Revoked(name) => name,
        }
    }
}

impl From<LoginFailure> for Error {
    fn from(failure: LoginFailure) -> Self {
        let message = match &failure {
            LoginFailure::Missing => "the call carries no token".to_owned(),
            LoginFailure::Wrong => "the token is wrong".to_owned(),
            LoginFailure::Expired(name) => format!("the token {name:?} has expired"),
            LoginFailure::Revoked(name) => format!("the token {name:?} has been revoked"),
        };
        Self::new(ErrorCode::Unauthenticated, message)
            .hint("pass token=... to udfleet.connect, or set UDFLEET_TOKEN or UDFLEET_TOKEN_FILE")
    }
}

/// Knows callers by what they show.
pub trait Authenticator: Send + Sync + 'static {
    /// The caller that shows this token; asked once for each call or stream, so it never waits.
    ///
    /// # Errors
    /// Why it is not known.
    fn authenticate(&self, token: Option<&str>) -> Result<Arc<Principal>, LoginFailure>;

    /// The caller whose certificate says so, where that alone is enough. Asked for callers that show no token.
    fn of_certificate(&self, _identity: &Identity) -> Option<Arc<Principal>> {
        None
    }
}

/// Knows everybody as the same caller, whatever is shown.
#[derive(Debug)]
pub struct Everybody(Arc<Principal>);

impl Everybody {
    /// Callers of a fleet without tokens: they may do everything.
    #[must_use]
    pub fn unlimited() -> Self {
        Self(Arc::new(Principal::unlimited(PrincipalKind::Anonymous)))
    }

    /// Data engines, on the port that asks for no token.
    #[must_use]
    pub fn engines() -> Self {
        Self(Arc::new(Principal::engine()))
    }
}

impl Authenticator for Everybody {
    fn authenticate(&self, _: Option<&str>) -> Result<Arc<Principal>, LoginFailure> {
        Ok(Arc::clone(&self.0))
    }
}

/// Why a call does not pass.
#[derive(Debug)]
pub enum GateRefusal {
    /// The caller is not known, or may not do this.
    Denied(Error),
    /// The table has no such method.
    Unknown(String),
}

impl From<GateRefusal> for Status {
    fn from(refusal: GateRefusal) -> Self {
        match refusal {
            GateRefusal::Denied(error) => error.into(),
            GateRefusal::Unknown(path) => Self::unimplemented(format!("{path} does not exist here")),
        }
    }
}

/// The check in front of one port.
#[derive(Clone)]
pub struct Gate {
    surface: Surface,
    authenticator: Arc<dyn Authenticator>,
    failures: Arc<LoginFailures>,
    denials: Denials,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("surface", &self.surface).finish_non_exhaustive()
    }
}

impl Gate {
    /// A check of this port's callers; those that are not known are counted in `failures`.
    #[must_use]
    pub fn new(surface: Surface, authenticator: Arc<dyn Authenticator>, failures: Arc<LoginFailures>) -> Self {
        Self { surface, authenticator, failures, denials: Denials::default() }
    }

    /// With a record of refused calls.
    #[must_use]
    pub fn noting(self, denials: Denials) -> Self {
        Self { denials, ..self }
    }

    /// The check of the port for engines.
    #[must_use]
    pub fn engines() -> Self {
        Self::new(Surface::Engine, Arc::new(Everybody::engines()), Arc::default())
    }

    /// Who shows this token.
    ///
    /// # Errors
    /// [`ErrorCode::Unauthenticated`]: the caller is not known, which is counted.
    pub fn login(&self, token: Option<&str>, path: &str, from: Option<SocketAddr>) -> Result<Arc<Principal>, Error> {
        self.known(token, path, from, None)
    }

    /// Who shows this token, or this certificate where it shows none.
    fn known(
        &self,
        token: Option<&str>,
        path: &str,
        from: Option<SocketAddr>,
        shown: Option<&Identity>,
    ) -> Result<Arc<Principal>, Error> {
        let by_certificate = || shown.and_then(|identity| self.authenticator.of_certificate(identity));
        let known = match token {
            None => by_certificate().map_or_else(|| self.authenticator.authenticate(None), Ok),
            Some(token) => self.authenticator.authenticate(Some(token)),
        };
        known.map_err(|failure| {
            self.failures.note(&failure, path, from);
            let what = method(self.surface, path).map_or("", |entry| entry.path);
            let (code, reason, claimed) = (ErrorCode::Unauthenticated, failure.reason(), failure.claimed());
            self.denials.note(&Denial { caller: None, claimed, from, what, subject: "", code, reason });
            failure.into()
        })
    }

    /// Notes it where a caller has none of the rights that `named` takes; `what` is its path.
    ///
    /// # Errors
    /// As [`Principal::demand`].
    pub fn demand(
        &self,
        caller: &Principal,
        rights: &[Right],
        named: &str,
        what: &'static str,
        from: Option<SocketAddr>,
    ) -> Result<(), Error> {
        caller.demand(rights, named).inspect_err(|error| {
            let (code, caller) = (error.code(), Some(caller));
            self.denials.note(&Denial { caller, claimed: "", from, what, subject: "", code, reason: "" });
        })
    }

    /// The caller of `path`, if it may; none where the path asks for no caller. `header` is the text of an
    /// [`HEADER`](super::HEADER), `from` the peer, and `shown` what its certificate says.
    ///
    /// # Errors
    /// When the caller is not known, may not do this, or nothing of this name exists.
    pub fn check(
        &self,
        path: &str,
        header: Option<&str>,
        from: Option<SocketAddr>,
        shown: Option<&Identity>,
    ) -> Result<Option<Arc<Principal>>, GateRefusal> {
        let entry = method(self.surface, path);
        if let Some(entry) = entry
            && entry.demand == Demand::Nothing
        {
            return Ok(None);
        }
        // Who is not known does not learn what there is.
        let token = header.and_then(|text| text.strip_prefix("Bearer "));
        let caller = self.known(token, path, from, shown).map_err(GateRefusal::Denied)?;
        let what = entry.map_or("", |entry| entry.path);
        let entry = entry.ok_or_else(|| GateRefusal::Unknown(path.to_owned()))?;
        if let Demand::OneOf(rights) = entry.demand {
            let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
            let named = if path.starts_with("/api/") { path } else { name };
            self.demand(&caller, rights, named, what, from).map_err(GateRefusal::Denied)?;
        }
        Ok(Some(caller))
    }

    /// Notes a call whose peer is refused for its certificate.
    pub fn refused_certificate(&self, path: &str, from: Option<SocketAddr>) {
        let what = method(self.surface, path).map_or("", |entry| entry.path);
        let (code, reason) = (ErrorCode::Unauthenticated, "certificate");
        self.denials.note(&Denial { caller: None, claimed: "", from, what, subject: "", code, reason });
    }
}

/// Checks a Flight action of a caller that may use DoAction. All ports that serve Flight serve the same actions.
///
/// # Errors
/// When it may not, or there is no such action.
pub fn check_action(caller: &Principal, action: &str) -> Result<(), Error> {
    let path = format!("DoAction {action}");
    match method(Surface::Engine, &path).map(|entry| entry.demand) {
        Some(Demand::OneOf(rights)) => caller.demand(rights, &path),
        Some(Demand::Known | Demand::Nothing) => Ok(()),
        None => {
            Err(Error::new(ErrorCode::InvalidInput, format!("no Flight action {action:?}")).hint("see ListActions"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::pattern::FunctionPatterns;
    use crate::auth::right::{Right, Rights};

    /// Knows one token.
    struct OnlyCaller;

    impl Authenticator for OnlyCaller {
        fn authenticate(&self, token: Option<&str>) -> Result<Arc<Principal>, LoginFailure> {
            match token {
                Some("caller") => Ok(Arc::new(Principal {
                    kind: PrincipalKind::Token,
                    name: "c".to_owned(),
                    rights: Rights::of(&[Right::Call]),
                    functions: FunctionPatterns::all(),
                    tenant: "c".to_owned(),
                    limits: None,
                })),
                Some(_) => Err(LoginFailure::Wrong),
                None => Err(LoginFailure::Missing),
            }
        }
    }

    fn code(surface: Surface, path: &str, header: Option<&str>) -> tonic::Code {
        let gate = Gate::new(surface, Arc::new(OnlyCaller), Arc::default());
        match gate.check(path, header, None, None) {
            Ok(_) => tonic::Code::Ok,
            Err(refusal) => Status::from(refusal).code(),
        }
    }

    #[test]
    fn callers_are_known_before_anything_is_said() {
        use tonic::Code::{Ok, PermissionDenied, Unauthenticated, Unimplemented};
        let exchange = "/arrow.flight.protocol.FlightService/DoExchange";
        for (surface, path, header, expected) in [
            (Surface::Coordinator, exchange, Some("Bearer caller"), Ok),
            (Surface::Coordinator, exchange, Some("caller"), Unauthenticated),
            (Surface::Coordinator, exchange, Some("Bearer other"), Unauthenticated),
            (Surface::Coordinator, exchange, None, Unauthenticated),
            (Surface::Coordinator, "/udfleet.v1.Fleet/DrainExecutor", Some("Bearer caller"), PermissionDenied),
            (Surface::Coordinator, "/udfleet.v1.Fleet/Nothing", None, Unauthenticated),
            (Surface::Coordinator, "/udfleet.v1.Fleet/Nothing", Some("Bearer caller"), Unimplemented),
            (Surface::Executor, "/udfleet.v1.Fleet/ServerInfo", Some("Bearer caller"), Unimplemented),
            (Surface::CoordinatorHttp, "/healthz", None, Ok),
            (Surface::CoordinatorHttp, "/api/v1/functions", Some("Bearer caller"), PermissionDenied),
        ] {
            assert_eq!(code(surface, path, header), expected, "{surface:?} {path} {header:?}");
        }
    }

    #[test]
    fn actions_are_in_the_table_too() {
        let check = |action| check_action(&Principal::engine(), action).map_err(|error| error.code());
        assert_eq!(check("protocol_version"), Ok(()));
        assert_eq!(check("shutdown"), Err(ErrorCode::InvalidInput));
    }
}
