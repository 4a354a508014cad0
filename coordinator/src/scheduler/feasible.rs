//! Whether an executor could ever run an environment, and why none can.

use std::collections::BTreeMap;

use super::{Offer, PlacementRequest, PythonRequirement};

/// `None`: it could.
pub(super) fn obstacle(wanted: &PlacementRequest, offer: &Offer) -> Option<Obstacle> {
    if wanted.python.on(&offer.pythons).is_none() {
        return Some(Obstacle::NoPython);
    }
    let loads = |payload: &String| wanted.python.loads(payload, &offer.pythons);
    if !wanted.payloads.is_empty() && !wanted.payloads.iter().any(loads) {
        return Some(Obstacle::Bytecode);
    }
    if wanted.labels.iter().any(|(label, value)| offer.labels.get(label) != Some(value)) {
        return Some(Obstacle::Labels);
    }
    if !wanted.network.enforced_by(&offer.sandbox) {
        return Some(Obstacle::Network);
    }
    if !wanted.secrets.is_subset(&offer.secrets) {
        return Some(Obstacle::Secrets);
    }
    let offered = |kind: &String| offer.resources.get(kind).copied().unwrap_or(0);
    let needed = |count: u32| count.saturating_mul(wanted.interpreters.max(1));
    if wanted.resources.iter().any(|(kind, count)| needed(*count) > offered(kind)) {
        return Some(Obstacle::Resources);
    }
    (wanted.interpreters > offer.capacity || offer.capacity == 0).then_some(Obstacle::TooSmall)
}

/// Why one executor never could.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Obstacle {
    NoPython,
    Bytecode,
    Labels,
    Network,
    Secrets,
    Resources,
    TooSmall,
}

/// Whether any of the executors, draining or not, could ever run the environment.
///
/// # Errors
/// The reason, for people: "needs Python 3.12; the fleet offers 3.11.2 on 2 executors".
pub fn feasible(wanted: &PlacementRequest, offers: &[&Offer]) -> Result<(), String> {
    let obstacles: Vec<Obstacle> = offers.iter().filter_map(|offer| obstacle(wanted, offer)).collect();
    if offers.is_empty() {
        return Err("no executor is attached".to_owned());
    }
    if obstacles.len() < offers.len() {
        return Ok(());
    }
    if obstacles.iter().all(|o| *o == Obstacle::NoPython) {
        return Err(format!("needs {}; {}", wanted.python, offered(offers)));
    }
    if obstacles.contains(&Obstacle::Resources) {
        return Err(lacking_resources(wanted, offers));
    }
    if obstacles.contains(&Obstacle::Labels) {
        let wishes: Vec<String> = wanted.labels.iter().map(|(label, value)| format!("{label}={value}")).collect();
        let labels = offers.iter().flat_map(|offer| &offer.labels).map(|(label, value)| format!("{label}={value}"));
        return Err(format!("needs an executor with {}; {}", wishes.join(", "), counted(labels, "no label")));
    }
    if obstacles.contains(&Obstacle::Network) {
        let (network, count) = (&wanted.network, plural(offers.len()));
        return Err(format!("asks for udfleet.network = {network}, which none of {count} can enforce"));
    }
    if obstacles.contains(&Obstacle::Secrets) {
        let wishes: Vec<&str> = wanted.secrets.iter().map(String::as_str).collect();
        let secrets = offers.iter().flat_map(|offer| offer.secrets.iter().cloned());
        let wanted = if wishes.len() == 1 { "secret" } else { "secrets" };
        return Err(format!("needs the {wanted} {}; {}", wishes.join(", "), counted(secrets, "no secrets")));
    }
    if obstacles.contains(&Obstacle::TooSmall) {
        let most = offers.iter().map(|offer| offer.capacity).max().unwrap_or(0);
        return Err(format!(
            "needs {} interpreters on one executor; the largest executor runs {most} at most",
            wanted.interpreters.max(1)
        ));
    }
    let payloads = wanted.payloads.iter().map(|p| format!("Python {p}")).collect::<Vec<_>>().join(" or ");
    let stated = match &wanted.python {
        PythonRequirement::Default => "its environment uses the executors' default Python".to_owned(),
        other => format!("its environment asks for {other}"),
    };
    Err(format!("was pickled by {payloads}, whose bytecode only that version loads, but {stated}; {}", offered(offers)))
}

/// What to do about what is not feasible.
#[must_use]
pub fn remedy(wanted: &PlacementRequest, offers: &[&Offer]) -> &'static str {
    let obstacles: Vec<Obstacle> = offers.iter().filter_map(|offer| obstacle(wanted, offer)).collect();
    if obstacles.contains(&Obstacle::Resources) {
        "ask for fewer devices or interpreters, or start an executor that has them (udfleet-executor --resource gpu=2)"
    } else if obstacles.contains(&Obstacle::Labels) {
        "ask for labels that executors have, or start one with these (udfleet-executor --label KEY=VALUE)"
    } else if obstacles.contains(&Obstacle::Network) {
        "start an executor with its sandbox on, on a Linux kernel with seccomp, and with Landlock of version 4 for ports \
         (`udfleet status` says what is missing)"
    } else if obstacles.contains(&Obstacle::Secrets) {
        "put a file of that name into the executors' --secrets-dir"
    } else if obstacles.contains(&Obstacle::TooSmall) {
        "ask for fewer interpreters (udfleet.interpreters), or start a larger executor"
    } else if obstacles.contains(&Obstacle::Bytecode) {
        "register it from the Python that it shall run on, or ship its module with the environment's files, from which \
         any Python imports it"
    } else {
        "choose a Python that the fleet offers, or start an executor that has it"
    }
}

/// "the fleet offers 3.11.2 on 2 executors, 3.12.1 on 1 executor"
fn offered(offers: &[&Offer]) -> String {
    counted(offers.iter().flat_map(|offer| offer.pythons.iter().cloned()), "no Python")
}

/// "needs 2 gpu for each of 3 interpreters on one executor; the fleet offers gpu=2 on 1 executor"
fn lacking_resources(wanted: &PlacementRequest, offers: &[&Offer]) -> String {
    let wishes: Vec<String> = wanted.resources.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let interpreters = match wanted.interpreters {
        0 | 1 => "an interpreter".to_owned(),
        several => format!("each of {several} interpreters on one executor"),
    };
    let offered = offers.iter().flat_map(|offer| &offer.resources).map(|(kind, count)| format!("{kind}={count}"));
    format!("needs {} for {interpreters}; {}", wishes.join(" and "), counted(offered, "no devices"))
}

fn plural(executors: usize) -> String {
    if executors == 1 { "1 executor".to_owned() } else { format!("{executors} executors") }
}

/// "the fleet offers a on 2 executors, b on 1 executor"
fn counted(offered: impl Iterator<Item = String>, nothing: &str) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    offered.for_each(|what| *counts.entry(what).or_default() += 1);
    if counts.is_empty() {
        return format!("the fleet offers {nothing}");
    }
    let parts: Vec<String> = counts.iter().map(|(version, n)| format!("{version} on {}", plural(*n))).collect();
    format!("the fleet offers {}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use udfleet_proto::network::Network;
    use udfleet_proto::v1::SandboxStatus;

    use super::*;

    fn offer(id: &str, python: &str) -> Offer {
        Offer { executor: id.to_owned(), pythons: vec![python.to_owned()], capacity: 4, ..Offer::default() }
    }

    fn wanted(python: &str, payload: &str, interpreters: u32) -> PlacementRequest {
        PlacementRequest {
            environment: "e".to_owned(),
            python: PythonRequirement::parse(python).unwrap(),
            payloads: std::iter::once(payload.to_owned()).filter(|p| !p.is_empty()).collect(),
            interpreters,
            executors: 0,
            labels: BTreeMap::new(),
            resources: BTreeMap::new(),
            network: Network::All,
            secrets: Default::default(),
        }
    }

    #[test]
    fn a_network_that_nobody_can_enforce_is_refused() {
        let offline = PlacementRequest { network: Network::None, ..wanted("", "", 0) };
        let a = offer("a", "3.11.2");
        let refused = feasible(&offline, &[&a]).unwrap_err();
        assert_eq!(refused, "asks for udfleet.network = none, which none of 1 executor can enforce");
        assert!(remedy(&offline, &[&a]).contains("seccomp"));
        let able = Offer { sandbox: SandboxStatus { closes_network: true, ..SandboxStatus::default() }, ..a.clone() };
        assert_eq!(feasible(&offline, &[&a, &able]), Ok(()));
    }

    #[test]
    fn secrets_that_nobody_has_are_named_with_those_that_there_are() {
        let secrets = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let a = Offer { secrets: secrets(&["HF_TOKEN"]), ..offer("a", "3.11.2") };
        let asks = |names: &[&str]| PlacementRequest { secrets: secrets(names), ..wanted("", "", 0) };
        assert_eq!(feasible(&asks(&["HF_TOKEN"]), &[&a]), Ok(()));
        let refused = feasible(&asks(&["API_KEY"]), &[&a]).unwrap_err();
        assert_eq!(refused, "needs the secret API_KEY; the fleet offers HF_TOKEN on 1 executor");
        assert!(remedy(&asks(&["API_KEY"]), &[&a]).contains("--secrets-dir"));
    }

    #[test]
    fn labels_and_devices_that_nobody_has_are_refused_with_what_there_is() {
        let text = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
        let a = Offer {
            labels: text("zone", "b"),
            resources: BTreeMap::from([("gpu".to_owned(), 2)]),
            ..offer("a", "3.11.2")
        };
        let in_zone = |zone: &str| PlacementRequest { labels: text("zone", zone), ..wanted("", "", 0) };
        assert_eq!(feasible(&in_zone("b"), &[&a]), Ok(()));
        let refused = feasible(&in_zone("a"), &[&a]).unwrap_err();
        assert_eq!(refused, "needs an executor with zone=a; the fleet offers zone=b on 1 executor");
        assert!(remedy(&in_zone("a"), &[&a]).contains("--label"));
        let with = |gpus: u32, interpreters: u32| PlacementRequest {
            resources: BTreeMap::from([("gpu".to_owned(), gpus)]),
            ..wanted("", "", interpreters)
        };
        assert_eq!(feasible(&with(1, 2), &[&a]), Ok(()));
        let refused = feasible(&with(1, 3), &[&a]).unwrap_err();
        assert!(
            refused.starts_with("needs 1 gpu for each of 3") && refused.contains("gpu=2 on 1 executor"),
            "{refused}"
        );
        assert!(remedy(&with(3, 0), &[&a]).contains("--resource"));
    }

    #[test]
    fn refusals_say_what_is_needed_and_what_there_is() {
        let (a, b) = (offer("a", "3.11.2"), offer("b", "3.11.2"));
        let offers = [&a, &b];
        assert_eq!(feasible(&wanted("3.11", "3.11", 4), &offers), Ok(()));
        assert_eq!(
            feasible(&wanted("3.12", "", 0), &offers).unwrap_err(),
            "needs Python 3.12; the fleet offers 3.11.2 on 2 executors"
        );
        assert!(remedy(&wanted("3.12", "", 0), &offers).starts_with("choose a Python"));
        assert!(feasible(&wanted("", "3.12", 0), &offers).unwrap_err().contains("pickled by Python 3.12"));
        assert!(remedy(&wanted("", "3.12", 0), &offers).contains("environment's files"));
        assert!(feasible(&wanted("", "", 5), &offers).unwrap_err().contains("runs 4 at most"));
        assert!(remedy(&wanted("", "", 5), &offers).contains("udfleet.interpreters"));
        assert_eq!(feasible(&wanted("", "", 0), &[]).unwrap_err(), "no executor is attached");
    }
}
