//! The address that a process tells others, where it is not the one that it listens on.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `HOST` or `HOST:PORT`, under which other machines reach a process. Never a wildcard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertise {
    host: String,
    port: Option<u16>,
}

impl Advertise {
    /// The announced address of a port: this setting, or the bound one. Without a port in the setting, the
    /// port is the bound one.
    #[must_use]
    pub fn told(setting: Option<&Self>, bound: SocketAddr) -> String {
        match setting {
            Some(Self { host, port }) => format!("{host}:{}", port.unwrap_or(bound.port())),
            None => bound.to_string(),
        }
    }

    /// The same for a further port of the process, which the setting says nothing of: where that listens on all
    /// addresses, it is reached where the process is.
    #[must_use]
    pub fn told_beside(setting: Option<&Self>, listen: SocketAddr, beside: SocketAddr) -> String {
        match setting {
            _ if !beside.ip().is_unspecified() => beside.to_string(),
            Some(Self { host, .. }) => format!("{host}:{}", beside.port()),
            None => SocketAddr::new(listen.ip(), beside.port()).to_string(),
        }
    }
}

impl FromStr for Advertise {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused =
            |why: &str| format!("{text:?} {why}: expected HOST or HOST:PORT, as other machines reach this one");
        // As orchestrators give the address of a container.
        if let Ok(address) = text.parse::<Ipv6Addr>() {
            return format!("[{address}]").parse();
        }
        let (host, port) = match text.rsplit_once(':') {
            // The colons of an address in brackets are its own.
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (text, None),
        };
        let port = match port.map(str::parse::<u16>) {
            None => None,
            Some(Ok(port)) if port > 0 => Some(port),
            Some(_) => return Err(refused("has no port after its last colon")),
        };
        let wildcard = match host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
            Some(inner) => match inner.parse::<Ipv6Addr>() {
                Ok(address) => address.is_unspecified(),
                Err(_) => return Err(refused("is no IPv6 address in brackets")),
            },
            None if host.is_empty() || !host.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) => {
                return Err(refused("is no name or address"));
            }
            None => host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_unspecified()),
        };
        if wildcard {
            return Err(refused("is no address that anybody can call"));
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Advertise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl Serialize for Advertise {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Advertise {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn others_are_told_the_setting_else_what_was_bound() {
        let everywhere = address("0.0.0.0:8815");
        let told = |text: &str| Advertise::told(Some(&text.parse().unwrap()), everywhere);
        assert_eq!(told("node-1"), "node-1:8815", "the bound port");
        assert_eq!(told("node-1.example.org:9000"), "node-1.example.org:9000");
        assert_eq!(told("10.0.0.7:1"), "10.0.0.7:1");
        assert_eq!(told("[2001:db8::1]"), "[2001:db8::1]:8815");
        assert_eq!(told("[2001:db8::1]:9"), "[2001:db8::1]:9");
        assert_eq!(told("2001:db8::1"), "[2001:db8::1]:8815");
        assert_eq!(Advertise::told(None, address("127.0.0.1:8815")), "127.0.0.1:8815");
        for text in ["node-1", "node-1:9", "[::1]:9", "[::1]"] {
            assert_eq!(text.parse::<Advertise>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_further_port_is_where_the_process_is() {
        let (listen, everywhere) = (address("10.0.0.7:8815"), address("0.0.0.0:8816"));
        let node: Advertise = "node-1:9000".parse().unwrap();
        assert_eq!(Advertise::told_beside(Some(&node), listen, everywhere), "node-1:8816");
        assert_eq!(Advertise::told_beside(None, listen, everywhere), "10.0.0.7:8816");
        assert_eq!(Advertise::told_beside(Some(&node), listen, address("127.0.0.1:1")), "127.0.0.1:1", "only there");
    }

    #[test]
    fn what_nobody_can_call_is_refused() {
        for text in [
            "",
            ":1",
            "0.0.0.0",
            "0.0.0.0:1",
            "[::]:1",
            "::",
            "node:0",
            "node:port",
            "node:70000",
            "http://node:1",
            "a b:1",
            "[x]:1",
        ] {
            assert!(text.parse::<Advertise>().is_err(), "{text:?}");
        }
    }
}
