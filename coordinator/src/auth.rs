//! The token check in front of every gRPC service, and the token on calls to executors.

use sha2::{Digest, Sha256};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

use crate::config::Secret;

/// Refuses calls that don't carry the fleet's token.
#[derive(Clone)]
pub struct RequireToken {
    digest: Option<[u8; 32]>,
}

impl RequireToken {
    /// `None` lets everybody in.
    #[must_use]
    pub fn new(token: Option<&Secret>) -> Self {
        Self { digest: token.map(|token| Sha256::digest(token.expose()).into()) }
    }

    /// Looks at the text of an `authorization` header.
    ///
    /// # Errors
    /// [`ErrorCode::Unauthenticated`] where it is not the fleet's token.
    pub fn check(&self, header: Option<&str>) -> Result<(), Error> {
        let Some(expected) = &self.digest else { return Ok(()) };
        match header.and_then(|text| text.strip_prefix("Bearer ")) {
            Some(token) if same(expected, &Sha256::digest(token).into()) => Ok(()),
            given => {
                let what = if given.is_some() { "the token is wrong" } else { "the call carries no token" };
                Err(Error::new(ErrorCode::Unauthenticated, what)
                    .hint("pass token=... to udfleet.connect, or set UDFLEET_TOKEN"))
            }
        }
    }
}

impl Interceptor for RequireToken {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        self.check(request.metadata().get("authorization").and_then(|value| value.to_str().ok()))?;
        Ok(request)
    }
}

/// Takes the same time wherever the digests differ.
fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let difference = a.iter().zip(b).fold(0, |all, (x, y)| all | (x ^ y));
    std::hint::black_box(difference) == 0
}

/// Adds the fleet's token to calls that the coordinator makes.
#[derive(Clone)]
pub struct SendToken {
    header: Option<MetadataValue<Ascii>>,
}

impl SendToken {
    /// `None` sends none. A token that can't be a header is refused by the configuration.
    #[must_use]
    pub fn new(token: Option<&Secret>) -> Self {
        Self { header: token.and_then(|token| format!("Bearer {}", token.expose()).parse().ok()) }
    }
}

impl Interceptor for SendToken {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(header) = &self.header {
            request.metadata_mut().insert("authorization", header.clone());
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_token_passes() {
        let secret = Secret::new("s3cret");
        let mut door = RequireToken::new(Some(&secret));
        assert!(door.call(SendToken::new(Some(&secret)).call(Request::new(())).unwrap()).is_ok());
        for wrong in [None, Some(Secret::new("other")), Some(Secret::new("s3cre"))] {
            let request = SendToken::new(wrong.as_ref()).call(Request::new(())).unwrap();
            assert_eq!(door.call(request).unwrap_err().code(), tonic::Code::Unauthenticated);
        }
        assert!(RequireToken::new(None).call(Request::new(())).is_ok());
    }
}
