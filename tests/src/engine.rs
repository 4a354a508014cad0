//! Calls as engines make them: PATH descriptors, their own headers, and everything sent before anything is read.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::utils::flight_data_to_arrow_batch;
use arrow_flight::{Action, FlightDescriptor, FlightInfo, IpcMessage};
use arrow_schema::{Schema, SchemaRef};
use futures::TryStreamExt as _;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::messages::{Encoder, path};
use crate::wait::within;

/// What comes back.
#[derive(Debug)]
pub struct Reply {
    /// Of the first message.
    pub schema: SchemaRef,
    /// All others.
    pub batches: Vec<RecordBatch>,
}

/// One connection.
pub struct EngineClient {
    flight: FlightServiceClient<Channel>,
    headers: Vec<(&'static str, String)>,
}

impl EngineClient {
    /// Connects; the headers go with every call.
    ///
    /// # Panics
    /// When nobody listens.
    pub async fn connect(address: &str, headers: &[(&'static str, &str)]) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        Self::over(endpoint.connect().await.expect("a connection"), headers)
    }

    /// Over a connection of the test's own.
    #[must_use]
    pub fn over(channel: Channel, headers: &[(&'static str, &str)]) -> Self {
        let flight = FlightServiceClient::new(channel);
        Self { flight, headers: headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect() }
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        for (name, value) in &self.headers {
            request.metadata_mut().insert(*name, value.parse().expect("a header value"));
        }
        request
    }

    /// Asks for the protocol version, as arrow-udf's clients do first.
    ///
    /// # Panics
    /// When there is no answer of one byte.
    pub async fn protocol_version(&mut self) -> u8 {
        let request = self.request(Action::new("protocol_version", ""));
        let answers = self.flight.do_action(request).await.expect("an answer").into_inner();
        let answers: Vec<_> = answers.try_collect().await.expect("an answer");
        answers[0].body[0]
    }

    /// What the server says of a function.
    ///
    /// # Errors
    /// When it refuses.
    pub async fn info(&mut self, descriptor: FlightDescriptor) -> Result<(FlightInfo, Schema), Status> {
        let request = self.request(descriptor);
        let info = self.flight.get_flight_info(request).await?.into_inner();
        let schema = Schema::try_from(IpcMessage(info.schema.clone())).expect("a schema");
        Ok((info, schema))
    }

    /// One call: batches in, half-close, everything back.
    ///
    /// # Errors
    /// The status, whenever it came.
    ///
    /// # Panics
    /// When the reply has no schema in front.
    pub async fn call(&mut self, name: &str, batches: &[RecordBatch]) -> Result<Reply, Status> {
        // The descriptor is on every message, as arrow-rs sends it.
        let messages = Encoder::default().all(batches).into_iter();
        let messages: Vec<_> = messages.map(|message| message.with_descriptor(path(name))).collect();
        let request = self.request(tokio_stream::iter(messages));
        let answers = within("response headers", self.flight.do_exchange(request)).await?.into_inner();
        let answers: Vec<_> = within("answers", answers.try_collect()).await?;
        let (first, rest) = answers.split_first().expect("a schema message");
        let schema = Arc::new(Schema::try_from(first).expect("the schema comes first"));
        let decode = |message| flight_data_to_arrow_batch(message, Arc::clone(&schema), &Default::default());
        let batches = rest.iter().map(|message| decode(message).expect("a batch of the schema")).collect();
        Ok(Reply { schema, batches })
    }
}
