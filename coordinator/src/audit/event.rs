//! What is noted.

use std::net::SocketAddr;
use std::time::SystemTime;

use serde::Serialize;
use udfleet_edge::auth::{Denial, Principal};
use udfleet_proto::error::Error;

/// How it was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AuditDecision {
    /// It was done.
    Done,
    /// The caller may not do it.
    Denied,
    /// It could not be done.
    Failed,
}

/// One event. Texts are those of the request, within the bounds of names.
#[derive(Debug, Clone, Serialize)]
pub struct AuditEvent {
    /// RFC 3339.
    time: String,
    /// Token, executor or user of the fleet's own token.
    who: String,
    /// How the caller has shown who it is.
    kind: &'static str,
    tenant: String,
    /// host:port of the caller.
    from: String,
    /// The method.
    what: &'static str,
    /// What it is about: a function, an executor, a token.
    subject: String,
    /// SHA-256 of the function's definition.
    #[serde(skip_serializing_if = "String::is_empty")]
    definition: String,
    /// Hash of its environment.
    #[serde(skip_serializing_if = "String::is_empty")]
    environment: String,
    decision: AuditDecision,
    /// The error's code.
    #[serde(skip_serializing_if = "String::is_empty")]
    code: String,
    /// Why a caller is not known.
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'static str,
    /// Refused calls before this one that have no line.
    #[serde(skip_serializing_if = "is_zero")]
    omitted: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl AuditEvent {
    /// What a caller has done to a subject.
    #[must_use]
    pub fn new(caller: &Principal, from: Option<SocketAddr>, what: &'static str, subject: impl Into<String>) -> Self {
        let mut subject = subject.into();
        udfleet_proto::error::truncate(&mut subject, 256);
        Self {
            time: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            who: caller.name.clone(),
            kind: caller.kind.name(),
            tenant: caller.tenant.clone(),
            from: from.map(|from| from.to_string()).unwrap_or_default(),
            what,
            subject,
            definition: String::new(),
            environment: String::new(),
            decision: AuditDecision::Done,
            code: String::new(),
            reason: "",
            omitted: 0,
        }
    }

    /// A call that was refused because of who has made it, after `omitted` others that are not noted.
    #[must_use]
    pub fn denied(denial: &Denial<'_>, omitted: u64) -> Self {
        let what = denial.what.rsplit_once('/').filter(|_| !denial.what.starts_with("/api/"));
        let what = what.map_or(denial.what, |(_, name)| name);
        let event = match denial.caller {
            Some(caller) => Self::new(caller, denial.from, what, denial.subject),
            None => {
                let nobody = Principal::nobody(denial.claimed);
                Self { kind: "unknown", tenant: String::new(), ..Self::new(&nobody, denial.from, what, denial.subject) }
            }
        };
        let code = denial.code.as_str_name().to_owned();
        Self { decision: AuditDecision::Denied, code, reason: denial.reason, omitted, ..event }
    }

    /// About this in place of what the request names.
    #[must_use]
    pub fn about(self, subject: &str) -> Self {
        Self { subject: subject.to_owned(), ..self }
    }

    /// With a function's content.
    #[must_use]
    pub fn function(mut self, definition: &[u8], environment: &str) -> Self {
        (self.definition, self.environment) = (hex::encode(definition), environment.to_owned());
        self
    }

    /// With how it has ended.
    #[must_use]
    pub fn ended<T>(mut self, result: &Result<T, Error>) -> Self {
        if let Err(error) = result {
            use udfleet_proto::v1::ErrorCode::{PermissionDenied, Unauthenticated};
            let denied = matches!(error.code(), PermissionDenied | Unauthenticated);
            self.decision = if denied { AuditDecision::Denied } else { AuditDecision::Failed };
            self.code = error.code().as_str_name().to_owned();
        }
        self
    }
}
