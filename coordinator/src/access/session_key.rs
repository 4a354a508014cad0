//! The key that seals the sessions of browsers: one for the fleet, so that who has logged in at one coordinator is known at
//! all. It is made once, by whichever coordinator is first, and is in no backup.

use bytes::Bytes;
use udfleet_edge::http::{SessionKey, new_session_key};
use udfleet_proto::error::Error;

use crate::store::{Condition, MetaStore, StoreError, Write};

/// Beside what backups hold, and what coordinators follow.
const KEY: &str = "sessions/key";
/// How often a write that the store has not answered is looked for.
const TRIES: usize = 5;

/// The fleet's key.
///
/// # Errors
/// When the store fails, or holds something else under its name.
pub async fn session_key(store: &dyn MetaStore) -> Result<SessionKey, Error> {
    let mut outcome = Ok(None);
    for _ in 0..TRIES {
        if let Some(entry) = store.get(KEY).await? {
            return entry.value.as_ref().try_into().map_err(|_| {
                Error::from(StoreError::Failed(format!("{KEY} holds no key: delete it, and start coordinators anew")))
            });
        }
        let key = new_session_key()?;
        // Whether it was written or another's was there: what the store has counts.
        outcome = store.transact(&[Condition::absent(KEY)], vec![Write::put(KEY, Bytes::copy_from_slice(&key))]).await;
    }
    outcome?;
    Err(Error::internal(format!("{KEY} of the metadata store is deleted as soon as it is written")))
}

#[cfg(test)]
mod tests {
    use udfleet_proto::v1::ErrorCode;

    use super::*;
    use crate::store::embedded::EmbeddedStore;

    #[tokio::test]
    async fn coordinators_that_start_at_once_have_one_key_and_keep_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(folder.path().join("meta.redb")).await.unwrap();
        let (first, second) = tokio::join!(session_key(&store), session_key(&store));
        let first = first.unwrap();
        assert!(first == second.unwrap() && first == session_key(&store).await.unwrap());
        store.transact(&[], vec![Write::put(KEY, "short")]).await.unwrap();
        assert_eq!(session_key(&store).await.unwrap_err().code(), ErrorCode::Internal);
    }
}
