//! What an executor leaves in the store that could not be let in.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio_util::sync::CancellationToken;
use udfleet_edge::auth::{FleetToken, TicketSigner};
use udfleet_proto::VERSION;
use udfleet_proto::v1::executor_message::Kind as Up;
use udfleet_proto::v1::membership_client::MembershipClient;
use udfleet_proto::v1::membership_server::MembershipServer;
use udfleet_proto::v1::{ExecutorMessage, Hello};

use super::message::Origin;
use super::record::CLAIMS;
use super::{AttachTrust, MembershipHandle, MembershipService, Output};
use crate::access::AccessTable;
use crate::audit::AuditLog;
use crate::leader::{Announcement, Session, Timing};
use crate::registry::{Owner, Registry};
use crate::routes::RouteTable;
use crate::store::silent::{SilentStore, Unanswered};
use crate::store::{MetaStore as _, SharedStore};

const LEASE: Duration = Duration::from_secs(60);
/// Less than a request may be under way: the claim has to go at once.
const SOON: Duration = Duration::from_secs(10);

/// A coordinator that leads, to which executors count as lost after `timeout`.
struct Leader {
    registry: Arc<Registry>,
    session: Session,
    fleet: MembershipHandle,
}

async fn leader(store: SharedStore, timeout: Duration) -> Leader {
    let owner = Owner { coordinator: "c".to_owned(), incarnation: "1".to_owned() };
    let (registry, _) = Registry::open(Arc::clone(&store), owner.clone()).await.unwrap();
    let (registry, address) = (Arc::new(registry), "127.0.0.1:1".to_owned());
    let me = Announcement { owner, address, http_address: String::new() };
    let (session, _) = Session::start(Arc::clone(&store), me, Timing { ttl: LEASE }, CancellationToken::new());
    session.standings().wait_for(|standing| standing.role.term().is_some()).await.unwrap();
    let (r, routes) = (Arc::clone(&registry), Arc::<RouteTable>::default());
    let fleet = MembershipHandle::start(store, session.clone(), r, routes, timeout).await.unwrap();
    Leader { registry, session, fleet }
}

fn hello(incarnation: &str) -> Hello {
    Hello {
        executor: "e1".to_owned(),
        incarnation: incarnation.to_owned(),
        version: VERSION.to_owned(),
        address: "127.0.0.1:2".to_owned(),
        ..Hello::default()
    }
}

async fn claims(store: &SilentStore) -> usize {
    store.list(CLAIMS).await.unwrap().entries.len()
}

/// Waits until there are so many.
async fn claims_are(store: &SilentStore, number: usize) {
    let reached = async {
        while claims(store).await != number {
            tokio::task::yield_now().await;
        }
    };
    let why = format!("not {number} claims: one that stays makes others refuse whoever comes under the id");
    tokio::time::timeout(SOON, reached).await.expect(&why);
}

#[tokio::test]
async fn a_claim_that_the_store_did_not_answer_does_not_lock_the_id() {
    let store = Arc::new(SilentStore::open().await);
    let fleet = leader(store.clone(), LEASE).await.fleet;
    let origin = || Origin { address: None, since: SystemTime::UNIX_EPOCH };
    // As often as it is tried.
    (0..4).for_each(|_| store.leave_unanswered(Unanswered::Happens));
    let refused = fleet.clone().let_in(hello("first"), origin(), 1).await.unwrap_err();
    assert!(refused.code().retryable(), "{refused}");
    claims_are(&store, 0).await;
    // Nobody is attached as that.
    let (epoch, _) = fleet.let_in(hello("second"), origin(), 2).await.unwrap();
    assert_eq!((epoch, claims(&store).await), (2, 1));
}

#[tokio::test]
async fn an_executor_that_goes_away_while_it_is_let_in_does_not_lock_its_id() {
    let (store, folder) = (Arc::new(SilentStore::open().await), tempfile::tempdir().unwrap());
    let Leader { registry, session, fleet } = leader(store.clone(), Duration::from_secs(1)).await;
    let shared: SharedStore = store.clone();
    let trust = AttachTrust {
        access: Arc::new(AccessTable::open(shared, Arc::new(FleetToken::new(None))).await.unwrap().0),
        tickets: Arc::new(TicketSigner::new("c", Arc::default(), false).unwrap()),
        audit: AuditLog::open(folder.path()).unwrap(),
    };
    let service = MembershipService::new(fleet, registry, Output::default(), trust, session, "c".to_owned());
    let mut client = MembershipClient::new(MembershipServer::new(service));
    store.leave_unanswered(Unanswered::Held);
    let first = ExecutorMessage { kind: Some(Up::Hello(hello("first"))) };
    tokio::select! {
        answer = client.attach(tokio_stream::once(first)) => panic!("it is let in already: {answer:?}"),
        () = claims_are(&store, 1) => {}
    }
    store.release();
    claims_are(&store, 0).await;
}
