//! Registrations that nobody sees to any more: those of an earlier run of this coordinator, and, where it leads, those of
//! coordinators that have gone.

use std::sync::Arc;
use std::time::Duration;

use udfleet_edge::clock;
use udfleet_proto::error::Error;

use super::registrar::{self, Registrar};
use crate::registry::Owner;

/// After a failure of the store.
const PAUSE: Duration = Duration::from_secs(1);

/// Goes on with registrations that the end of the last run cut short.
///
/// # Errors
/// When the store fails.
pub async fn resume(registrar: &Arc<Registrar>) -> Result<(), Error> {
    let me = registrar.session.me().owner.clone();
    for function in registrar.registry.take_over(None, |owner| me.succeeds(owner)).await? {
        registrar::go_on(Arc::clone(registrar), function);
    }
    Ok(())
}

/// Goes on with registrations of coordinators that have gone, whenever this one leads.
pub async fn adopt(registrar: Arc<Registrar>) {
    let (mut standings, mut peers) = (registrar.session.standings(), registrar.session.peers());
    loop {
        let fence = standings.borrow_and_update().fence();
        let living = peers.borrow_and_update().clone();
        let mut failed = false;
        let me = registrar.session.me().owner.clone();
        // Who does not see itself has not heard yet who else lives.
        if let Some(fence) = fence.filter(|_| living.lives(&me)) {
            let orphaned = |owner: &Owner| *owner != me && !living.lives(owner);
            match registrar.registry.take_over(Some(fence), orphaned).await {
                Ok(functions) => functions.into_iter().for_each(|f| registrar::go_on(Arc::clone(&registrar), f)),
                Err(error) => {
                    failed = true;
                    tracing::warn!(%error, "registrations of coordinators that have gone can't be read");
                }
            }
        }
        tokio::select! {
            biased;
            changed = standings.changed() => if changed.is_err() { return },
            changed = peers.changed() => if changed.is_err() { return },
            () = clock::sleep(PAUSE), if failed => {}
        }
    }
}
