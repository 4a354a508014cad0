//! What this executor shows to coordinators: the fleet's own token, or a credential of its own, which it gets once for a join
//! token. Its secret is made here and told to nobody: coordinators are given its hash.

use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::Rng as _;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use udfleet_edge::auth::{BearerSource, FleetToken, ParsedToken, SecretHash, SendToken, TokenType, header, token_of};
use udfleet_edge::channel::error_of;
use udfleet_edge::secret::Secret;
use udfleet_proto::error::Error;
use udfleet_proto::v1::membership_client::MembershipClient;
use udfleet_proto::v1::{ErrorCode, JoinRequest};

use crate::coordinators::Coordinators;

/// A credential lasts for 30 days.
const RENEW_EVERY: Duration = Duration::from_secs(24 * 3600);
const TRY_AGAIN: Duration = Duration::from_secs(600);

/// How this executor is known to coordinators.
pub enum Identification {
    /// By the fleet's own token; by none where the fleet has none.
    FleetToken(Arc<FleetToken>),
    /// By its own credential.
    Own(ExecutorCredential),
}

impl Identification {
    /// By what the settings say, and what an earlier run has kept in the work folder. `file`: where the token comes from,
    /// which is followed.
    ///
    /// # Errors
    /// `INVALID_CONFIG` where the token is another executor's, or the credential can't be kept.
    pub fn new(token: Option<&Secret>, file: Option<&Path>, work_dir: &Path, id: &str) -> Result<Self, Error> {
        let join = token.filter(|token| join_name(token).is_some());
        if token.is_some() && join.is_none() {
            let kept = file.map_or_else(|| Ok(FleetToken::new(token)), FleetToken::of_file)?;
            return Ok(Self::FleetToken(Arc::new(kept)));
        }
        let path = work_dir.join("credential");
        match (ExecutorCredential::read(&path, join)?, join) {
            (Some(kept), _) => kept.of(id).map(Self::Own),
            (None, Some(join)) => ExecutorCredential::create(path, join)?.of(id).map(Self::Own),
            (None, None) => Ok(Self::FleetToken(Arc::new(FleetToken::new(None)))),
        }
    }

    /// The fleet's own token, where this executor has it.
    #[must_use]
    pub fn fleet_token(&self) -> Arc<FleetToken> {
        match self {
            Self::FleetToken(token) => Arc::clone(token),
            Self::Own(_) => Arc::new(FleetToken::new(None)),
        }
    }

    /// What calls to coordinators carry.
    ///
    /// # Errors
    /// `INVALID_CONFIG` for a token that is no header.
    pub fn bearer(&self) -> Result<SendToken, Error> {
        match self {
            Self::FleetToken(token) => Ok(SendToken::changing(Arc::clone(token) as Arc<dyn BearerSource>)),
            Self::Own(credential) => SendToken::new(Some(&credential.token)),
        }
    }

    /// Makes sure that coordinators know the credential, before this executor attaches to one.
    ///
    /// # Errors
    /// As the coordinator says.
    pub async fn prepare(&self, channel: &Channel, address: &str) -> Result<(), Error> {
        match self {
            Self::FleetToken(_) => Ok(()),
            Self::Own(credential) => credential.prepare(channel, address).await,
        }
    }

    /// A coordinator did not know it: the next [`Identification::prepare`] joins again.
    pub fn refused(&self) {
        if let Self::Own(credential) = self {
            credential.joined.store(false, Ordering::Relaxed);
        }
    }

    /// Renews the credential, or follows the file of the token, for ever.
    pub async fn keep(&self, coordinators: &Coordinators) {
        let credential = match self {
            Self::Own(credential) => credential,
            Self::FleetToken(token) => {
                token.watch().await;
                return std::future::pending().await;
            }
        };
        let mut pause = RENEW_EVERY;
        loop {
            tokio::time::sleep(pause).await;
            pause = match credential.ask(&coordinators.channel(), "a coordinator", &credential.header).await {
                Ok(()) => RENEW_EVERY,
                Err(error) => {
                    tracing::warn!(%error, "the credential can't be renewed");
                    coordinators.pass_over();
                    TRY_AGAIN
                }
            };
        }
    }
}

/// The executor that a join token is for; none where it is another kind of token.
#[must_use]
pub fn join_name(token: &Secret) -> Option<String> {
    let parsed = ParsedToken::parse(token.expose())?;
    (parsed.kind == TokenType::Join).then(|| parsed.name.to_owned())
}

/// A credential in the work folder.
pub struct ExecutorCredential {
    name: String,
    token: Secret,
    header: MetadataValue<Ascii>,
    hash: SecretHash,
    join: Option<MetadataValue<Ascii>>,
    /// Coordinators know it.
    joined: AtomicBool,
}

impl ExecutorCredential {
    fn new(token: Secret, join: Option<&Secret>) -> Result<Option<Self>, Error> {
        let Some(parsed) = ParsedToken::parse(token.expose()).filter(|parsed| parsed.kind == TokenType::Executor)
        else {
            return Ok(None);
        };
        let (name, hash) = (parsed.name.to_owned(), parsed.hash);
        let (header, join) = (header(&token)?, join.map(header).transpose()?);
        Ok(Some(Self { name, token, header, hash, join, joined: AtomicBool::new(false) }))
    }

    /// What an earlier run has kept; none where it is for another name than the join token, which then counts.
    fn read(path: &Path, join: Option<&Secret>) -> Result<Option<Self>, Error> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(unusable(path, &e.to_string())),
        };
        let kept = Self::new(Secret::new(text.trim()), join)?;
        let kept = kept.ok_or_else(|| unusable(path, "it holds no credential of an executor; remove it"))?;
        let other = join.and_then(join_name).is_some_and(|name| name != kept.name);
        Ok((!other).then_some(kept))
    }

    fn create(path: PathBuf, join: &Secret) -> Result<Self, Error> {
        let name = join_name(join).unwrap_or_default();
        let (token, _) = token_of(TokenType::Executor, &name, rand::rng().random());
        // Kept before it is used: whatever happens in between, the same secret is tried again.
        let write = || {
            let partial = path.with_extension("new");
            let _ = std::fs::remove_file(&partial);
            let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(&partial)?;
            file.write_all(token.expose().as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&partial, &path)
        };
        write().map_err(|e: std::io::Error| unusable(&path, &e.to_string()))?;
        Self::new(token, Some(join))?.ok_or_else(|| unusable(&path, "its name can't be that of an executor"))
    }

    fn of(self, id: &str) -> Result<Self, Error> {
        if self.name == id {
            return Ok(self);
        }
        let message = format!("this executor is called {id:?}, and its credential is for {:?}", self.name);
        Err(Error::new(ErrorCode::InvalidConfig, message)
            .hint("leave out --id, or get a join token for this name: udfleet token create --join NAME"))
    }

    async fn prepare(&self, channel: &Channel, address: &str) -> Result<(), Error> {
        if self.joined.load(Ordering::Relaxed) {
            return Ok(());
        }
        let joined = match &self.join {
            Some(join) => self.ask(channel, address, join).await,
            None => self.ask(channel, address, &self.header).await,
        };
        let joined = match (joined, &self.join) {
            // The join token was used before, for this credential perhaps.
            (Err(error), Some(_)) if error.code() == ErrorCode::Unauthenticated => {
                self.ask(channel, address, &self.header).await.map_err(|_| error)
            }
            (joined, _) => joined,
        };
        joined.inspect(|()| self.joined.store(true, Ordering::Relaxed))
    }

    async fn ask(&self, channel: &Channel, address: &str, shown: &MetadataValue<Ascii>) -> Result<(), Error> {
        let message = JoinRequest { executor: self.name.clone(), secret_sha256: self.hash.bytes().to_vec().into() };
        let mut request = tonic::Request::new(message);
        request.metadata_mut().insert(udfleet_edge::auth::HEADER, shown.clone());
        request.set_timeout(Duration::from_secs(10));
        let answer = MembershipClient::new(channel.clone()).join(request).await;
        answer.map(drop).map_err(|status| error_of(&status, address))
    }
}

fn unusable(path: &Path, what: &str) -> Error {
    Error::new(ErrorCode::InvalidConfig, format!("the credential {}: {what}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn join(name: &str) -> Secret {
        token_of(TokenType::Join, name, [1; 32]).0
    }

    fn own(identification: Identification) -> ExecutorCredential {
        match identification {
            Identification::Own(credential) => credential,
            Identification::FleetToken(_) => panic!("no credential"),
        }
    }

    #[test]
    fn a_credential_is_kept_and_readable_by_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let first = own(Identification::new(Some(&join("e1")), None, folder.path(), "e1").unwrap());
        let mode = folder.path().join("credential").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        for token in [Some(join("e1")), None] {
            let again = own(Identification::new(token.as_ref(), None, folder.path(), "e1").unwrap());
            assert!(again.token == first.token, "it is the same after a restart");
        }
        let other = own(Identification::new(Some(&join("e2")), None, folder.path(), "e2").unwrap());
        assert!(other.name == "e2" && other.token != first.token);
    }

    #[test]
    fn a_name_that_is_not_its_own_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = Identification::new(Some(&join("e1")), None, folder.path(), "e2").err().unwrap();
        assert_eq!(error.code(), ErrorCode::InvalidConfig);
        std::fs::write(folder.path().join("credential"), "nonsense").unwrap();
        assert_eq!(
            Identification::new(None, None, folder.path(), "e1").err().unwrap().code(),
            ErrorCode::InvalidConfig
        );
    }

    #[test]
    fn the_fleets_own_token_needs_no_credential() {
        let folder = tempfile::tempdir().unwrap();
        let token = Secret::new("s3cret");
        let by_token = Identification::new(Some(&token), None, folder.path(), "e1").unwrap();
        assert!(by_token.fleet_token().holder("s3cret").is_some());
        assert!(!Identification::new(None, None, folder.path(), "e1").unwrap().fleet_token().is_set());
        assert!(!folder.path().join("credential").exists());
    }
}
