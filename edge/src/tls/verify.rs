//! Whether a peer's certificate is one that may be here.

use std::fmt;
use std::str::FromStr;

use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

use super::certificate::CertificateSummary;
use crate::config::invalid;
use crate::identity::Identity;

/// A name in certificates; one `*` stands for any text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamePattern {
    before: String,
    after: Option<String>,
}

impl NamePattern {
    fn matches(&self, name: &str) -> bool {
        match &self.after {
            None => name == self.before,
            Some(after) => {
                name.len() >= self.before.len() + after.len()
                    && name.starts_with(&self.before)
                    && name.ends_with(after.as_str())
            }
        }
    }
}

impl FromStr for NamePattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if text.is_empty() || text.matches('*').count() > 1 {
            return Err(invalid(format!("tls_allow has {text:?}, which is no name"))
                .hint("a name of a certificate, such as udfleet://executor/node-1, with at most one *"));
        }
        Ok(match text.split_once('*') {
            Some((before, after)) => Self { before: before.to_owned(), after: Some(after.to_owned()) },
            None => Self { before: text.to_owned(), after: None },
        })
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.before)?;
        self.after.as_ref().map_or(Ok(()), |after| write!(f, "*{after}"))
    }
}

/// Who shows a certificate that is signed by the CA.
///
/// # Errors
/// `UNAUTHENTICATED` where none of its names is allowed, or it has several identities.
pub(super) fn identify(shown: &CertificateSummary, allow: Option<&[NamePattern]>) -> Result<Identity, Error> {
    let refused = |what: String, hint: &str| Error::new(ErrorCode::Unauthenticated, what).hint(hint);
    let named = || {
        let names: Vec<&str> = shown.names().collect();
        if names.is_empty() { "no name".to_owned() } else { names.join(", ") }
    };
    let identities: Vec<Identity> = shown.uris.iter().filter_map(|uri| uri.parse().ok()).collect();
    if let [_, _, ..] = &identities[..] {
        let hint = "a certificate is that of one node or client";
        return Err(refused(format!("the certificate shown has several identities: {}", named()), hint));
    }
    let identity = identities.into_iter().next();
    let Some(allow) = allow else {
        return identity.ok_or_else(|| {
            let hint = "use a certificate with a udfleet:// URI, as `udfleet certs create` makes them, or name this one in tls_allow";
            refused(format!("the certificate shown is of {}, which is no node or client of a fleet", named()), hint)
        });
    };
    match shown.names().find(|name| allow.iter().any(|pattern| pattern.matches(name))) {
        Some(name) => Ok(identity.unwrap_or_else(|| Identity::Other(name.to_owned()))),
        None => {
            let hint = "add its name to tls_allow where it should be";
            Err(refused(format!("the certificate shown is of {}, which is not allowed here", named()), hint))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(uris: &[&str], dns: &[&str]) -> CertificateSummary {
        let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        CertificateSummary { uris: own(uris), hosts: own(dns), ..CertificateSummary::default() }
    }

    fn identified(shown: &CertificateSummary, allow: Option<&[&str]>) -> Result<String, ErrorCode> {
        let allow: Option<Vec<NamePattern>> = allow.map(|all| all.iter().map(|text| text.parse().unwrap()).collect());
        identify(shown, allow.as_deref()).map(|identity| identity.to_string()).map_err(|error| error.code())
    }

    #[test]
    fn without_a_list_it_takes_an_identity_of_the_fleet() {
        let node = shown(&["https://x", "udfleet://executor/a"], &["a.example.org"]);
        assert_eq!(identified(&node, None), Ok("udfleet://executor/a".to_owned()));
        for other in [shown(&[], &["a.example.org"]), shown(&[], &[]), shown(&["spiffe://x/y"], &[])] {
            assert_eq!(identified(&other, None), Err(ErrorCode::Unauthenticated));
        }
        let two = shown(&["udfleet://executor/a", "udfleet://executor/b"], &[]);
        assert_eq!(identified(&two, None), Err(ErrorCode::Unauthenticated));
    }

    #[test]
    fn a_list_names_who_is_let_in() {
        let node = shown(&["udfleet://executor/a"], &["a.example.org"]);
        assert_eq!(identified(&node, Some(&["udfleet://executor/*"])), Ok("udfleet://executor/a".to_owned()));
        assert_eq!(identified(&node, Some(&["*.example.org"])), Ok("udfleet://executor/a".to_owned()));
        assert_eq!(identified(&node, Some(&["udfleet://client/*", "b"])), Err(ErrorCode::Unauthenticated));
        let engine = shown(&[], &["flink.example.org"]);
        assert_eq!(identified(&engine, Some(&["flink.example.org"])), Ok("flink.example.org".to_owned()));
        assert_eq!(identified(&engine, Some(&["flink"])), Err(ErrorCode::Unauthenticated), "a name is a whole one");
    }

    #[test]
    fn patterns_have_one_star() {
        let matches = |pattern: &str, name: &str| pattern.parse::<NamePattern>().unwrap().matches(name);
        assert!(matches("a*a", "aa") && matches("a*a", "aba") && matches("*", ""));
        assert!(!matches("a*a", "a") && !matches("ab", "abc") && !matches("*.b", "b"));
        assert!("a*b*".parse::<NamePattern>().is_err() && " ".parse::<NamePattern>().is_err());
    }
}
