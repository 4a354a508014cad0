//! Who may do what: every gRPC method, Flight verb, Flight action and HTTP path, and the right that it takes. What is not
//! in here is refused.

use super::right::Right;
use super::right::Right::{Admin, Attach, Call, Coordinate, Inspect, Join, Observe, Register};

/// A port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Surface {
    /// The coordinator's `listen`.
    Coordinator,
    /// The coordinator's `http_listen`.
    CoordinatorHttp,
    /// An executor's `listen`.
    Executor,
    /// An executor's `http_listen`.
    ExecutorHttp,
    /// `engine_listen` of either.
    Engine,
}

impl Surface {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Coordinator, Self::CoordinatorHttp, Self::Executor, Self::ExecutorHttp, Self::Engine];

    /// As documentation and messages call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Coordinator => "coordinator",
            Self::CoordinatorHttp => "coordinator, HTTP",
            Self::Executor => "executor",
            Self::ExecutorHttp => "executor, HTTP",
            Self::Engine => "engines",
        }
    }
}

/// What a method asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// Nothing: no token is looked at.
    Nothing,
    /// A caller that is known, whatever its rights.
    Known,
    /// One of these rights.
    OneOf(&'static [Right]),
}

/// Whether a method concerns functions that the caller must be allowed to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FunctionCheck {
    /// It concerns none, or only shows what is there.
    None,
    /// Those that the request names must match the caller's patterns; its handler looks.
    Named,
}

/// An entry.
#[derive(Debug, Clone, Copy)]
pub struct Method {
    /// Ports that serve it.
    pub surfaces: &'static [Surface],
    /// `/package.Service/Method`, a path with `{}` for a segment, or `DoAction NAME`.
    pub path: &'static str,
    /// What it asks of its caller.
    pub demand: Demand,
    /// Whether patterns of functions count.
    pub functions: FunctionCheck,
}

const fn on(surfaces: &'static [Surface], path: &'static str, demand: Demand) -> Method {
    Method { surfaces, path, demand, functions: FunctionCheck::None }
}

const fn named(surfaces: &'static [Surface], path: &'static str, demand: Demand) -> Method {
    Method { surfaces, path, demand, functions: FunctionCheck::Named }
}

const COORDINATOR: &[Surface] = &[Surface::Coordinator];
const EXECUTOR: &[Surface] = &[Surface::Executor];
const COORDINATOR_HTTP: &[Surface] = &[Surface::CoordinatorHttp];
const BOTH_HTTP: &[Surface] = &[Surface::CoordinatorHttp, Surface::ExecutorHttp];
const FLIGHT: &[Surface] = &[Surface::Coordinator, Surface::Executor, Surface::Engine];
const EXECUTOR_OR_ENGINE: &[Surface] = &[Surface::Executor, Surface::Engine];

/// The table.
pub const METHODS: &[Method] = &[
    on(COORDINATOR, "/udfleet.v1.Fleet/ServerInfo", Demand::Known),
    named(COORDINATOR, "/udfleet.v1.Fleet/RegisterFunction", Demand::OneOf(&[Register])),
    on(COORDINATOR, "/udfleet.v1.Fleet/DescribeFunction", Demand::OneOf(&[Observe, Call, Register])),
    on(COORDINATOR, "/udfleet.v1.Fleet/ListFunctions", Demand::OneOf(&[Observe, Call, Register])),
    named(COORDINATOR, "/udfleet.v1.Fleet/DropFunction", Demand::OneOf(&[Register])),
    on(COORDINATOR, "/udfleet.v1.Fleet/ListExecutors", Demand::OneOf(&[Observe])),
    on(COORDINATOR, "/udfleet.v1.Fleet/DrainExecutor", Demand::OneOf(&[Admin])),
    on(COORDINATOR, "/udfleet.v1.Fleet/Progress", Demand::OneOf(&[Observe])),
    on(COORDINATOR, "/udfleet.v1.Fleet/Logs", Demand::OneOf(&[Observe])),
    named(COORDINATOR, "/udfleet.v1.Fleet/Explain", Demand::OneOf(&[Call])),
    on(COORDINATOR, "/udfleet.v1.Fleet/RowErrors", Demand::OneOf(&[Observe])),
    on(COORDINATOR, "/udfleet.v1.Fleet/Profile", Demand::OneOf(&[Observe])),
    on(COORDINATOR, "/udfleet.v1.Fleet/Capsules", Demand::OneOf(&[Observe])),
    named(COORDINATOR, "/udfleet.v1.Fleet/FetchCapsule", Demand::OneOf(&[Inspect])),
    on(COORDINATOR, "/udfleet.v1.Fleet/Restart", Demand::OneOf(&[Admin])),
    on(COORDINATOR, "/udfleet.v1.Fleet/ExportFunctions", Demand::OneOf(&[Admin])),
    on(COORDINATOR, "/udfleet.v1.Fleet/ImportFunction", Demand::OneOf(&[Admin])),
    on(COORDINATOR, "/udfleet.v1.Fleet/CreateToken", Demand::OneOf(&[Admin])),
    on(COORDINATOR, "/udfleet.v1.Fleet/ListTokens", Demand::OneOf(&[Admin])),
    on(COORDINATOR, "/udfleet.v1.Fleet/RevokeToken", Demand::OneOf(&[Admin])),
    on(COORDINATOR, "/udfleet.v1.Fleet/ListTenants", Demand::OneOf(&[Observe])),
    on(COORDINATOR, "/udfleet.v1.Artifacts/Missing", Demand::OneOf(&[Register, Admin])),
    on(COORDINATOR, "/udfleet.v1.Artifacts/Put", Demand::OneOf(&[Register, Admin])),
    on(COORDINATOR, "/udfleet.v1.Artifacts/Get", Demand::OneOf(&[Attach, Admin])),
    on(COORDINATOR, "/udfleet.v1.Membership/Attach", Demand::OneOf(&[Attach])),
    on(COORDINATOR, "/udfleet.v1.Membership/FetchDefinitions", Demand::OneOf(&[Attach])),
    on(COORDINATOR, "/udfleet.v1.Membership/Join", Demand::OneOf(&[Join])),
    named(COORDINATOR, "/udfleet.v1.Streams/Process", Demand::OneOf(&[Call])),
    on(COORDINATOR, "/udfleet.v1.Streams/ListStreams", Demand::OneOf(&[Observe, Call])),
    named(COORDINATOR, "/udfleet.v1.Streams/ReadState", Demand::OneOf(&[Call, Admin])),
    named(COORDINATOR, "/udfleet.v1.Streams/ImportStream", Demand::OneOf(&[Admin])),
    named(COORDINATOR, "/udfleet.v1.Streams/DropStream", Demand::OneOf(&[Register])),
    on(EXECUTOR, "/udfleet.v1.Partitions/Ask", Demand::OneOf(&[Coordinate])),
    on(EXECUTOR, "/udfleet.v1.Partitions/Scan", Demand::OneOf(&[Coordinate])),
    on(EXECUTOR, "/udfleet.v1.Partitions/Load", Demand::OneOf(&[Coordinate])),
    on(EXECUTOR, "/udfleet.v1.Partitions/DropState", Demand::OneOf(&[Coordinate])),
    on(EXECUTOR, "/udfleet.v1.Node/RowErrors", Demand::OneOf(&[Coordinate])),
    on(EXECUTOR, "/udfleet.v1.Node/Profile", Demand::OneOf(&[Coordinate])),
    on(EXECUTOR, "/udfleet.v1.Node/Capsules", Demand::OneOf(&[Coordinate])),
    on(EXECUTOR, "/udfleet.v1.Node/FetchCapsule", Demand::OneOf(&[Coordinate])),
    on(EXECUTOR, "/udfleet.v1.Node/Restart", Demand::OneOf(&[Coordinate])),
    named(FLIGHT, "/arrow.flight.protocol.FlightService/DoExchange", Demand::OneOf(&[Call])),
    named(FLIGHT, "/arrow.flight.protocol.FlightService/GetFlightInfo", Demand::OneOf(&[Call])),
    named(FLIGHT, "/arrow.flight.protocol.FlightService/GetSchema", Demand::OneOf(&[Call])),
    named(FLIGHT, "/arrow.flight.protocol.FlightService/ListFlights", Demand::OneOf(&[Call])),
    on(FLIGHT, "/arrow.flight.protocol.FlightService/DoAction", Demand::OneOf(&[Call])),
    on(FLIGHT, "DoAction protocol_version", Demand::OneOf(&[Call])),
    on(FLIGHT, "/arrow.flight.protocol.FlightService/ListActions", Demand::OneOf(&[Call])),
    // Tables about the fleet.
    on(COORDINATOR, "/arrow.flight.protocol.FlightService/DoGet", Demand::OneOf(&[Observe])),
    // Not served: they say so to callers that are known.
    on(FLIGHT, "/arrow.flight.protocol.FlightService/Handshake", Demand::Known),
    on(FLIGHT, "/arrow.flight.protocol.FlightService/PollFlightInfo", Demand::Known),
    on(EXECUTOR_OR_ENGINE, "/arrow.flight.protocol.FlightService/DoGet", Demand::Known),
    on(FLIGHT, "/arrow.flight.protocol.FlightService/DoPut", Demand::Known),
    on(BOTH_HTTP, "/healthz", Demand::Nothing),
    on(COORDINATOR_HTTP, "/readyz", Demand::Nothing),
    on(BOTH_HTTP, "/metrics", Demand::Nothing),
    on(COORDINATOR_HTTP, "/api/v1/functions", Demand::OneOf(&[Observe])),
    on(COORDINATOR_HTTP, "/api/v1/functions/{}", Demand::OneOf(&[Observe])),
    on(COORDINATOR_HTTP, "/api/v1/executors", Demand::OneOf(&[Observe])),
    on(COORDINATOR_HTTP, "/api/v1/environments", Demand::OneOf(&[Observe])),
    on(COORDINATOR_HTTP, "/api/v1/progress", Demand::OneOf(&[Observe])),
    on(COORDINATOR_HTTP, "/api/v1/progress/{}", Demand::OneOf(&[Observe])),
    on(COORDINATOR_HTTP, "/api/v1/topics/{}", Demand::OneOf(&[Observe])),
    on(COORDINATOR_HTTP, "/api/v1/history", Demand::OneOf(&[Observe])),
    on(COORDINATOR_HTTP, "/api/v1/activity", Demand::OneOf(&[Observe])),
    on(COORDINATOR_HTTP, "/api/v1/logs/{}", Demand::OneOf(&[Observe])),
    on(COORDINATOR_HTTP, "/api/v1/builds/{}", Demand::OneOf(&[Observe])),
    on(COORDINATOR_HTTP, "/api/v1/profile/{}", Demand::OneOf(&[Observe])),
    on(COORDINATOR_HTTP, "/api/v1/capsules/{}", Demand::OneOf(&[Observe])),
    named(COORDINATOR_HTTP, "/api/v1/capsules/{}/file", Demand::OneOf(&[Inspect])),
    on(COORDINATOR_HTTP, "/api/v1/events", Demand::OneOf(&[Observe])),
    on(COORDINATOR_HTTP, "/api/v1/whoami", Demand::Known),
    on(COORDINATOR_HTTP, "/api/v1/openapi.json", Demand::Known),
    // Takes a token itself.
    on(COORDINATOR_HTTP, "/api/v1/session", Demand::Nothing),
    // The dashboard's files: what they show comes from the paths above.
    on(COORDINATOR_HTTP, "/", Demand::Nothing),
    on(COORDINATOR_HTTP, "/assets/{}", Demand::Nothing),
    on(COORDINATOR_HTTP, "/functions", Demand::Nothing),
    on(COORDINATOR_HTTP, "/functions/{}", Demand::Nothing),
    on(COORDINATOR_HTTP, "/executors", Demand::Nothing),
    on(COORDINATOR_HTTP, "/executors/{}", Demand::Nothing),
    on(COORDINATOR_HTTP, "/environments", Demand::Nothing),
    on(COORDINATOR_HTTP, "/environments/{}", Demand::Nothing),
    on(COORDINATOR_HTTP, "/errors", Demand::Nothing),
    on(COORDINATOR_HTTP, "/why", Demand::Nothing),
    on(COORDINATOR_HTTP, "/events", Demand::Nothing),
];

/// The entry of what is asked for at a port.
#[must_use]
pub fn method(surface: Surface, path: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.surfaces.contains(&surface) && is(method.path, path))
}

/// True where `path` is what the entry names; `{}` is one segment that is not empty.
fn is(entry: &str, path: &str) -> bool {
    match entry.split_once("{}") {
        None => entry == path,
        Some((before, after)) => path
            .strip_prefix(before)
            .and_then(|rest| rest.strip_suffix(after))
            .is_some_and(|segment| !segment.is_empty() && !segment.contains('/')),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn entries_are_found_by_port_and_path() {
        let found = |surface, path| method(surface, path).map(|method| method.path);
        assert_eq!(found(Surface::Coordinator, "/udfleet.v1.Fleet/Logs"), Some("/udfleet.v1.Fleet/Logs"));
        assert_eq!(found(Surface::Executor, "/udfleet.v1.Fleet/Logs"), None);
        assert_eq!(found(Surface::CoordinatorHttp, "/api/v1/functions/add@3"), Some("/api/v1/functions/{}"));
        for path in ["/api/v1/functions/", "/api/v1/functions/a/b", "/api/v1/nothing", "/assets/a/b", ""] {
            assert_eq!(found(Surface::CoordinatorHttp, path), None, "{path}");
        }
    }

    #[test]
    fn nothing_has_two_entries() {
        let mut seen = HashSet::new();
        for method in METHODS {
            for surface in method.surfaces {
                assert!(seen.insert((surface, method.path)), "{surface:?} {}", method.path);
            }
        }
    }
}
