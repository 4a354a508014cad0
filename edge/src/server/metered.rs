//! Calls whose bodies are counted, and that their connections know of.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tower::{Layer, Service};

use super::budget::{IncompleteBudget, MeteredBody};
use crate::engine::{CallOfConnection, Connection};

/// Methods whose clients send as many messages as they like, whenever they like. Those of all others send one, at once.
const CLIENT_STREAMS: [&str; 7] = [
    "/arrow.flight.protocol.FlightService/DoExchange",
    "/arrow.flight.protocol.FlightService/DoPut",
    "/arrow.flight.protocol.FlightService/Handshake",
    "/udfleet.v1.Artifacts/Put",
    "/udfleet.v1.Membership/Attach",
    "/udfleet.v1.Streams/ImportStream",
    "/udfleet.v1.Streams/Process",
];

/// See the module.
#[derive(Debug, Clone)]
pub struct MeterLayer(Arc<IncompleteBudget>);

impl MeterLayer {
    /// For a port that holds so many bytes of messages that have not come whole.
    pub(super) fn new(limit: u64) -> Self {
        Self(IncompleteBudget::new(limit))
    }
}

impl<S> Layer<S> for MeterLayer {
    type Service = Metered<S>;

    fn layer(&self, inner: S) -> Metered<S> {
        Metered { inner, budget: Arc::clone(&self.0) }
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Metered<S> {
    inner: S,
    budget: Arc<IncompleteBudget>,
}

impl<S> Service<Request<Body>> for Metered<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let call = request.extensions().get::<Connection>().map(Connection::begin);
        let budget = Arc::clone(&self.budget);
        let awaited = !CLIENT_STREAMS.contains(&request.uri().path());
        let response = self.inner.call(request.map(|body| Body::new(MeteredBody::new(body, budget, awaited))));
        Box::pin(async move { Ok(response.await?.map(|body| Body::new(Answering { body, _call: call }))) })
    }
}

/// A response: while it is sent, the call has not ended.
struct Answering {
    body: Body,
    _call: Option<CallOfConnection>,
}

impl HttpBody for Answering {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// `/package.Service/Method` of each method of a `.proto` file whose request is a stream.
    fn client_streams(text: &str) -> Vec<String> {
        let (mut package, mut service, mut found) = ("", "", Vec::new());
        for line in text.lines().map(str::trim) {
            let words: Vec<&str> = line.split([' ', ';', '(', '{']).filter(|word| !word.is_empty()).collect();
            match words.as_slice() {
                ["package", name, ..] => package = name,
                ["service", name, ..] => service = name,
                ["rpc", method, "stream", ..] => found.push(format!("/{package}.{service}/{method}")),
                _ => {}
            }
        }
        found
    }

    #[test]
    fn all_methods_of_ours_whose_clients_stream_are_named() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/proto/udfleet/v1");
        let files =
            std::fs::read_dir(folder).unwrap().map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
        let found: BTreeSet<String> = files.flat_map(|text| client_streams(&text)).collect();
        let ours = CLIENT_STREAMS.iter().filter(|path| path.starts_with("/udfleet."));
        assert_eq!(found, ours.map(|path| (*path).to_owned()).collect());
    }
}
