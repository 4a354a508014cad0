//! Where a function may connect to.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::v1::SandboxStatus;

/// The value of `udfleet.network`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Network {
    /// Anywhere.
    #[default]
    All,
    /// Nowhere.
    None,
    /// To these TCP ports of any host. Port 53 allows UDP too: names are looked up by it.
    Ports(BTreeSet<u16>),
}

impl Network {
    /// Whether an executor of this status can hold functions to it.
    #[must_use]
    pub fn enforced_by(&self, sandbox: &SandboxStatus) -> bool {
        match self {
            Self::All => true,
            Self::None => sandbox.closes_network,
            Self::Ports(_) => sandbox.bounds_ports,
        }
    }
}

/// What it was that could not be parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotANetwork;

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        match text.trim() {
            "all" => Ok(Self::All),
            "none" => Ok(Self::None),
            ports => {
                let port = |text: &str| text.trim().parse().ok().filter(|port| *port > 0).ok_or(NotANetwork);
                ports.split(',').map(port).collect::<Result<_, _>>().map(Self::Ports)
            }
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::None => f.write_str("none"),
            Self::Ports(ports) => f.write_str(&ports.iter().map(u16::to_string).collect::<Vec<_>>().join(",")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_one_form() {
        for (text, form) in [("all", "all"), (" none", "none"), ("443", "443"), ("443, 53,443", "53,443")] {
            assert_eq!(text.parse::<Network>().map(|network| network.to_string()), Ok(form.to_owned()));
        }
        for text in ["", "some", "0", "443,", "70000", "-1"] {
            assert_eq!(text.parse::<Network>(), Err(NotANetwork), "{text}");
        }
    }

    #[test]
    fn what_a_kernel_lacks_is_not_promised() {
        let ports = Network::Ports([443].into());
        let bare = SandboxStatus::default();
        assert!(Network::All.enforced_by(&bare) && !Network::None.enforced_by(&bare) && !ports.enforced_by(&bare));
        let closes = SandboxStatus { closes_network: true, ..bare };
        assert!(Network::None.enforced_by(&closes) && !ports.enforced_by(&closes));
    }
}
