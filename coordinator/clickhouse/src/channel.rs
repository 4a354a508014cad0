//! The connection to a coordinator.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightData, FlightDescriptor, FlightInfo};
use arrow_schema::FieldRef;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use udfleet_edge::auth::SendToken;
use udfleet_edge::channel::endpoint;
use udfleet_edge::server::MAX_MESSAGE_BYTES;
use udfleet_proto::error::Error;
use udfleet_proto::flight::exchange_descriptor;
use udfleet_proto::flight_info::{KIND_METADATA, MAX_ATTEMPTS_METADATA};
use udfleet_proto::v1::{ErrorCode, ExchangeRequest, FunctionKind, OnError};

use crate::flags::Flags;
use crate::retry::Failure;

/// How long a coordinator that does not answer may hold up the next.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A coordinator. Connects when it is asked, and again whenever the connection is gone.
struct Coordinator {
    address: String,
    flight: FlightServiceClient<InterceptedService<Channel, SendToken>>,
}

/// One function of a fleet.
pub struct RemoteFunction {
    coordinators: VecDeque<Coordinator>,
    function: String,
    on_error: OnError,
    inputs: Option<Arc<[FieldRef]>>,
    max_attempts: Option<u32>,
    /// For how long to try again.
    pub patience: Duration,
}

impl RemoteFunction {
    /// As the command line says.
    ///
    /// # Errors
    /// `INVALID_CONFIG` for an address or a token that is none, or certificates that can't be used.
    pub fn new(flags: &Flags) -> Result<Self, Error> {
        let token = SendToken::new(flags.token()?.as_ref())?;
        let connector = flags.connector()?;
        let coordinator = |address: &String| {
            let endpoint = endpoint(address).map_err(|e| {
                Error::new(ErrorCode::InvalidConfig, format!("--address: {address:?} is no HOST:PORT: {e}"))
            })?;
            let channel = connector.connect_lazy(&endpoint.connect_timeout(CONNECT_TIMEOUT), None);
            let flight = FlightServiceClient::with_interceptor(channel, token.clone())
                .max_decoding_message_size(MAX_MESSAGE_BYTES)
                .max_encoding_message_size(MAX_MESSAGE_BYTES);
            Ok(Coordinator { address: address.clone(), flight })
        };
        Ok(Self {
            coordinators: flags.address.as_slice().iter().map(coordinator).collect::<Result<_, Error>>()?,
            function: flags.function.to_string(),
            on_error: flags.on_error.map_or(OnError::Unspecified, OnError::from),
            inputs: None,
            max_attempts: None,
            patience: Duration::from_secs(flags.retry_seconds),
        })
    }

    /// The one that is asked: the first, until it fails.
    ///
    /// # Errors
    /// Never: there is at least one.
    fn coordinator(&mut self) -> Result<&mut Coordinator, Failure> {
        self.coordinators.front_mut().ok_or_else(|| Error::internal("no coordinator is named").into())
    }

    /// How many coordinators there are.
    pub fn coordinators(&self) -> usize {
        self.coordinators.len()
    }

    /// The next try goes to another coordinator, where there is one.
    pub fn pass_on(&mut self) {
        self.coordinators.rotate_left(1);
    }

    /// The declared inputs, asked for once: the process of a command that fails is not used again.
    ///
    /// # Errors
    /// As the fleet says; `INVALID_INPUT` for a function that ClickHouse can't call.
    pub async fn inputs(&mut self) -> Result<Arc<[FieldRef]>, Failure> {
        if let Some(inputs) = &self.inputs {
            return Ok(Arc::clone(inputs));
        }
        let descriptor = FlightDescriptor::new_path(vec![self.function.clone()]);
        let asked = self.coordinator()?;
        let answer = asked.flight.get_flight_info(descriptor).await;
        let info = answer.map_err(|status| Failure::of(&status, &asked.address))?.into_inner();
        let (inputs, max_attempts) = declared(info)?;
        let inputs: Arc<[FieldRef]> = inputs.into();
        (self.inputs, self.max_attempts) = (Some(Arc::clone(&inputs)), max_attempts);
        Ok(inputs)
    }

    /// How often a batch may run; `None`: as often as one likes, or the inputs have not been asked for yet.
    pub fn max_attempts(&self) -> Option<u32> {
        self.max_attempts
    }

    /// Opens an exchange of these messages; the first of them needs [`RemoteFunction::descriptor`].
    ///
    /// # Errors
    /// As the fleet says.
    pub async fn exchange(&mut self, messages: mpsc::UnboundedReceiver<FlightData>) -> Result<AnswerStream, Failure> {
        let asked = self.coordinator()?;
        let call = asked.flight.do_exchange(UnboundedReceiverStream::new(messages));
        let stream = call.await.map_err(|status| Failure::of(&status, &asked.address))?.into_inner();
        Ok(AnswerStream { stream, address: asked.address.clone() })
    }

    /// Asks for the function, in the dialect whose errors come in full length.
    pub fn descriptor(&self) -> FlightDescriptor {
        let (function, on_error) = (self.function.clone(), self.on_error as i32);
        exchange_descriptor(&ExchangeRequest { function, on_error, ..ExchangeRequest::default() })
    }
}

/// What comes back.
pub struct AnswerStream {
    stream: Streaming<FlightData>,
    address: String,
}

impl AnswerStream {
    /// The next message; `None` at the end. May be dropped without losing anything.
    ///
    /// # Errors
    /// What ended the exchange.
    pub async fn next(&mut self) -> Result<Option<FlightData>, Failure> {
        self.stream.message().await.map_err(|status| Failure::of(&status, &self.address))
    }
}

/// The first columns of what the fleet says of a function, and how often a batch of it may run.
fn declared(info: FlightInfo) -> Result<(Vec<FieldRef>, Option<u32>), Error> {
    // Negative where the function takes any columns: they go out as they are.
    let count = usize::try_from(info.total_records).unwrap_or(0);
    let schema = info.try_decode_schema().map_err(|e| Error::internal(format!("reading a schema: {e}")))?;
    match schema.metadata.get(KIND_METADATA) {
        Some(kind) if kind != FunctionKind::Scalar.as_str_name() => {
            let message = format!("this is a function of kind {kind}, and ClickHouse calls scalar functions only");
            Err(Error::new(ErrorCode::InvalidInput, message))
        }
        _ => {
            let attempts = schema.metadata.get(MAX_ATTEMPTS_METADATA).and_then(|attempts| attempts.parse().ok());
            Ok((schema.fields().iter().take(count).cloned().collect(), attempts))
        }
    }
}
