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
        let response = self.inner.call(request.map(|body| Body::new(MeteredBody::new(body, budget))));
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
