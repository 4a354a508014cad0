//! What callers may do by their certificates alone, without a token.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use udfleet_edge::auth::{FunctionPatterns, Principal, PrincipalKind, Right, Rights, Role};
use udfleet_edge::config::invalid;
use udfleet_edge::identity::{Identity, SCHEME};
use udfleet_proto::error::Error;

/// What the holders of some certificates may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CertificateGrant {
    /// As of a token.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Role>,
    /// Patterns of the functions that they may register, drop and call; none: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<String>,
    /// Whose use it counts as; empty: the name in the certificate.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tenant: String,
    /// They may attach as executors, each under the name in its certificate.
    pub attach: bool,
}

/// Grants by the names in certificates, with at most one `*`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CertificateGrants(BTreeMap<String, CertificateGrant>);

impl CertificateGrants {
    /// True where nobody comes in by a certificate alone.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True where somebody may do everything that people do.
    #[must_use]
    pub fn has_admin(&self) -> bool {
        self.0.values().any(|grant| grant.roles.contains(&Role::Admin))
    }

    /// Checks names and patterns.
    ///
    /// # Errors
    /// `INVALID_CONFIG` naming the entry at fault.
    pub fn check(&self) -> Result<(), Error> {
        for (name, grant) in &self.0 {
            let named = |what: &str| invalid(format!("certificates.{name:?}: {what}"));
            if name.trim().is_empty() || name.matches('*').count() > 1 {
                return Err(named("this is no name").hint("a URI such as udfleet://client/etl, with at most one *"));
            }
            if grant.roles.is_empty() && !grant.attach {
                return Err(named("it gives nothing").hint("roles = [\"call\"], or attach = true for executors"));
            }
            FunctionPatterns::new(grant.functions.clone()).map_err(|error| named(&error.info().message))?;
        }
        Ok(())
    }

    /// The caller with this identity, where its certificate is enough. The entry of its very name goes over patterns,
    /// a longer pattern over a shorter.
    #[must_use]
    pub fn caller(&self, identity: &Identity) -> Option<Arc<Principal>> {
        let shown = identity.to_string();
        // `*.example.org` shall not fit udfleet://executor/a.example.org, nor `udfleet://*` the name of a host.
        let bare = matches!(identity, Identity::Other(_));
        let of_its_kind = |pattern: &str| pattern == "*" || pattern.starts_with(SCHEME) != bare;
        let fits = self.0.iter().filter(|(name, _)| of_its_kind(name) && matches(name, &shown));
        let (_, grant) = fits.max_by_key(|(name, _)| (**name == shown, name.len()))?;
        let own = identity.name();
        let mut rights = Rights::of_roles(&grant.roles);
        if grant.attach && matches!(identity, Identity::Executor(_)) {
            rights = rights.with(Right::Attach);
        }
        Some(Arc::new(Principal {
            kind: PrincipalKind::Certificate,
            name: own.to_owned(),
            rights,
            functions: FunctionPatterns::new(grant.functions.clone()).ok()?,
            tenant: if grant.tenant.is_empty() { own.to_owned() } else { grant.tenant.clone() },
            limits: None,
        }))
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => {
            name.len() >= before.len() + after.len() && name.starts_with(before) && name.ends_with(after)
        }
    }
}

#[cfg(test)]
mod tests {
    use udfleet_proto::v1::ErrorCode;

    use super::*;

    fn grants(text: &str) -> CertificateGrants {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn the_entry_that_fits_best_counts() {
        let all = grants(
            "[\"udfleet://client/*\"]\nroles = [\"call\"]\n\
             [\"udfleet://client/etl\"]\nroles = [\"register\"]\nfunctions = [\"team_*\"]\ntenant = \"acme\"\n\
             [\"udfleet://executor/*\"]\nattach = true\n[\"flink.example.org\"]\nroles = [\"call\"]\n",
        );
        all.check().unwrap();
        let of = |uri: &str| all.caller(&uri.parse().unwrap());
        let etl = of("udfleet://client/etl").unwrap();
        assert_eq!((etl.name.as_str(), etl.tenant.as_str(), etl.kind.name()), ("etl", "acme", "certificate"));
        assert!(etl.rights.has(Right::Register) && !etl.rights.has(Right::Call));
        assert!(etl.demand_function("team_a").is_ok() && etl.demand_function("other").is_err());
        let other = of("udfleet://client/other").unwrap();
        assert!(other.rights.has(Right::Call) && !other.rights.has(Right::Attach) && other.tenant == "other");
        let executor = of("udfleet://executor/e1").unwrap();
        assert!(executor.rights.has(Right::Attach) && !executor.rights.has(Right::Call));
        assert!(of("udfleet://coordinator/c1").is_none());
        assert!(all.caller(&Identity::Other("flink.example.org".to_owned())).unwrap().rights.has(Right::Call));
        let attaching = grants("[\"*\"]\nattach = true\nroles = [\"observe\"]\n");
        let client = attaching.caller(&Identity::Client("x".to_owned())).unwrap();
        assert!(!client.rights.has(Right::Attach) && client.rights.has(Right::Observe), "executors attach only");
    }

    #[test]
    fn patterns_of_bare_names_and_of_uris_are_apart() {
        let of = |pattern: &str, identity: Identity| {
            grants(&format!("[{pattern:?}]\nroles = [\"call\"]\n")).caller(&identity).is_some()
        };
        let bare = |name: &str| Identity::Other(name.to_owned());
        assert!(of("flink.*", bare("flink.example.org")) && of("*.example.org", bare("flink.example.org")));
        assert!(!of("udfleet://client/*", bare("flink.example.org")), "it has no URI");
        assert!(!of("udfleet://*", bare("udfleet://executor/a")), "a name that only looks like one");
        for name in ["x.example.org", "flink.example.org"] {
            let all = [Identity::Executor(name.to_owned()), Identity::Client(name.to_owned())];
            for identity in all {
                assert!(!of("*.example.org", identity.clone()) && !of(name, identity.clone()), "{identity}");
                assert!(of("*", identity.clone()) && of(&identity.to_string(), identity));
            }
        }
    }

    #[test]
    fn entries_that_say_nothing_are_refused() {
        for text in ["[\"udfleet://client/etl\"]\n", "[\"a*b*\"]\nattach = true\n"] {
            assert_eq!(grants(text).check().unwrap_err().code(), ErrorCode::InvalidConfig, "{text}");
        }
        assert!(toml::from_str::<CertificateGrants>("[x]\nroles = [\"root\"]\n").is_err());
    }
}
