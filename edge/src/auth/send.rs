//! The header of outgoing calls.

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};
use udfleet_proto::error::Error;

use crate::secret::Secret;

/// The header that carries the secret, of gRPC and HTTP alike.
pub const HEADER: &str = "authorization";

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
    use udfleet_proto::v1::ErrorCode;

    use super::*;

    #[test]
    fn a_secret_is_in_no_log() {
        let secret = Secret::new("s3cret");
        let shown = format!("{secret:?} {:?}", SendToken::new(Some(&secret)).unwrap());
        assert!(!shown.contains("s3cret"), "{shown}");
        assert_eq!(SendToken::new(Some(&Secret::new("a\nb"))).unwrap_err().code(), ErrorCode::InvalidConfig);
    }
}
