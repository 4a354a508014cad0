//! Records of tokens, as they are stored, and what they allow.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message as _;
use udfleet_edge::auth::{
    FunctionPatterns, LoginFailure, Principal, PrincipalKind, Right, Rights, Role, SecretHash, TokenType,
};
use udfleet_proto::error::Error;
use udfleet_proto::v1::{AccessRecord, ErrorCode, TokenKind};

use crate::store::{Entry, Revision, StoreError};

/// Everything about access lies below this.
pub(super) const ACCESS: &str = "access/";
/// The longest name of a token or tenant, bytes.
const MOST_NAME_BYTES: usize = 64;

pub(super) fn key(kind: TokenType, name: &str) -> String {
    format!("{ACCESS}{}/{name}", folder(kind))
}

fn folder(kind: TokenType) -> &'static str {
    match kind {
        TokenType::Roles => "tokens",
        TokenType::Join => "joins",
        TokenType::Executor => "executors",
    }
}

/// The kind of token of a message.
///
/// # Errors
/// [`ErrorCode::InvalidInput`] where it names none.
pub fn kind_of(kind: TokenKind) -> Result<TokenType, Error> {
    match kind {
        TokenKind::Roles => Ok(TokenType::Roles),
        TokenKind::Join => Ok(TokenType::Join),
        TokenKind::Executor => Ok(TokenType::Executor),
        TokenKind::Unspecified => Err(Error::new(ErrorCode::InvalidInput, "the request names no kind of token")),
    }
}

pub(super) fn message_kind(kind: TokenType) -> TokenKind {
    match kind {
        TokenType::Roles => TokenKind::Roles,
        TokenType::Join => TokenKind::Join,
        TokenType::Executor => TokenKind::Executor,
    }
}

pub(super) fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// A record, and the caller that it makes.
#[derive(Debug, Clone)]
pub(super) struct StoredToken {
    pub record: AccessRecord,
    pub revision: Revision,
    pub hash: SecretHash,
    pub principal: Arc<Principal>,
}

impl StoredToken {
    pub fn decode(entry: &Entry) -> Result<(TokenType, Self), StoreError> {
        let broken = |why: String| StoreError::Failed(format!("{} can't be read: {why}", entry.key));
        let record = AccessRecord::decode(entry.value.clone()).map_err(|e| broken(e.to_string()))?;
        Self::new(record, entry.revision).map_err(|error| broken(error.to_string()))
    }

    pub fn new(record: AccessRecord, revision: Revision) -> Result<(TokenType, Self), Error> {
        let kind = kind_of(record.kind())?;
        let hash = SecretHash::stored(&record.secret_sha256);
        let hash = hash.ok_or_else(|| Error::new(ErrorCode::InvalidInput, "its hash is no SHA-256"))?;
        let principal = Arc::new(principal(kind, &record)?);
        Ok((kind, Self { record, revision, hash, principal }))
    }

    /// Whether it still lets its holder in.
    pub fn check(&self, now: i64) -> Result<(), LoginFailure> {
        let AccessRecord { name, expires_unix_s, revoked_unix_s, .. } = &self.record;
        if *revoked_unix_s > 0 {
            return Err(LoginFailure::Revoked(name.clone()));
        }
        if *expires_unix_s > 0 && *expires_unix_s <= now {
            return Err(LoginFailure::Expired(name.clone()));
        }
        Ok(())
    }

    /// When it ceased to let anybody in; none while it does.
    pub fn ended(&self, now: i64) -> Option<i64> {
        let AccessRecord { expires_unix_s, revoked_unix_s, .. } = self.record;
        match self.check(now) {
            Ok(()) => None,
            Err(_) if revoked_unix_s > 0 => Some(revoked_unix_s),
            Err(_) => Some(expires_unix_s),
        }
    }
}

fn principal(kind: TokenType, record: &AccessRecord) -> Result<Principal, Error> {
    let (principal_kind, rights) = match kind {
        TokenType::Roles => (PrincipalKind::Token, Rights::of_roles(&roles(&record.roles)?)),
        TokenType::Join => (PrincipalKind::JoinToken, Rights::of(&[Right::Join])),
        // With the right to renew its own credential.
        TokenType::Executor => (PrincipalKind::Executor, Rights::of(&[Right::Attach, Right::Join])),
    };
    let tenant = if record.tenant.is_empty() { record.name.clone() } else { record.tenant.clone() };
    let functions = FunctionPatterns::new(record.functions.clone())?;
    Ok(Principal { kind: principal_kind, name: record.name.clone(), rights, functions, tenant, limits: None })
}

fn roles(names: &[String]) -> Result<Vec<Role>, Error> {
    let role = |name: &String| {
        Role::named(name).ok_or_else(|| {
            let all: Vec<&str> = Role::ALL.iter().map(|role| role.name()).collect();
            Error::new(ErrorCode::InvalidInput, format!("there is no role {name:?}"))
                .hint(format!("roles are {}", all.join(", ")))
        })
    };
    names.iter().map(role).collect()
}

/// Checks what a record says, before it is stored.
///
/// # Errors
/// [`ErrorCode::InvalidInput`] naming the rule.
pub fn validate(record: &AccessRecord) -> Result<(), Error> {
    let bad = |message: String| Error::new(ErrorCode::InvalidInput, message);
    let good = |name: &str| {
        !name.is_empty()
            && name.len() <= MOST_NAME_BYTES
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    for (what, name) in [("name", &record.name), ("tenant", &record.tenant)] {
        if !(good(name) || what == "tenant" && name.is_empty()) {
            return Err(bad(format!(
                "{what} {name:?}: give it 1 to {MOST_NAME_BYTES} letters, digits, `-`, `_` and `.`"
            )));
        }
    }
    let kind = kind_of(record.kind())?;
    if kind == TokenType::Roles && record.roles.is_empty() {
        return Err(
            bad("a token needs at least one role".to_owned()).hint("--role admin, register, call, observe or inspect")
        );
    }
    principal(kind, record).map(drop)
}
