//! Tickets, made: a coordinator signs what a caller may do at executors, which never see the caller's token.
//!
//! Signatures are Ed25519: executors hold public keys only, so that none can make tickets for another. A coordinator keeps its
//! keys in memory and gives their public halves to executors over their attachments, the next one long before it is used.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use prost::Message as _;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use tokio::sync::watch;
use tonic::metadata::{Ascii, MetadataValue};
use udfleet_proto::error::Error;
use udfleet_proto::v1::{TicketClaims, TicketKey, TicketKeys};

use super::pattern::FunctionPatterns;
use super::principal::{DEFAULT_TENANT, Principal, PrincipalKind};
use super::right::Right;
use super::send::BearerSource;
use crate::tenant::Tenants;

/// What a ticket begins with.
pub(super) const PREFIX: &str = "udfleet-ticket.";
/// How long a ticket lasts. Clients ask for routes, and get new tickets, every few seconds; while all coordinators are away,
/// new streams to executors are opened for this long.
const TICKET_LIFETIME: Duration = Duration::from_secs(600);
/// How long a key signs.
const KEY_LIFETIME: Duration = Duration::from_secs(12 * 3600);
/// How long before that ends executors are given the next one.
const KEY_AHEAD: Duration = Duration::from_secs(600);
/// The coordinator's own ticket is made anew when less than this is left of it.
const OWN_AHEAD: Duration = Duration::from_secs(300);

pub(super) fn unix_ms(now: SystemTime) -> i64 {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

struct SigningKey {
    id: String,
    pair: Ed25519KeyPair,
    signs_until: SystemTime,
}

impl SigningKey {
    fn new(signs_until: SystemTime) -> Result<Self, Error> {
        let failed = |_| Error::internal("the system gives no random bytes for a key");
        let random = SystemRandom::new();
        let document = Ed25519KeyPair::generate_pkcs8(&random).map_err(failed)?;
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref())
            .map_err(|e| Error::internal(format!("a key that was just made can't be read: {e}")))?;
        // The key's own beginning names it.
        let id = hex::encode(&pair.public_key().as_ref()[..8]);
        Ok(Self { id, pair, signs_until })
    }

    fn public(&self) -> TicketKey {
        TicketKey {
            id: self.id.clone(),
            public_key: self.pair.public_key().as_ref().to_vec().into(),
            expires_unix_ms: unix_ms(self.signs_until + TICKET_LIFETIME),
        }
    }
}

/// The key that signs, and the one that follows it.
struct SigningKeys {
    current: SigningKey,
    next: Option<SigningKey>,
    own: Option<(MetadataValue<Ascii>, SystemTime)>,
}

/// Makes tickets.
pub struct TicketSigner {
    name: String,
    keys: Mutex<SigningKeys>,
    published: watch::Sender<TicketKeys>,
    tenants: Arc<Tenants>,
    closed: bool,
}

impl TicketSigner {
    /// With a fresh key. `name` is the coordinator's; tickets carry the limits of `tenants`. `closed`: executors let nobody in
    /// without one.
    ///
    /// # Errors
    /// `INTERNAL` where the system gives no random bytes.
    pub fn new(name: &str, tenants: Arc<Tenants>, closed: bool) -> Result<Self, Error> {
        let current = SigningKey::new(SystemTime::now() + KEY_LIFETIME)?;
        let published = watch::Sender::new(published(vec![current.public()], &tenants, closed));
        let keys = Mutex::new(SigningKeys { current, next: None, own: None });
        Ok(Self { name: name.to_owned(), keys, published, tenants, closed })
    }

    /// What executors need to check its tickets, whenever that changes.
    #[must_use]
    pub fn keys(&self) -> watch::Receiver<TicketKeys> {
        self.published.subscribe()
    }

    /// Makes the next key ahead of time and lets it follow; to be called every minute or so.
    ///
    /// # Errors
    /// As [`TicketSigner::new`].
    pub fn rotate(&self, now: SystemTime) -> Result<(), Error> {
        let mut keys = self.keys.lock();
        if keys.next.is_none() && now + KEY_AHEAD >= keys.current.signs_until {
            let next = SigningKey::new(keys.current.signs_until + KEY_LIFETIME)?;
            self.published.send_replace(published(
                vec![keys.current.public(), next.public()],
                &self.tenants,
                self.closed,
            ));
            keys.next = Some(next);
        }
        if now >= keys.current.signs_until
            && let Some(next) = keys.next.take()
        {
            (keys.current, keys.own) = (next, None);
        }
        Ok(())
    }

    /// A ticket for a caller that may call functions; none for one that may not, or that needs none.
    #[must_use]
    pub fn ticket(&self, caller: &Principal) -> Option<String> {
        if !caller.rights.has(Right::Call) || caller.kind == PrincipalKind::Anonymous {
            return None;
        }
        let claims = TicketClaims {
            name: caller.name.clone(),
            functions: caller.functions.texts().to_vec(),
            tenant: caller.tenant.clone(),
            limits: Some(self.tenants.limits(&caller.tenant).into()),
            ..TicketClaims::default()
        };
        Some(sign(&self.keys.lock().current, claims, SystemTime::now()))
    }
}

fn published(keys: Vec<TicketKey>, tenants: &Tenants, closed: bool) -> TicketKeys {
    TicketKeys { keys, limits: Some(tenants.limits(DEFAULT_TENANT).into()), closed }
}

fn sign(key: &SigningKey, claims: TicketClaims, now: SystemTime) -> String {
    let claims = TicketClaims { key: key.id.clone(), expires_unix_ms: unix_ms(now + TICKET_LIFETIME), ..claims };
    let encoded = claims.encode_to_vec();
    let signature = key.pair.sign(&encoded);
    format!("{PREFIX}{}.{}", hex::encode(&encoded), hex::encode(signature.as_ref()))
}

impl BearerSource for TicketSigner {
    /// The coordinator's own ticket, which it shows to executors.
    fn bearer(&self) -> Option<MetadataValue<Ascii>> {
        let (now, mut keys) = (SystemTime::now(), self.keys.lock());
        if let Some((ticket, until)) = &keys.own
            && now < *until
        {
            return Some(ticket.clone());
        }
        let functions = FunctionPatterns::all().texts().to_vec();
        let claims = TicketClaims { name: self.name.clone(), functions, coordinator: true, ..TicketClaims::default() };
        let mut ticket: MetadataValue<Ascii> = format!("Bearer {}", sign(&keys.current, claims, now)).parse().ok()?;
        ticket.set_sensitive(true);
        keys.own = Some((ticket.clone(), now + TICKET_LIFETIME - OWN_AHEAD));
        Some(ticket)
    }
}
