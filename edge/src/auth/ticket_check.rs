//! Tickets, checked: by executors, with the public keys that coordinators give them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;
use prost::Message as _;
use ring::signature::{ED25519, UnparsedPublicKey};
use udfleet_proto::v1::{TicketClaims, TicketKeys};

use super::fleet_token::FleetToken;
use super::gate::{Authenticator, LoginFailure};
use super::pattern::FunctionPatterns;
use super::principal::{Principal, PrincipalKind};
use super::right::{Right, Rights};
use super::ticket_sign::{PREFIX, unix_ms};
use crate::tenant::{TenantLimits, TenantLimitsTable, Tenants};

/// The most keys that are kept: two of each coordinator, and those of coordinators that were started anew.
const MOST_KEYS: usize = 256;
/// The most tickets whose signature is remembered to be good: checking one takes about as long as a short call.
const MOST_CHECKED: usize = 1024;
/// No ticket is longer.
const MOST_BYTES: usize = 32 << 10;

struct PublicKey {
    bytes: Vec<u8>,
    expires_unix_ms: i64,
}

struct CheckedTicket {
    principal: Arc<Principal>,
    expires_unix_ms: i64,
}

#[derive(Default)]
struct KnownTickets {
    keys: HashMap<String, PublicKey>,
    checked: HashMap<String, CheckedTicket>,
}

/// Knows who comes to an executor: with a ticket, or with the fleet's own token where the executor has it.
pub struct TicketCheck {
    fleet_token: Arc<FleetToken>,
    /// Nobody comes in without showing something.
    closed: AtomicBool,
    known: Mutex<KnownTickets>,
    tenants: Arc<Tenants>,
}

impl TicketCheck {
    /// `closed`: the executor has a credential of its own, so its fleet has tokens. `tenants` are told the limits of those
    /// that show no ticket.
    #[must_use]
    pub fn new(fleet_token: Arc<FleetToken>, closed: bool, tenants: Arc<Tenants>) -> Self {
        let closed = AtomicBool::new(closed || fleet_token.is_set());
        Self { fleet_token, closed, known: Mutex::default(), tenants }
    }

    /// Takes in what a coordinator says of its keys. Keys stay until they expire: tickets outlive an attachment.
    pub fn add(&self, keys: TicketKeys) {
        if keys.closed {
            self.closed.store(true, Ordering::Relaxed);
        }
        // Of those that show none: of engines on the port that asks for none, and where a fleet has no tokens.
        self.tenants.set_limits(TenantLimitsTable::of_all(keys.limits.map(TenantLimits::from).unwrap_or_default()));
        let now = unix_ms(SystemTime::now());
        let mut known = self.known.lock();
        known.keys.retain(|_, key| key.expires_unix_ms > now);
        for key in keys.keys {
            if known.keys.len() < MOST_KEYS || known.keys.contains_key(&key.id) {
                let bytes = key.public_key.to_vec();
                known.keys.insert(key.id, PublicKey { bytes, expires_unix_ms: key.expires_unix_ms });
            }
        }
    }

    fn check(&self, ticket: &str, now: i64) -> Result<Arc<Principal>, LoginFailure> {
        let mut known = self.known.lock();
        if let Some(checked) = known.checked.get(ticket) {
            if checked.expires_unix_ms > now {
                return Ok(Arc::clone(&checked.principal));
            }
            return Err(LoginFailure::Expired(checked.principal.name.clone()));
        }
        let claims = verified(&known.keys, ticket).ok_or(LoginFailure::Wrong)?;
        if claims.expires_unix_ms <= now {
            return Err(LoginFailure::Expired(claims.name));
        }
        let expires_unix_ms = claims.expires_unix_ms;
        let principal = Arc::new(principal(claims)?);
        if known.checked.len() >= MOST_CHECKED {
            known.checked.retain(|_, checked| checked.expires_unix_ms > now);
        }
        if known.checked.len() >= MOST_CHECKED {
            known.checked.clear();
        }
        known.checked.insert(ticket.to_owned(), CheckedTicket { principal: Arc::clone(&principal), expires_unix_ms });
        Ok(principal)
    }
}

fn verified(keys: &HashMap<String, PublicKey>, ticket: &str) -> Option<TicketClaims> {
    if ticket.len() > MOST_BYTES {
        return None;
    }
    let (claims, signature) = ticket.strip_prefix(PREFIX)?.split_once('.')?;
    let (claims, signature) = (hex::decode(claims).ok()?, hex::decode(signature).ok()?);
    let decoded = TicketClaims::decode(claims.as_slice()).ok()?;
    let key = keys.get(&decoded.key)?;
    UnparsedPublicKey::new(&ED25519, &key.bytes).verify(&claims, &signature).ok()?;
    Some(decoded)
}

fn principal(claims: TicketClaims) -> Result<Principal, LoginFailure> {
    let rights: &[Right] = if claims.coordinator { &[Right::Call, Right::Coordinate] } else { &[Right::Call] };
    Ok(Principal {
        kind: PrincipalKind::Ticket,
        name: claims.name,
        rights: Rights::of(rights),
        functions: FunctionPatterns::new(claims.functions).map_err(|_| LoginFailure::Wrong)?,
        tenant: claims.tenant,
        limits: claims.limits.map(TenantLimits::from),
    })
}

impl Authenticator for TicketCheck {
    fn authenticate(&self, token: Option<&str>) -> Result<Arc<Principal>, LoginFailure> {
        match token {
            _ if !self.closed.load(Ordering::Relaxed) => Ok(self.fleet_token.anyone()),
            None => Err(LoginFailure::Missing),
            Some(ticket) if ticket.starts_with(PREFIX) => self.check(ticket, unix_ms(SystemTime::now())),
            Some(token) => self.fleet_token.holder(token).ok_or(LoginFailure::Wrong),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use udfleet_proto::v1::ErrorCode;

    use super::*;
    use crate::auth::send::BearerSource as _;
    use crate::auth::ticket_sign::TicketSigner;

    fn caller() -> Principal {
        Principal {
            kind: PrincipalKind::Token,
            name: "ci".to_owned(),
            rights: Rights::of(&[Right::Call]),
            functions: FunctionPatterns::new(vec!["team_*".to_owned()]).unwrap(),
            tenant: "acme".to_owned(),
            limits: None,
        }
    }

    fn executor_of(signer: &TicketSigner) -> TicketCheck {
        let check = TicketCheck::new(Arc::new(FleetToken::new(None)), true, Arc::default());
        check.add(signer.keys().borrow().clone());
        check
    }

    #[test]
    fn a_ticket_holds_what_its_caller_may_do_and_no_more() {
        let signer = TicketSigner::new("c", Arc::default(), false).unwrap();
        let check = executor_of(&signer);
        let ticket = signer.ticket(&caller()).unwrap();
        for _ in 0..2 {
            let known = check.authenticate(Some(&ticket)).unwrap();
            assert_eq!((known.name.as_str(), known.tenant.as_str()), ("ci", "acme"));
            assert!(known.demand_function("team_a").is_ok());
            assert_eq!(known.demand_function("other").unwrap_err().code(), ErrorCode::PermissionDenied);
            assert!(known.rights.has(Right::Call) && !known.rights.has(Right::Coordinate));
        }
        let observer = Principal { rights: Rights::of(&[Right::Observe]), ..caller() };
        assert_eq!(signer.ticket(&observer), None);
        assert_eq!(signer.ticket(&Principal::unlimited(PrincipalKind::Anonymous)), None);
        let own = signer.bearer().unwrap();
        let own = check.authenticate(own.to_str().unwrap().strip_prefix("Bearer ")).unwrap();
        assert!(own.rights.has(Right::Coordinate) && !own.rights.has(Right::Attach));
    }

    #[test]
    fn what_was_changed_or_signed_by_another_is_refused() {
        let (signer, stranger) = (
            TicketSigner::new("c", Arc::default(), false).unwrap(),
            TicketSigner::new("c", Arc::default(), false).unwrap(),
        );
        let check = executor_of(&signer);
        let ticket = signer.ticket(&caller()).unwrap();
        let all = Principal { functions: FunctionPatterns::all(), ..caller() };
        let wider = signer.ticket(&all).unwrap();
        let (claims, signature) = ticket.rsplit_once('.').unwrap();
        let (wider_claims, _) = wider.rsplit_once('.').unwrap();
        for forged in [
            stranger.ticket(&caller()).unwrap(),
            format!("{wider_claims}.{signature}"),
            claims.to_owned(),
            format!("{claims}."),
            ticket[..ticket.len() - 2].to_owned(),
            PREFIX.to_owned(),
            format!("{PREFIX}zz.zz"),
        ] {
            assert_eq!(check.authenticate(Some(&forged)).unwrap_err(), LoginFailure::Wrong, "{forged}");
        }
        assert_eq!(check.authenticate(Some("udfleet.ci.00")).unwrap_err(), LoginFailure::Wrong);
        assert_eq!(check.authenticate(None).unwrap_err(), LoginFailure::Missing);
        assert!(
            TicketCheck::new(Arc::new(FleetToken::new(None)), false, Arc::default()).authenticate(None).is_ok(),
            "a fleet without tokens"
        );
    }

    #[test]
    fn tickets_carry_what_their_tenant_may_use() {
        let limits = toml::from_str("[\"*\"]\nstreams = 3\n[acme]\nrows_per_second = 9\n").unwrap();
        let signer = TicketSigner::new("c", Arc::new(Tenants::new(limits)), true).unwrap();
        let told = Arc::<Tenants>::default();
        let check = TicketCheck::new(Arc::new(FleetToken::new(None)), true, Arc::clone(&told));
        check.add(signer.keys().borrow().clone());
        let known = check.authenticate(Some(&signer.ticket(&caller()).unwrap())).unwrap();
        let limits = known.limits.unwrap();
        assert_eq!((known.tenant.as_str(), limits.streams, limits.rows_per_second), ("acme", Some(3), Some(9)));
        let without = told.limits("default");
        assert_eq!((without.streams, without.rows_per_second), (Some(3), None), "for those that show no ticket");
        let open = TicketCheck::new(Arc::new(FleetToken::new(None)), false, Arc::default());
        assert!(open.authenticate(None).is_ok());
        open.add(signer.keys().borrow().clone());
        assert_eq!(open.authenticate(None).unwrap_err(), LoginFailure::Missing, "its coordinator says so");
    }

    #[test]
    fn tickets_end_and_keys_rotate() {
        let signer = TicketSigner::new("c", Arc::default(), false).unwrap();
        let check = executor_of(&signer);
        let (now, old) = (SystemTime::now(), signer.ticket(&caller()).unwrap());
        let at = |hours: u64| now + Duration::from_secs(hours * 3600);
        let later = unix_ms(at(1));
        assert_eq!(check.check(&old, later).unwrap_err(), LoginFailure::Expired("ci".to_owned()));
        // Executors have the next key before it signs.
        signer.rotate(at(11)).unwrap();
        assert_eq!(signer.keys().borrow().keys.len(), 1);
        signer.rotate(at(12) - KEY_AHEAD_IN_TEST).unwrap();
        check.add(signer.keys().borrow().clone());
        assert_eq!(signer.keys().borrow().keys.len(), 2);
        signer.rotate(at(12)).unwrap();
        let new = signer.ticket(&caller()).unwrap();
        assert!(check.authenticate(Some(&new)).is_ok() && check.authenticate(Some(&old)).is_ok());
    }

    const KEY_AHEAD_IN_TEST: Duration = Duration::from_secs(300);
}
