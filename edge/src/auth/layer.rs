//! A [`Gate`] in front of gRPC services.

use std::future::{Ready, ready};
use std::task::{Context, Poll};

use futures::future::Either;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tower::{Layer, Service};

use super::gate::Gate;
use super::send::HEADER;
use crate::engine::Connection;
use crate::identity::Peer;

/// Puts a [`Gate`] in front of services, and refuses peers whose certificates are not let in. Those behind it find the caller with [`Principal::of`](super::Principal::of).
#[derive(Debug, Clone)]
pub struct GateLayer(Gate);

impl GateLayer {
    /// With this gate.
    #[must_use]
    pub fn new(gate: Gate) -> Self {
        Self(gate)
    }
}

impl<S> Layer<S> for GateLayer {
    type Service = GatedService<S>;

    fn layer(&self, inner: S) -> GatedService<S> {
        GatedService { gate: self.0.clone(), inner }
    }
}

/// Services behind a [`Gate`].
#[derive(Debug, Clone)]
pub struct GatedService<S> {
    gate: Gate,
    inner: S,
}

impl<S> Service<Request<Body>> for GatedService<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<Ready<Result<Response<Body>, S::Error>>, S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let identity = match request.extensions().get::<Connection>().map(Connection::shown) {
            Some(Peer::Refused(error)) => {
                let from = request.extensions().get::<Connection>().and_then(Connection::peer);
                self.gate.refused_certificate(request.uri().path(), from);
                return Either::Left(ready(Ok(Status::from(error.clone()).into_http())));
            }
            Some(Peer::Known(identity)) => Some(identity.clone()),
            _ => None,
        };
        let header = request.headers().get(HEADER).and_then(|value| value.to_str().ok());
        let from = request.extensions().get::<Connection>().and_then(Connection::peer);
        match self.gate.check(request.uri().path(), header, from, identity.as_ref()) {
            Ok(caller) => {
                // Nothing behind the gate sees a token.
                request.headers_mut().remove(HEADER);
                if let Some(identity) = identity {
                    request.extensions_mut().insert(identity);
                }
                if let Some(caller) = caller {
                    request.extensions_mut().insert(caller);
                }
                Either::Right(self.inner.call(request))
            }
            Err(refusal) => Either::Left(ready(Ok(Status::from(refusal).into_http()))),
        }
    }
}
