//! A coordinator as `coordinator/src/server.rs` puts it together, without its ports.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use udfleet_coordinator::access::AccessTable;
use udfleet_coordinator::audit::AuditLog;
use udfleet_coordinator::fleet::{self, Registrar};
use udfleet_coordinator::leader::{Announcement, Session, Timing};
use udfleet_coordinator::membership::{AttachTrust, MembershipHandle, MembershipService, Output};
use udfleet_coordinator::registry::{Owner, Registry};
use udfleet_coordinator::routes::RouteTable;
use udfleet_coordinator::store::{SharedStore, Write};
use udfleet_edge::auth::{FleetToken, TicketSigner};
use udfleet_edge::clock;
use udfleet_proto::error::Error;
use udfleet_proto::v1::membership_server::MembershipServer;

use super::store_access::StoreAccess;

/// As of coordinators that share a store.
const TIMING: Timing = Timing { ttl: Duration::from_secs(3) };
const EXECUTOR_TIMEOUT: Duration = Duration::from_secs(3);
pub const REGISTRATION_TIMEOUT: Duration = Duration::from_secs(8);
/// What a leader writes, conditioned on that it leads.
const LED: &str = "simulation/led";

/// See the module.
pub struct Coordinator {
    pub registry: Arc<Registry>,
    pub registrar: Arc<Registrar>,
    pub fleet: MembershipHandle,
    pub session: Session,
    pub routes: Arc<RouteTable>,
    pub membership: MembershipServer<MembershipService>,
    /// Its process is gone.
    pub crashed: CancellationToken,
    leave: CancellationToken,
}

impl Coordinator {
    /// Starts one run of a coordinator, `incarnation`.
    pub async fn start(
        store: StoreAccess,
        audit: AuditLog,
        coordinator: &str,
        incarnation: &str,
    ) -> Result<Self, Error> {
        let (address, crashed) = (format!("{coordinator}:1"), store.crashed.clone());
        let store: SharedStore = Arc::new(store);
        let owner = Owner { coordinator: coordinator.to_owned(), incarnation: incarnation.to_owned() };
        let (registry, revision) = Registry::open(Arc::clone(&store), owner.clone()).await?;
        let (registry, routes) = (Arc::new(registry), Arc::new(RouteTable::default()));
        let me = Announcement { owner, address: address.clone(), http_address: String::new() };
        let (access, _) = AccessTable::open(Arc::clone(&store), Arc::new(FleetToken::new(None))).await?;
        let tickets = Arc::new(TicketSigner::new(&address, Arc::default(), false)?);
        let leave = CancellationToken::new();
        let (session, _) = Session::start(Arc::clone(&store), me, TIMING, leave.clone());
        let (s, r) = (Arc::clone(&store), Arc::clone(&registry));
        let fleet = MembershipHandle::start(s, session.clone(), r, Arc::clone(&routes), EXECUTOR_TIMEOUT).await?;
        let registrar = Arc::new(Registrar {
            registry: Arc::clone(&registry),
            fleet: fleet.clone(),
            session: session.clone(),
            registration_timeout: REGISTRATION_TIMEOUT,
        });
        let membership = MembershipService::new(
            fleet.clone(),
            Arc::clone(&registry),
            Output::default(),
            AttachTrust { access: Arc::new(access), tickets, audit },
            session.clone(),
            address,
        );
        let membership = MembershipServer::new(membership);
        let this = Self { registry, registrar, fleet, session, routes, membership, crashed: crashed.clone(), leave };
        if let Err(error) = fleet::resume(&this.registrar).await {
            this.crash();
            return Err(error);
        }
        this.until_crashed(fleet::adopt(Arc::clone(&this.registrar)));
        let (registry, fleet) = (Arc::clone(&this.registry), this.fleet.clone());
        this.until_crashed(async move { registry.follow(revision, || fleet.catalog_changed()).await });
        this.until_crashed(lead(this.session.clone(), store));
        Ok(this)
    }

    fn until_crashed(&self, task: impl Future<Output = ()> + Send + 'static) {
        let crashed = self.crashed.clone();
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = crashed.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// Ends the process without a word to anybody: what it has sent is on its way.
    pub fn crash(&self) {
        self.crashed.cancel();
        self.leave.cancel();
        self.fleet.stop();
    }
}

/// Writes as a leader does, over and over.
async fn lead(session: Session, store: SharedStore) {
    loop {
        if let Some(fence) = session.standing().fence() {
            // Refused where another leads.
            drop(store.transact(&[fence], vec![Write::put(LED, session.me().owner.incarnation.clone())]).await);
        }
        clock::sleep(Duration::from_millis(500)).await;
    }
}
