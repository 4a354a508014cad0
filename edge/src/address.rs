//! Addresses of coordinators as people write them: one, or several with commas between them.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The port of a coordinator where none is written.
pub const DEFAULT_PORT: u16 = 8815;

/// `host:port` of each, in the order in which they are written, each once. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses(Vec<String>);

impl Addresses {
    /// All of them.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}

/// A coordinator on this machine.
impl Default for Addresses {
    fn default() -> Self {
        Self(vec![format!("127.0.0.1:{DEFAULT_PORT}")])
    }
}

impl FromStr for Addresses {
    type Err = String;

    /// Names the part that is no address.
    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        let mut found: Vec<String> = Vec::with_capacity(parts.len());
        for (index, part) in parts.iter().enumerate() {
            if part.is_empty() && parts.len() > 1 {
                return Err(format!("address {} of {} in {text:?} is empty", index + 1, parts.len()));
            }
            let address = address(part).ok_or_else(|| {
                format!(
                    "{part:?} is no address: HOST:PORT is expected, an IPv6 address in brackets, commas between several"
                )
            })?;
            if !found.contains(&address) {
                found.push(address);
            }
        }
        Ok(Self(found))
    }
}

/// `host:port`; `None` where it is neither that nor a host alone.
fn address(text: &str) -> Option<String> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            host.parse::<Ipv6Addr>().ok()?;
            (format!("[{host}]"), if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
        }
        None => match text.split_once(':') {
            // An IPv6 address without brackets: what follows its last colon may be a port or not.
            Some((_, port)) if port.contains(':') => return None,
            Some((host, port)) => (host.to_owned(), Some(port)),
            None => (text.to_owned(), None),
        },
    };
    let named = host.starts_with('[') || host.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    let port = match port {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse::<u16>().ok()?,
        Some(_) => return None,
        None => DEFAULT_PORT,
    };
    (named && !host.is_empty() && port > 0).then(|| format!("{host}:{port}"))
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

impl Serialize for Addresses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Addresses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<String, String> {
        text.parse::<Addresses>().map(|addresses| addresses.to_string())
    }

    #[test]
    fn each_address_is_kept_once_and_in_order() {
        for (text, expected) in [
            ("b:2", "b:2"),
            ("host", "host:8815"),
            (" b:2 , a:1,b:2", "b:2,a:1"),
            ("host,host:8815", "host:8815"),
            ("[::1]:7,[fe80::1]", "[::1]:7,[fe80::1]:8815"),
            ("node-1.example_com:8815,10.0.0.1:1", "node-1.example_com:8815,10.0.0.1:1"),
        ] {
            assert_eq!(parsed(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn the_part_that_is_no_address_is_named() {
        for (text, named) in [
            ("", "\"\""),
            ("a:1,,b:2", "address 2 of 3"),
            ("a:1,", "address 2 of 2"),
            ("a:1,b:", "\"b:\""),
            ("a:1,b:0", "\"b:0\""),
            ("a:1,b:70000", "\"b:70000\""),
            ("a:1,b:+1", "\"b:+1\""),
            ("a:1,http://b:1", "\"http://b:1\""),
            ("a:1,::1", "\"::1\""),
            ("a:1,[::1]x", "\"[::1]x\""),
            ("a:1,[b]:1", "\"[b]:1\""),
            ("a:1,b c:1", "\"b c:1\""),
        ] {
            let error = parsed(text).unwrap_err();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
