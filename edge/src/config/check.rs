//! Which addresses a process may listen on.

use std::net::SocketAddr;

use udfleet_proto::error::Error;

use super::invalid;

/// The addresses of a process, and what it takes for other machines to reach them.
#[derive(Debug, Clone, Copy)]
pub struct Listeners {
    /// gRPC and Flight, where callers show the token.
    pub listen: SocketAddr,
    /// Metrics and health.
    pub http_listen: SocketAddr,
    /// Engines, which show no token.
    pub engine_listen: Option<SocketAddr>,
    /// Others are told an address other than `listen`.
    pub advertised: bool,
    /// There is a token.
    pub token: bool,
    /// Traffic is encrypted.
    pub tls: bool,
    /// Nobody without a certificate is served.
    pub demands_certificates: bool,
    /// Traffic may be readable by others: the operator has said so.
    pub insecure_non_loopback: bool,
}

impl Listeners {
    /// Addresses other than loopback need TLS, or have to be asked for by name, and need a token where one can be shown. Nobody is told
    /// a wildcard.
    ///
    /// # Errors
    /// `INVALID_CONFIG` naming the setting and what to do.
    pub fn check(&self) -> Result<(), Error> {
        let engine = self.engine_listen.map(|address| ("engine_listen", address));
        let all = [("listen", self.listen), ("http_listen", self.http_listen)].into_iter().chain(engine);
        for (key, address) in all.filter(|(_, address)| !address.ip().is_loopback()) {
            if !self.tls && !self.insecure_non_loopback {
                return Err(invalid(format!("{key} is {address}, which other machines can reach, and traffic is not encrypted"))
                    .hint("set tls_cert, tls_key and tls_ca (`udfleet certs create` makes them), or listen on 127.0.0.1, or set \
                           insecure_non_loopback = true, together with a token, on a network that you trust"));
            }
            if key == "listen" && !self.token && !self.demands_certificates {
                return Err(invalid(format!(
                    "{key} is {address}, which other machines can reach, and no token is set"
                ))
                .hint("set token_file (or token)"));
            }
        }
        if self.listen.ip().is_unspecified() && !self.advertised {
            return Err(invalid(format!("listen is {}, which is no address that others can call", self.listen))
                .hint("set advertise to the HOST:PORT under which other machines reach this process"));
        }
        Ok(())
    }

    /// Says loudly which ports can be read by others on the network.
    pub fn warn(&self) {
        let engine = self.engine_listen.map(|address| ("engine_listen", address));
        let all = [("listen", self.listen), ("http_listen", self.http_listen)].into_iter().chain(engine);
        for (key, address) in all.filter(|(_, address)| !self.tls && !address.ip().is_loopback()) {
            tracing::warn!(
                "{key} is {address} in PLAIN TEXT (insecure_non_loopback): whoever is on this network reads tokens, code and rows"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn other_interfaces_need_a_named_override_and_a_token() {
        let (here, everywhere) =
            (SocketAddr::from((Ipv4Addr::LOCALHOST, 1)), SocketAddr::from((Ipv4Addr::UNSPECIFIED, 1)));
        let local = Listeners {
            listen: here,
            http_listen: here,
            engine_listen: None,
            advertised: true,
            token: false,
            tls: false,
            demands_certificates: false,
            insecure_non_loopback: false,
        };
        assert!(local.check().is_ok());
        let named = |listeners: Listeners| listeners.check().unwrap_err().info().message.clone();
        assert!(named(Listeners { listen: everywhere, token: true, ..local }).starts_with("listen is 0.0.0.0:1"));
        assert!(named(Listeners { http_listen: everywhere, ..local }).starts_with("http_listen is"));
        assert!(named(Listeners { engine_listen: Some(everywhere), ..local }).starts_with("engine_listen is"));
        let open = Listeners { listen: everywhere, insecure_non_loopback: true, ..local };
        assert!(open.check().unwrap_err().info().hint.contains("token"));
        assert!(Listeners { token: true, ..open }.check().is_ok());
        let engines = Listeners { engine_listen: Some(everywhere), insecure_non_loopback: true, ..local };
        assert!(engines.check().is_ok(), "engines have no token");
        let encrypted = Listeners { listen: everywhere, http_listen: everywhere, tls: true, token: true, ..local };
        assert!(encrypted.check().is_ok(), "encrypted ports need no override");
        assert!(Listeners { token: false, ..encrypted }.check().unwrap_err().info().hint.contains("token"));
        assert!(Listeners { token: false, demands_certificates: true, ..encrypted }.check().is_ok());
        let unnamed = Listeners { token: true, advertised: false, ..open };
        assert!(unnamed.check().unwrap_err().info().hint.contains("advertise"));
        assert!(
            Listeners { listen: here, http_listen: everywhere, ..unnamed }.check().is_ok(),
            "it is told of as here"
        );
    }
}
