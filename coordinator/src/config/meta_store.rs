//! Where metadata is kept: in a file of this coordinator's own, or in etcd.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use udfleet_edge::config::invalid;
use udfleet_proto::error::Error;

use super::Config;

/// etcd's own port for clients.
const DEFAULT_PORT: u16 = 2379;
/// What keys begin with where the setting names nothing else.
const DEFAULT_PREFIX: &str = "/udfleet";
const EXPECTED: &str = "expected embedded, etcd://HOST:PORT,HOST:PORT/PREFIX or etcds:// for TLS";

/// The setting `meta_store`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum MetaStoreUrl {
    /// A file in the data folder.
    #[default]
    Embedded,
    /// etcd, which several coordinators can share.
    Etcd(EtcdUrl),
}

/// Where etcd is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdUrl {
    /// Whether connections are encrypted.
    pub tls: bool,
    /// `host:port` of each member.
    pub endpoints: Vec<String>,
    /// What all keys begin with: `/udfleet`.
    pub prefix: String,
}

/// What it takes to speak to etcd: file names only, no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdConfig {
    /// Where it is.
    pub url: EtcdUrl,
    /// Certificates (PEM) that sign etcd's own.
    pub ca: Option<PathBuf>,
    /// This coordinator's certificate and key (PEM).
    pub identity: Option<(PathBuf, PathBuf)>,
    /// User, and the file that holds the password.
    pub user: Option<(String, PathBuf)>,
}

impl FromStr for MetaStoreUrl {
    type Err = String;

    /// Messages never repeat the text: somebody may have written a password into it.
    fn from_str(text: &str) -> Result<Self, String> {
        let (tls, rest) = match text.trim().split_once("://") {
            None if text.trim() == "embedded" => return Ok(Self::Embedded),
            Some(("etcd", rest)) => (false, rest),
            Some(("etcds", rest)) => (true, rest),
            _ => return Err(EXPECTED.to_owned()),
        };
        if rest.contains('@') {
            return Err("no user or password belongs here, since settings are printed: use meta_store_user and \
                        meta_store_password_file"
                .to_owned());
        }
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let endpoints = hosts.split(',').map(endpoint).collect::<Result<_, _>>()?;
        Ok(Self::Etcd(EtcdUrl { tls, endpoints, prefix: prefix(path)? }))
    }
}

/// `host` or `host:port` as `host:port`. An IPv6 address stands in brackets.
fn endpoint(text: &str) -> Result<String, String> {
    let text = text.trim();
    let after_address = text.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match text[after_address..].rfind(':') {
        Some(colon) => (&text[..after_address + colon], text[after_address + colon + 1..].parse().ok()),
        None => (text, Some(DEFAULT_PORT)),
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let good = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(plain),
    };
    match port {
        Some(port) if good && port > 0 => Ok(format!("{host}:{port}")),
        _ => Err(format!("an address of etcd can't be read; {EXPECTED}")),
    }
}

fn prefix(path: &str) -> Result<String, String> {
    let path = path.trim_matches('/');
    if path.is_empty() {
        return Ok(DEFAULT_PREFIX.to_owned());
    }
    let good = |segment: &str| !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_graphic());
    if path.contains(['?', '#']) || !path.split('/').all(good) {
        return Err(format!(
            "the prefix of keys can't be read: visible ASCII characters other than ? and #; {EXPECTED}"
        ));
    }
    Ok(format!("/{path}"))
}

impl fmt::Display for EtcdUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "etcds" } else { "etcd" };
        write!(f, "{scheme}://{}{}", self.endpoints.join(","), self.prefix)
    }
}

impl fmt::Display for MetaStoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded => f.write_str("embedded"),
            Self::Etcd(url) => url.fmt(f),
        }
    }
}

impl Serialize for MetaStoreUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MetaStoreUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|why| serde::de::Error::custom(format!("meta_store: {why}")))
    }
}

impl Config {
    /// How etcd is reached; none where the store is embedded.
    ///
    /// # Errors
    /// `INVALID_CONFIG` where settings of etcd don't go together.
    pub fn etcd(&self) -> Result<Option<EtcdConfig>, Error> {
        let url = match &self.meta_store {
            MetaStoreUrl::Embedded => None,
            MetaStoreUrl::Etcd(url) => Some(url.clone()),
        };
        let tls = [
            ("meta_store_ca", &self.meta_store_ca),
            ("meta_store_cert", &self.meta_store_cert),
            ("meta_store_key", &self.meta_store_key),
        ];
        let needless = tls.iter().find(|(_, set)| set.is_some() && !url.as_ref().is_some_and(|url| url.tls));
        if let Some((key, _)) = needless {
            return Err(invalid(format!("{key} is set, but meta_store does not use TLS")).hint("write etcds://…"));
        }
        let identity =
            both(("meta_store_cert", self.meta_store_cert.as_ref()), ("meta_store_key", self.meta_store_key.as_ref()))?;
        let user = both(
            ("meta_store_user", self.meta_store_user.as_ref()),
            ("meta_store_password_file", self.meta_store_password_file.as_ref()),
        )?;
        let Some(url) = url else {
            return match user {
                Some(_) => Err(invalid("meta_store_user is set, but meta_store is not etcd")),
                None => Ok(None),
            };
        };
        if url.tls && self.meta_store_ca.is_none() {
            return Err(invalid("meta_store uses TLS, and meta_store_ca is not set")
                .hint("name the file with the certificates (PEM) that sign etcd's"));
        }
        Ok(Some(EtcdConfig { url, ca: self.meta_store_ca.clone(), identity, user }))
    }
}

/// Two settings that need each other.
fn both<A: Clone, B: Clone>(one: (&str, Option<&A>), other: (&str, Option<&B>)) -> Result<Option<(A, B)>, Error> {
    match (one, other) {
        ((_, Some(one)), (_, Some(other))) => Ok(Some((one.clone(), other.clone()))),
        ((_, None), (_, None)) => Ok(None),
        ((set, Some(_)), (missing, None)) | ((missing, None), (set, Some(_))) => {
            Err(invalid(format!("{set} is set, but not {missing}")).hint("set both or neither"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn etcd(text: &str) -> EtcdUrl {
        match text.parse().unwrap() {
            MetaStoreUrl::Etcd(url) => url,
            MetaStoreUrl::Embedded => panic!("{text} is embedded"),
        }
    }

    #[test]
    fn urls_name_members_and_a_prefix() {
        let url = etcd("etcd://a:1,b.example.org,[::1]:3,[::2]/fleets/one/");
        assert_eq!(url.endpoints, ["a:1", "b.example.org:2379", "[::1]:3", "[::2]:2379"]);
        assert_eq!((url.tls, url.prefix.as_str()), (false, "/fleets/one"));
        let url = etcd("etcds://a");
        assert_eq!(
            (url.tls, url.prefix.as_str(), url.to_string().as_str()),
            (true, "/udfleet", "etcds://a:2379/udfleet")
        );
        assert_eq!(etcd(&url.to_string()), url);
        assert_eq!("embedded".parse(), Ok(MetaStoreUrl::Embedded));
    }

    #[test]
    fn what_is_no_url_is_refused_and_not_repeated() {
        for text in [
            "",
            "etcd",
            "etcd://",
            "http://a",
            "etcd://a,,b",
            "etcd://a:0",
            "etcd://a:x",
            "etcd://[::1",
            "etcd://a b",
            "etcd://root:hunter2@a",
            "etcd://a/x?y",
            "etcd://a/x//y",
            "etcd://[hunter2]:1",
        ] {
            let why = text.parse::<MetaStoreUrl>().unwrap_err();
            assert!(!why.contains("hunter2"), "{why}");
        }
    }

    #[test]
    fn settings_of_etcd_go_together() {
        let file = |text: &str| toml::from_str::<Config>(text).unwrap().etcd();
        assert_eq!(file("").unwrap(), None);
        let whole = "meta_store = \"etcds://a\"\nmeta_store_ca = \"ca\"\nmeta_store_cert = \"c\"\nmeta_store_key = \"k\"\n\
                     meta_store_user = \"u\"\nmeta_store_password_file = \"p\"\n";
        let config = file(whole).unwrap().unwrap();
        assert_eq!(config.identity, Some(("c".into(), "k".into())));
        assert_eq!(config.user, Some(("u".to_owned(), "p".into())));
        for (bad, said) in [
            ("meta_store = \"etcds://a\"", "meta_store_ca"),
            ("meta_store = \"etcd://a\"\nmeta_store_ca = \"ca\"", "meta_store_ca"),
            ("meta_store = \"etcds://a\"\nmeta_store_ca = \"ca\"\nmeta_store_key = \"k\"", "meta_store_cert"),
            ("meta_store = \"etcd://a\"\nmeta_store_user = \"u\"", "meta_store_password_file"),
            ("meta_store_user = \"u\"\nmeta_store_password_file = \"p\"", "meta_store_user"),
        ] {
            assert!(file(bad).unwrap_err().info().message.contains(said), "{bad}");
        }
    }
}
