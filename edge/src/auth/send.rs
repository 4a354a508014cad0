//! The header of outgoing calls.

use std::fmt;
use std::sync::Arc;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};
use udfleet_proto::error::Error;

use crate::secret::Secret;

/// The header that carries the secret, of gRPC and HTTP alike.
pub const HEADER: &str = "authorization";

/// What outgoing calls show, where that changes.
pub trait BearerSource: Send + Sync + 'static {
    /// The header's text of now; none where there is nothing to show.
    fn bearer(&self) -> Option<MetadataValue<Ascii>>;
}

#[derive(Clone, Default)]
enum Bearer {
    #[default]
    None,
    Fixed(MetadataValue<Ascii>),
    Changing(Arc<dyn BearerSource>),
}

/// Adds a token to outgoing calls.
#[derive(Clone, Default)]
pub struct SendToken(Bearer);

impl SendToken {
    /// `None` sends none.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidConfig`] for a token that can't be a header. [`Secret::token`] makes none of these.
    pub fn new(token: Option<&Secret>) -> Result<Self, Error> {
        Ok(Self(token.map(header).transpose()?.map_or(Bearer::None, Bearer::Fixed)))
    }

    /// Sends what the source has at each call.
    #[must_use]
    pub fn changing(source: Arc<dyn BearerSource>) -> Self {
        Self(Bearer::Changing(source))
    }
}

/// A token as the text of a [`HEADER`].
///
/// # Errors
/// As [`SendToken::new`].
pub fn header(token: &Secret) -> Result<MetadataValue<Ascii>, Error> {
    let mut value: MetadataValue<Ascii> =
        format!("Bearer {}", token.expose()).parse().map_err(|_| Secret::not_a_token())?;
    value.set_sensitive(true);
    Ok(value)
}

impl fmt::Debug for SendToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Bearer::None => "SendToken(none)",
            Bearer::Fixed(_) | Bearer::Changing(_) => "SendToken(<redacted>)",
        })
    }
}

impl Interceptor for SendToken {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let header = match &self.0 {
            Bearer::None => None,
            Bearer::Fixed(header) => Some(header.clone()),
            Bearer::Changing(source) => source.bearer(),
        };
        if let Some(header) = header {
            request.metadata_mut().insert(HEADER, header);
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
