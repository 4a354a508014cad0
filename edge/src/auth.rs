//! The fleet's token: the check of incoming calls, and the header of outgoing ones.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

use crate::secret::Secret;

/// The header that carries the secret, of gRPC and HTTP alike.
pub const HEADER: &str = "authorization";

/// Refuses calls that don't carry the fleet's token.
#[derive(Debug, Clone)]
pub struct RequireToken {
    digest: Option<[u8; 32]>,
}

impl RequireToken {
    /// `None` lets everybody in.
    #[must_use]
    pub fn new(token: Option<&Secret>) -> Self {
        Self { digest: token.map(|token| Sha256::digest(token.expose()).into()) }
    }

    /// Looks at the text of an [`HEADER`].
    ///
    /// # Errors
    /// [`ErrorCode::Unauthenticated`] where it is not the fleet's token.
    pub fn check(&self, header: Option<&str>) -> Result<(), Error> {
        let Some(expected) = &self.digest else { return Ok(()) };
        // Digests have one length: the time of the comparison tells nothing about the token.
        let matches = |token: &str| bool::from(expected.ct_eq(&<[u8; 32]>::from(Sha256::digest(token))));
        let problem = match header.and_then(|text| text.strip_prefix("Bearer ")) {
            Some(token) if matches(token) => return Ok(()),
            Some(_) => "the token is wrong",
            None => "the call carries no token",
        };
        Err(Error::new(ErrorCode::Unauthenticated, problem)
            .hint("pass token=... to udfleet.connect, or set UDFLEET_TOKEN"))
    }
}

impl Interceptor for RequireToken {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        self.check(request.metadata().get(HEADER).and_then(|value| value.to_str().ok()))?;
        Ok(request)
    }
}

/// Adds the fleet's token to outgoing calls.
#[derive(Debug, Clone, Default)]
pub struct SendToken {
    header: Option<MetadataValue<Ascii>>,
}

impl SendToken {
    /// `None` sends none.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidConfig`] for a token that can't be a header. [`Secret::token`] makes none of these.
    pub fn new(token: Option<&Secret>) -> Result<Self, Error> {
        let header = |token: &Secret| {
            let mut value: MetadataValue<Ascii> =
                format!("Bearer {}", token.expose()).parse().map_err(|_| Secret::not_a_token())?;
            value.set_sensitive(true);
            Ok::<_, Error>(value)
        };
        Ok(Self { header: token.map(header).transpose()? })
    }
}

impl Interceptor for SendToken {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(header) = &self.header {
            request.metadata_mut().insert(HEADER, header.clone());
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(demanded: Option<&str>, sent: Option<&str>) -> Result<(), ErrorCode> {
        let [demanded, sent] = [demanded, sent].map(|token| token.map(Secret::new));
        let request = SendToken::new(sent.as_ref()).unwrap().call(Request::new(())).unwrap();
        let answer = RequireToken::new(demanded.as_ref()).call(request);
        answer.map(drop).map_err(|status| Error::from(&status).code())
    }

    #[test]
    fn only_the_right_token_passes() {
        assert_eq!(ask(Some("s3cret"), Some("s3cret")), Ok(()));
        for wrong in [None, Some(""), Some("other"), Some("s3cre"), Some("s3crets"), Some("S3cret")] {
            assert_eq!(ask(Some("s3cret"), wrong), Err(ErrorCode::Unauthenticated), "{wrong:?}");
        }
        assert_eq!((ask(None, None), ask(None, Some("any"))), (Ok(()), Ok(())));
    }

    #[test]
    fn a_secret_is_in_no_log() {
        let secret = Secret::new("s3cret");
        let shown = format!("{secret:?} {:?}", SendToken::new(Some(&secret)).unwrap());
        assert!(!shown.contains("s3cret"), "{shown}");
        assert_eq!(SendToken::new(Some(&Secret::new("a\nb"))).unwrap_err().code(), ErrorCode::InvalidConfig);
    }
}
