//! Host and Origin: a web page that somebody visits must not reach a port of his machine or network. By DNS rebinding it
//! may resolve its own name to this address; the Host header then has that name.

use std::net::IpAddr;

use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderValue};
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

/// The names under which an HTTP port may be called. Addresses as numbers and `localhost` always are: nobody else can
/// make a name of these resolve to this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedHosts {
    names: Vec<String>,
    any: bool,
}

impl AllowedHosts {
    /// These besides; `*` allows any. What follows a name's colon is not looked at.
    #[must_use]
    pub fn new<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Self {
        let names: Vec<String> = names.into_iter().map(|name| host_of(name.as_ref()).to_ascii_lowercase()).collect();
        let any = names.iter().any(|name| name == "*");
        Self { names, any }
    }

    /// Checks the headers of a request. One without Host and Origin comes from no browser.
    ///
    /// # Errors
    /// [`ErrorCode::PermissionDenied`] naming the header at fault.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Error> {
        if self.any {
            return Ok(());
        }
        let host = single(headers.get_all(HOST).iter(), "Host")?;
        if let Some(host) = host
            && !self.allows(host)
        {
            return Err(refused("Host", host));
        }
        match single(headers.get_all(ORIGIN).iter(), "Origin")? {
            None => Ok(()),
            Some(origin) => {
                let authority = origin.split_once("://").map(|(_, authority)| authority);
                // A page of another port of this machine is another origin too.
                let same = authority.is_some() && authority == host;
                if same || authority.is_some_and(|authority| self.names.iter().any(|name| name == host_of(authority))) {
                    Ok(())
                } else {
                    Err(refused("Origin", origin))
                }
            }
        }
    }

    fn allows(&self, authority: &str) -> bool {
        let host = host_of(authority).to_ascii_lowercase();
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
        literal || host == "localhost" || host.ends_with(".localhost") || self.names.contains(&host)
    }
}

/// Without port and final dot.
fn host_of(authority: &str) -> &str {
    let end = match authority.rfind(']') {
        Some(bracket) => bracket + 1,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    authority[..end].trim_end_matches('.')
}

fn single<'a>(mut values: impl Iterator<Item = &'a HeaderValue>, name: &str) -> Result<Option<&'a str>, Error> {
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| refused(name, "no text")),
        (Some(_), Some(_)) => Err(refused(name, "there twice")),
    }
}

fn refused(header: &str, value: &str) -> Error {
    let mut value = value.to_owned();
    udfleet_proto::error::truncate(&mut value, 100);
    Error::new(ErrorCode::PermissionDenied, format!("the header {header} is {value:?}, which is no name of this port"))
        .hint("call it by its address, or add the name to http_hosts")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(allowed: &AllowedHosts, headers: &[(&'static str, &str)]) -> bool {
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            all.append(*name, value.parse().unwrap());
        }
        allowed.check(&all).is_ok()
    }

    #[test]
    fn addresses_and_known_names_pass() {
        let allowed = AllowedHosts::new(["Node-1:8816", "metrics.example.org"]);
        for host in [
            "localhost",
            "localhost:8816",
            "LOCALHOST.",
            "a.localhost",
            "127.0.0.1:1",
            "[::1]:8816",
            "10.0.0.7",
            "node-1",
            "node-1:99",
            "METRICS.example.org.:80",
        ] {
            assert!(check(&allowed, &[("host", host)]), "{host}");
        }
        assert!(check(&allowed, &[]), "no browser");
        for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "node-1.evil.example", ""] {
            assert!(!check(&allowed, &[("host", host)]), "{host}");
        }
        assert!(!check(&allowed, &[("host", "localhost"), ("host", "evil.example")]));
        assert!(check(&AllowedHosts::new(["*"]), &[("host", "evil.example"), ("origin", "http://evil.example")]));
    }

    #[test]
    fn pages_of_others_do_not() {
        let allowed = AllowedHosts::new(["node-1"]);
        for (origin, expected) in [
            ("http://127.0.0.1:8816", true),
            ("http://node-1", true),
            ("http://127.0.0.1:3000", false),
            ("http://evil.example", false),
            ("null", false),
        ] {
            assert_eq!(check(&allowed, &[("host", "127.0.0.1:8816"), ("origin", origin)]), expected, "{origin}");
        }
    }
}
