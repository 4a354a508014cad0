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
    (wanted.interpreters > offer.capacity || offer.capacity == 0).then_some(Obstacle::TooSmall)
}

/// Why one executor never could.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Obstacle {
    NoPython,
    Bytecode,
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
    if obstacles.contains(&Obstacle::TooSmall) {
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
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for version in offers.iter().flat_map(|offer| &offer.pythons) {
        *counts.entry(version).or_default() += 1;
    }
    if counts.is_empty() {
        return "the fleet offers no Python".to_owned();
    }
    let plural = |n: usize| if n == 1 { "1 executor".to_owned() } else { format!("{n} executors") };
    let parts: Vec<String> = counts.iter().map(|(version, n)| format!("{version} on {}", plural(*n))).collect();
    format!("the fleet offers {}", parts.join(", "))
}

#[cfg(test)]
mod tests {
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
        }
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
