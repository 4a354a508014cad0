//! The fleet's shared secret: checked on every incoming call, sent with every outgoing one.

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

use crate::config::Secret;

const HEADER: &str = "authorization";

/// Adds the secret to outgoing calls.
#[derive(Clone)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Bearer {
    /// Sends `token`, if there is one.
    ///
    /// # Errors
    /// `INVALID_CONFIG` for a token that can't be a header.
    pub fn new(token: Option<&Secret>) -> Result<Self, Error> {
        let header = |token: &Secret| {
            let mut value: MetadataValue<Ascii> = format!("Bearer {}", token.expose()).parse().map_err(|_| {
                Error::new(ErrorCode::InvalidConfig, "the token holds characters that a header can't carry")
            })?;
            value.set_sensitive(true);
            Ok(value)
        };
        token.map(header).transpose().map(Self)
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert(HEADER, value.clone());
        }
        Ok(request)
    }
}

/// Refuses incoming calls without the secret.
#[derive(Clone)]
pub struct Guard(Option<Secret>);

impl Guard {
    /// Demands `token`; without one everybody may call.
    #[must_use]
    pub fn new(token: Option<Secret>) -> Self {
        Self(token)
    }
}

impl Interceptor for Guard {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let Some(token) = &self.0 else { return Ok(request) };
        let given = request.metadata().get(HEADER).and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.strip_prefix("Bearer "));
        match given {
            Some(given) if same(given.as_bytes(), token.expose().as_bytes()) => Ok(request),
            given => {
                let what = if given.is_some() { "the token is wrong" } else { "this fleet demands a token" };
                Err(Error::new(ErrorCode::Unauthenticated, what).hint("pass the fleet's token to connect()").into())
            }
        }
    }
}

/// Compares in a time that does not depend on where the difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    let difference = a.iter().zip(b).fold(0, |all, (x, y)| all | (x ^ y));
    a.len() == b.len() && std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(demanded: &str, sent: Option<&str>) -> Result<(), Error> {
        let sent = sent.map(Secret::new);
        let request = Bearer::new(sent.as_ref()).unwrap().call(Request::new(())).unwrap();
        Guard::new(Some(Secret::new(demanded))).call(request).map(drop).map_err(|status| Error::from(&status))
    }

    #[test]
    fn only_the_secret_opens() {
        assert!(ask("s3cret", Some("s3cret")).is_ok());
        for sent in [None, Some(""), Some("s3cre"), Some("s3crets"), Some("S3cret")] {
            assert_eq!(ask("s3cret", sent).unwrap_err().code(), ErrorCode::Unauthenticated, "{sent:?}");
        }
        assert!(Guard::new(None).call(Request::new(())).is_ok());
    }
}
