//! Epochs of a partition's owners, as empty objects that nobody can create twice. SlateDB's own epoch can't be ours: an opening
//! that dies uses one up. They are looked at before the database is opened, since opening it fences its owner.

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutMode, PutPayload};

use crate::{StatePlace, StoreError};

/// Claims `epoch` for an opening of the partition.
///
/// # Errors
/// Where the partition has seen it or a newer one, or the store fails.
pub(crate) async fn claim(place: &StatePlace, epoch: u64) -> Result<(), StoreError> {
    let failed = |error| StoreError::of_objects(&place.name(), error);
    let stale = |newest| StoreError::StaleEpoch { place: place.name(), epoch, newest };
    let folder = place.folder.clone().join("epochs");
    let object = |epoch: u64| folder.clone().join(format!("{epoch:020}"));
    match place.objects.put_opts(&object(epoch), PutPayload::new(), PutMode::Create.into()).await {
        Ok(_) => {}
        Err(object_store::Error::AlreadyExists { .. }) => return Err(stale(epoch)),
        Err(error) => return Err(failed(error)),
    }
    let claims: Vec<_> = place.objects.list(Some(&folder)).try_collect().await.map_err(failed)?;
    let claimed: Vec<u64> = claims.iter().filter_map(|claim| epoch_of(&claim.location)).collect();
    let newest = claimed.iter().copied().max().unwrap_or(epoch);
    if newest > epoch {
        return Err(stale(newest));
    }
    // Older claims say nothing that this one does not.
    for older in claimed.into_iter().filter(|older| *older < epoch) {
        match place.objects.delete(&object(older)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(())
}

fn epoch_of(claim: &Path) -> Option<u64> {
    claim.filename()?.parse().ok()
}
