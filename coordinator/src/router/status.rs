//! The meaning of a gRPC status for a client's stream.

use tonic::{Code, Status};
use udfleet_edge::channel::{is_unreached, reason, refused_by_tls};
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

use super::core::{Failure, of_error, too_large};

/// How an exchange with an executor ended.
pub(super) fn of_upstream(status: &Status, executor: &str) -> Failure {
    let named = |error: Error| {
        error.with(|info| {
            if info.executor.is_empty() {
                executor.clone_into(&mut info.executor);
            }
        })
    };
    if !status.details().is_empty() {
        return of_error(named(Error::from(status)));
    }
    if let Some(error) = refused_by_tls(status, executor) {
        // Another executor may have better certificates. Nothing was sent.
        return Failure::Elsewhere(named(error));
    }
    // No details: the transport speaks, not an executor.
    match status.code() {
        Code::OutOfRange => Failure::Final(named(too_large())),
        Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented | Code::InvalidArgument => {
            Failure::Final(named(Error::from(status)))
        }
        _ => {
            let message = format!("the connection to executor {executor} failed: {}", reason(status));
            let error = Error::new(ErrorCode::ExecutorLost, message);
            Failure::Elsewhere(named(error.with(|info| info.has_no_side_effects = is_unreached(status))))
        }
    }
}

#[cfg(test)]
mod tests {
    use udfleet_proto::v1::Hello;

    use super::*;

    #[test]
    fn broken_transport_leads_elsewhere_and_typed_errors_stand() {
        // The last is how h2 ends a connection with too many resets.
        for code in [Code::Unavailable, Code::Unknown, Code::Internal, Code::Cancelled, Code::ResourceExhausted] {
            let failure = of_upstream(&Status::new(code, "h2 protocol error"), "e1");
            let Failure::Elsewhere(error) = failure else { panic!("{code:?}: {failure:?}") };
            assert_eq!((error.code(), error.info().executor.as_str()), (ErrorCode::ExecutorLost, "e1"));
            assert!(!error.has_no_side_effects(), "what was sent may have run");
        }
        for code in [ErrorCode::NoCapacity, ErrorCode::FunctionNotFound] {
            let refused: Status = Error::new(code, "draining").into();
            let failure = of_upstream(&refused, "e1");
            assert!(
                matches!(failure, Failure::Elsewhere(e) if e.code() == ErrorCode::NoCapacity && e.has_no_side_effects()),
                "{code:?}"
            );
        }
        for code in [ErrorCode::UserCode, ErrorCode::InvalidInput, ErrorCode::InterpreterCrashed, ErrorCode::Internal] {
            let status: Status = Error::new(code, "x").into();
            assert!(matches!(of_upstream(&status, "e1"), Failure::Final(e) if e.code() == code), "{code:?}");
        }
        assert!(
            matches!(of_upstream(&Status::out_of_range("length"), "e1"), Failure::Final(e) if e.code() == ErrorCode::LimitExceeded)
        );
    }

    #[tokio::test]
    async fn an_executor_that_can_not_be_reached_has_run_nothing() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let hello = Hello { executor: "e1".to_owned(), address, ..Hello::default() };
        let endpoint = crate::routes::Endpoint::new(&Default::default(), &hello, 1).unwrap();
        drop(listener);
        let mut client = arrow_flight::flight_service_client::FlightServiceClient::new(endpoint.channel());
        let status = client.do_action(arrow_flight::Action::new("x", "")).await.unwrap_err();
        let failure = of_upstream(&status, "e1");
        assert!(matches!(&failure, Failure::Elsewhere(e) if e.has_no_side_effects()), "{failure:?}");
    }
}
