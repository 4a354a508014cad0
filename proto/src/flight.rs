//! How udfleet uses Arrow Flight.

use arrow_flight::{FlightDescriptor, flight_descriptor::DescriptorType};
use bytes::{Bytes, BytesMut};
use prost::Message;

use crate::error::Error;
use crate::name::FunctionRef;
use crate::v1::{ErrorCode, ExchangeRequest, OnError};

/// Longest id that a client may give itself as a producer of batches, bytes.
const MAX_PRODUCER_BYTES: usize = 128;

/// First bytes of a CMD descriptor that holds an [`ExchangeRequest`]: tells ours from other people's commands.
pub const EXCHANGE_PREFIX: &[u8] = b"udfleet.v1.ExchangeRequest\0";

/// What a stream asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Route {
    /// PATH `[name]`: one function over all columns; plain Flight messages both ways.
    Path(FunctionRef),
    /// CMD [`ExchangeRequest`]: batches are numbered and errors come in-band, both in `app_metadata`.
    Exchange(FunctionRef, Box<ExchangeRequest>),
    /// The same with a plan or a stage in place of a function.
    Composed(Box<ExchangeRequest>),
}

impl Route {
    /// The function to run.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] where a plan or a stage is to run: for callers that take functions only.
    pub fn function(&self) -> Result<&FunctionRef, Error> {
        match self {
            Self::Path(function) | Self::Exchange(function, _) => Ok(function),
            Self::Composed(_) => {
                Err(Error::new(ErrorCode::InvalidInput, "a function is asked for here, not a plan or a stage")
                    .hint("send a PATH descriptor [function name], or a CMD descriptor with a function"))
            }
        }
    }

    /// Reads a descriptor.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] for a descriptor that is neither form, or asks for what processes of the fleet ask
    /// each other for.
    pub fn parse(descriptor: &FlightDescriptor) -> Result<Self, Error> {
        let bad = |message: String| {
            Error::new(ErrorCode::InvalidInput, message)
                .hint("send a PATH descriptor [function name] or a CMD descriptor made by the udfleet SDK")
        };
        let named = |text: &str| {
            FunctionRef::parse(text).map_err(|e| {
                Error::new(ErrorCode::InvalidInput, e.to_string())
                    .hint("functions are named `name` or `name@version`; `udfleet functions` lists them")
            })
        };
        match DescriptorType::try_from(descriptor.r#type) {
            Ok(DescriptorType::Path) => match descriptor.path.as_slice() {
                [name] => named(name).map(Self::Path),
                path => Err(bad(format!("the PATH descriptor has {} elements, expected 1", path.len()))),
            },
            Ok(DescriptorType::Cmd) => {
                let body = descriptor.cmd.strip_prefix(EXCHANGE_PREFIX);
                let body = body.ok_or_else(|| bad("the CMD descriptor is not an ExchangeRequest".to_owned()))?;
                let request = ExchangeRequest::decode(body).map_err(|e| match e.to_string() {
                    text if text.contains("recursion limit") => {
                        Error::new(ErrorCode::LimitExceeded, "the plan's expressions are nested too deep to be read")
                            .hint("name parts of them in a select before")
                    }
                    text => bad(format!("malformed ExchangeRequest: {text}")),
                })?;
                if request.on_error() == OnError::Column && !request.forwarded {
                    return Err(column_refused());
                }
                if request.producer.len() > MAX_PRODUCER_BYTES && !request.forwarded {
                    return Err(bad(format!(
                        "the ExchangeRequest's producer is longer than {MAX_PRODUCER_BYTES} bytes"
                    )));
                }
                let request = Box::new(request);
                match (request.function.is_empty(), request.plan.is_some(), request.stage.is_some()) {
                    (false, false, false) => Ok(Self::Exchange(named(&request.function)?, request)),
                    (true, true, false) | (true, false, true) => Ok(Self::Composed(request)),
                    (true, false, false) => Err(bad("the ExchangeRequest names no function".to_owned())),
                    _ => Err(bad(
                        "an ExchangeRequest has a function, a plan or a stage, and only one of them".to_owned()
                    )),
                }
            }
            _ => Err(bad("the stream has no Flight descriptor".to_owned())),
        }
    }
}

/// Under CMD the result has the schema that was sent first: one with a second column is for engines' PATH streams, whose
/// schema a gateway makes.
fn column_refused() -> Error {
    Error::new(ErrorCode::InvalidInput, "the ExchangeRequest asks for ON_ERROR_COLUMN, which is for the fleet itself")
        .hint("ask for fail, null or skip; under PATH, x-udfleet-dialect: arrow-udf gives errors in a column")
}

/// The CMD descriptor for a request.
#[must_use]
pub fn exchange_descriptor(request: &ExchangeRequest) -> FlightDescriptor {
    let mut cmd = BytesMut::with_capacity(EXCHANGE_PREFIX.len() + request.encoded_len());
    cmd.extend_from_slice(EXCHANGE_PREFIX);
    // Encoding into a BytesMut can't run out of room.
    let _ = request.encode(&mut cmd);
    FlightDescriptor { r#type: DescriptorType::Cmd as i32, cmd: cmd.freeze(), path: Vec::new() }
}

/// Strips the encapsulated IPC prefix (continuation marker and length) if there is one: FlightData headers have none.
#[must_use]
pub fn bare_header(header: &Bytes) -> Bytes {
    if header.len() >= 8 && header[..4] == [0xff; 4] { header.slice(8..) } else { header.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_round_trip() {
        let (function, job) = ("add@2".to_owned(), "j".to_owned());
        let request = ExchangeRequest { function, job, forwarded: true, ..ExchangeRequest::default() };
        let route = Route::parse(&exchange_descriptor(&request)).unwrap();
        assert_eq!(route, Route::Exchange(FunctionRef::parse("add@2").unwrap(), Box::new(request)));
        let path = FlightDescriptor::new_path(vec!["add".to_owned()]);
        assert_eq!(Route::parse(&path).unwrap().function().unwrap().to_string(), "add");
    }

    #[test]
    fn a_stream_asks_for_one_thing() {
        let stage = ExchangeRequest { stage: Some(Default::default()), ..ExchangeRequest::default() };
        let route = Route::parse(&exchange_descriptor(&stage)).unwrap();
        assert!(matches!(route, Route::Composed(_)) && route.function().is_err());
        let both = ExchangeRequest { function: "add".to_owned(), ..stage };
        for bad in [both, ExchangeRequest::default()] {
            assert_eq!(Route::parse(&exchange_descriptor(&bad)).unwrap_err().code(), ErrorCode::InvalidInput);
        }
    }

    #[test]
    fn a_producers_id_is_bounded() {
        let asked = |length: usize| {
            let request =
                ExchangeRequest { function: "add".to_owned(), producer: "p".repeat(length), ..Default::default() };
            Route::parse(&exchange_descriptor(&request))
        };
        assert!(asked(MAX_PRODUCER_BYTES).is_ok());
        assert_eq!(asked(MAX_PRODUCER_BYTES + 1).unwrap_err().code(), ErrorCode::InvalidInput);
    }

    #[test]
    fn a_column_of_errors_is_for_processes_of_the_fleet() {
        let function = ExchangeRequest { function: "add".to_owned(), ..ExchangeRequest::default() };
        let stage = ExchangeRequest { stage: Some(Default::default()), ..ExchangeRequest::default() };
        for request in [function, stage] {
            let asked = ExchangeRequest { on_error: OnError::Column as i32, ..request };
            let error = Route::parse(&exchange_descriptor(&asked)).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidInput);
            assert!(error.info().message.contains("ON_ERROR_COLUMN") && error.info().hint.contains("null"), "{error}");
            let forwarded = ExchangeRequest { forwarded: true, ..asked };
            assert!(Route::parse(&exchange_descriptor(&forwarded)).is_ok());
            let skipped = ExchangeRequest { forwarded: false, on_error: OnError::Skip as i32, ..forwarded };
            assert!(Route::parse(&exchange_descriptor(&skipped)).is_ok());
        }
    }

    #[test]
    fn plans_nested_too_deep_say_so() {
        use crate::v1::{Expression, Filter, Operation, Operator, Plan, expression, operator};
        let mut deep = Expression::default();
        for _ in 0..200 {
            let operation = Operation { operands: vec![deep], ..Operation::default() };
            deep = Expression { kind: Some(expression::Kind::Operation(operation)), ..Expression::default() };
        }
        let filter = operator::Kind::Filter(Filter { predicate: Some(deep) });
        let plan = Plan { operators: vec![Operator { kind: Some(filter) }], ..Plan::default() };
        let request = ExchangeRequest { plan: Some(plan), ..ExchangeRequest::default() };
        let error = Route::parse(&exchange_descriptor(&request)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::LimitExceeded, "{error}");
    }

    #[test]
    fn other_descriptors_are_refused() {
        for bad in [
            FlightDescriptor::default(),
            FlightDescriptor::new_cmd("select 1"),
            FlightDescriptor::new_path(vec![]),
            FlightDescriptor::new_path(vec!["a".to_owned(), "b".to_owned()]),
        ] {
            assert_eq!(Route::parse(&bad).unwrap_err().code(), ErrorCode::InvalidInput);
        }
    }
}
