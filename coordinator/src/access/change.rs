//! Changes of tokens.

use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use rand::Rng as _;
use udfleet_edge::auth::{LoginFailure, Principal, PrincipalKind, SecretHash, TokenType, token_of};
use udfleet_edge::secret::Secret;
use udfleet_proto::error::Error;
use udfleet_proto::v1::{AccessRecord, ErrorCode};

use super::record::{StoredToken, key, message_kind, unix_now, validate};
use super::table::{AccessTable, without_hash};
use crate::store::{Condition, Revision, Write};

/// How often a lost race is run again.
const RACES: usize = 16;
/// The most tokens of one kind.
const MOST_TOKENS: usize = 10_000;
/// How long an executor's credential lasts; it renews it when half of that is over.
pub const CREDENTIAL_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long a join token lasts that is made without saying so.
const JOIN_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// How long the same request goes on being answered once a join token has been used.
const USED_JOIN_LIFETIME: i64 = 600;
/// How long a revoked or expired token is listed.
const KEPT_ENDED: i64 = 30 * 24 * 3600;

/// What a token is made from.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Roles or join.
    pub kind: TokenType,
    /// Its own; of a join token the executor's.
    pub name: String,
    /// Of a token with roles.
    pub roles: Vec<String>,
    /// Patterns; none: all functions.
    pub functions: Vec<String>,
    /// Empty: its name.
    pub tenant: String,
    /// None: for ever, or a day for a join token.
    pub lifetime: Option<Duration>,
}

impl AccessTable {
    /// Makes a token; what is returned of it is its text, and its record without the hash.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] where it can't be made as asked or its name is taken; when the store fails.
    pub async fn create(&self, token: NewToken, by: &Principal) -> Result<(Secret, AccessRecord), Error> {
        self.demand_first_admin()?;
        let now = unix_now();
        let lifetime = match (token.kind, token.lifetime) {
            (TokenType::Executor, _) => {
                return Err(Error::new(ErrorCode::InvalidInput, "executors get credentials for join tokens")
                    .hint("udfleet token create --join NAME"));
            }
            (TokenType::Join, None) => Some(JOIN_LIFETIME),
            (_, lifetime) => lifetime,
        };
        let (secret, hash) = token_of(token.kind, &token.name, rand::rng().random());
        let record = AccessRecord {
            kind: message_kind(token.kind) as i32,
            secret_sha256: hash.bytes().to_vec().into(),
            roles: token.roles,
            functions: token.functions,
            tenant: token.tenant,
            created_unix_s: now,
            expires_unix_s: lifetime.map_or(0, |lifetime| now.saturating_add_unsigned(lifetime.as_secs())),
            revoked_unix_s: 0,
            created_by: by.title(),
            used_for_sha256: Bytes::new(),
            used: false,
            name: token.name,
        };
        validate(&record)?;
        let _one = self.changes.lock().await;
        self.prune(now).await?;
        if self.records().of(token.kind).count() >= MOST_TOKENS {
            return Err(Error::new(
                ErrorCode::LimitExceeded,
                format!("there are {MOST_TOKENS} tokens, the most allowed"),
            )
            .hint("revoke tokens: they are forgotten after 30 days"));
        }
        for _ in 0..RACES {
            let held = self.stored(token.kind, &record.name).await?;
            if held.as_ref().is_some_and(|held| held.ended(now).is_none()) {
                return Err(Error::new(ErrorCode::InvalidInput, format!("there is a token {:?} already", record.name))
                    .hint("revoke it first, or choose another name"));
            }
            let unchanged = Condition::unchanged(key(token.kind, &record.name), held.map(|held| held.revision));
            if self.write(&[unchanged], vec![record.clone()]).await? {
                return Ok((secret, without_hash(&record)));
            }
        }
        Err(contended(&record.name))
    }

    /// Lets the holder of a token in no longer.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] where there is none; when the store fails.
    pub async fn revoke(&self, kind: TokenType, name: &str) -> Result<AccessRecord, Error> {
        let _one = self.changes.lock().await;
        for _ in 0..RACES {
            let Some(held) = self.stored(kind, name).await? else {
                return Err(Error::new(ErrorCode::InvalidInput, format!("there is no token {name:?}"))
                    .hint("see: udfleet token list"));
            };
            if held.record.revoked_unix_s > 0 {
                return Ok(without_hash(&held.record));
            }
            let revoked = AccessRecord { revoked_unix_s: unix_now(), ..held.record };
            let unchanged = Condition::unchanged(key(kind, name), Some(held.revision));
            if self.write(&[unchanged], vec![revoked.clone()]).await? {
                return Ok(without_hash(&revoked));
            }
        }
        Err(contended(name))
    }

    /// Gives an executor its credential for a join token, or renews it: the executor has chosen the secret, whose hash is
    /// stored. Returns when it expires. The same request again has the same effect.
    ///
    /// # Errors
    /// [`ErrorCode::PermissionDenied`] for another executor's name, or one that has a credential; [`ErrorCode::Unauthenticated`]
    /// for a join token that was used; when the store fails.
    pub async fn join(&self, caller: &Principal, executor: &str, hash: SecretHash) -> Result<i64, Error> {
        if caller.name != executor {
            let message = format!("{} is not for the executor {executor:?}", caller.title());
            return Err(Error::new(ErrorCode::PermissionDenied, message)
                .hint("start the executor with the --id that its join token was made for"));
        }
        let _one = self.changes.lock().await;
        for _ in 0..RACES {
            let changed = match caller.kind {
                PrincipalKind::JoinToken => self.exchange(executor, hash, &caller.title()).await?,
                PrincipalKind::Executor => self.renew(executor, hash).await?,
                _ => {
                    return Err(Error::new(ErrorCode::PermissionDenied, "a join token is needed")
                        .hint("udfleet token create --join NAME"));
                }
            };
            if let Some(expires) = changed {
                return Ok(expires);
            }
        }
        Err(contended(executor))
    }

    /// `None` where somebody else has changed a record meanwhile.
    async fn exchange(&self, executor: &str, hash: SecretHash, by: &str) -> Result<Option<i64>, Error> {
        let now = unix_now();
        let join = self.stored(TokenType::Join, executor).await?.ok_or(LoginFailure::Wrong)?;
        join.check(now)?;
        let held = self.stored(TokenType::Executor, executor).await?;
        if !join.record.used_for_sha256.is_empty() {
            return match held {
                Some(held) if held.hash.matches(&hash) && held.ended(now).is_none() => {
                    Ok(Some(held.record.expires_unix_s))
                }
                _ => {
                    Err(Error::new(ErrorCode::Unauthenticated, format!("the join token of {executor:?} has been used"))
                        .hint("make another: udfleet token create --join NAME"))
                }
            };
        }
        if held.as_ref().is_some_and(|held| held.ended(now).is_none()) {
            return Err(Error::new(
                ErrorCode::PermissionDenied,
                format!("the executor {executor:?} has a credential already"),
            )
            .hint(format!("if it has lost it: udfleet token revoke --executor {executor}, then start it again")));
        }
        let credential = AccessRecord {
            kind: message_kind(TokenType::Executor) as i32,
            name: executor.to_owned(),
            secret_sha256: hash.bytes().to_vec().into(),
            created_unix_s: now,
            expires_unix_s: now.saturating_add_unsigned(CREDENTIAL_LIFETIME.as_secs()),
            created_by: by.to_owned(),
            ..AccessRecord::default()
        };
        let conditions = [
            Condition::unchanged(key(TokenType::Join, executor), Some(join.revision)),
            Condition::unchanged(key(TokenType::Executor, executor), held.map(|held| held.revision)),
        ];
        let used = AccessRecord {
            used_for_sha256: hash.bytes().to_vec().into(),
            expires_unix_s: join.record.expires_unix_s.min(now + USED_JOIN_LIFETIME),
            ..join.record
        };
        let expires = credential.expires_unix_s;
        Ok(self.write(&conditions, vec![credential, used]).await?.then_some(expires))
    }

    async fn renew(&self, executor: &str, hash: SecretHash) -> Result<Option<i64>, Error> {
        let now = unix_now();
        let held = self.stored(TokenType::Executor, executor).await?.ok_or(LoginFailure::Wrong)?;
        held.check(now)?;
        if !held.hash.matches(&hash) {
            return Err(Error::new(ErrorCode::PermissionDenied, "a credential is renewed with the secret that it has"));
        }
        let expires = now.saturating_add_unsigned(CREDENTIAL_LIFETIME.as_secs());
        let renewed = AccessRecord { expires_unix_s: expires, ..held.record };
        let unchanged = Condition::unchanged(key(TokenType::Executor, executor), Some(held.revision));
        Ok(self.write(&[unchanged], vec![renewed]).await?.then_some(expires))
    }

    /// Stores a record of a backup, where there is none of its name; true where there is one. With `check_only` nothing
    /// is stored.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] for a record that can't be; when the store fails.
    pub async fn import(&self, record: AccessRecord, check_only: bool) -> Result<bool, Error> {
        validate(&record)?;
        self.demand_first_admin()?;
        let (kind, _) = StoredToken::new(record.clone(), 0)?;
        if check_only {
            return Ok(self.stored(kind, &record.name).await?.is_some());
        }
        let _one = self.changes.lock().await;
        let stored = self.write(&[Condition::absent(key(kind, &record.name))], vec![record]).await?;
        Ok(!stored)
    }

    /// Tokens in a fleet without its own would lock everybody out.
    fn demand_first_admin(&self) -> Result<(), Error> {
        if self.has_first_admin() {
            return Ok(());
        }
        let message =
            "this coordinator has no token of its own and no certificate of an admin, so nobody could manage tokens";
        Err(Error::new(ErrorCode::InvalidConfig, message)
            .hint("start coordinators with token_file: its holder is the first admin"))
    }

    async fn stored(&self, kind: TokenType, name: &str) -> Result<Option<StoredToken>, Error> {
        let entry = self.store.get(&key(kind, name)).await?;
        Ok(entry.map(|entry| StoredToken::decode(&entry)).transpose()?.map(|(_, stored)| stored))
    }

    /// False where a condition does not hold.
    async fn write(&self, conditions: &[Condition], records: Vec<AccessRecord>) -> Result<bool, Error> {
        let mut writes = Vec::new();
        let mut stored = Vec::new();
        for record in records {
            let (kind, new) = StoredToken::new(record, Revision::default())?;
            writes.push(Write::put(key(kind, &new.record.name), new.record.encode_to_vec()));
            stored.push((kind, new));
        }
        let Some(revision) = self.store.transact(conditions, writes).await? else { return Ok(false) };
        for (kind, new) in stored {
            self.take_in(kind, StoredToken { revision, ..new });
        }
        Ok(true)
    }

    /// Forgets what ended long ago.
    async fn prune(&self, now: i64) -> Result<(), Error> {
        let mut old = Vec::new();
        for kind in [TokenType::Roles, TokenType::Join, TokenType::Executor] {
            let records = self.records();
            let ended = records.of(kind).filter(|stored| stored.ended(now).is_some_and(|at| now - at > KEPT_ENDED));
            old.extend(ended.map(|stored| (key(kind, &stored.record.name), stored.revision)));
        }
        for batch in old.chunks(crate::store::MAX_OPERATIONS) {
            let unchanged: Vec<Condition> =
                batch.iter().map(|(key, revision)| Condition::unchanged(key, Some(*revision))).collect();
            let deletes = batch.iter().map(|(key, _)| Write::delete(key)).collect();
            if self.store.transact(&unchanged, deletes).await?.is_some() {
                let gone: Vec<_> = batch.iter().map(|(key, _)| crate::store::Change::Deleted(key.clone())).collect();
                self.take_changes(&gone);
            }
        }
        Ok(())
    }
}

fn contended(name: &str) -> Error {
    Error::new(ErrorCode::NoCapacity, format!("{name}: too many changes at once")).hint("try again")
}
