//! Stores large values before their transaction, and reads entries whole.
//!
//! Chunks are stored under a lease of their own, so that those of a transaction that never happens go by themselves. The
//! transaction takes them off this lease while it writes the pointer to them: from then on they belong to the entry.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use etcd_client::{GetOptions, KeyValue, PutOptions, TxnOp};

use super::super::{Entry, LeaseId, Revision, StoreError};
use super::keys::ChunkSet;
use super::members::Repeat;
use super::split::{LargeValue, Pointer};
use super::{Etcd, revision, signed};

/// How long chunks wait for their transaction.
const UPLOAD_TTL: Duration = Duration::from_secs(60);

impl Etcd {
    /// Stores chunks; they vanish with the lease that is returned, unless the transaction happens.
    pub(super) async fn upload(&self, large: &[LargeValue]) -> Result<Option<LeaseId>, StoreError> {
        if large.is_empty() {
            return Ok(None);
        }
        let lease = self.grant_lease(UPLOAD_TTL).await?;
        for value in large {
            for (number, chunk) in value.chunks.iter().enumerate() {
                let (key, options) = (self.keys.chunk(&value.set, number), PutOptions::new().with_lease(signed(lease)));
                let put = |mut services: super::connect::Services| {
                    let (key, chunk, options) = (key.clone(), chunk.to_vec(), options.clone());
                    async move { services.kv.put(key, chunk, Some(options)).await }
                };
                self.members.request(Repeat::Safe, put).await?;
            }
        }
        Ok(Some(lease))
    }

    /// What the transaction does to the chunks: they are kept as long as their entry.
    pub(super) fn keep_chunks(&self, large: &[LargeValue]) -> Vec<TxnOp> {
        let keep = |value: &LargeValue| {
            let options = PutOptions::new().with_ignore_value().with_lease(value.lease.map_or(0, signed));
            let keys = (0..value.chunks.len()).map(|number| self.keys.chunk(&value.set, number)).collect::<Vec<_>>();
            keys.into_iter().map(move |key| TxnOp::put(key, "", Some(options.clone())))
        };
        large.iter().flat_map(keep).collect()
    }

    /// An entry as it was at revision `at`, its value whole.
    pub(super) async fn whole(&self, key: String, found: KeyValue, at: Revision) -> Result<Entry, StoreError> {
        let revision = revision(found.mod_revision());
        let (_, value) = found.into_key_value();
        let value = match Pointer::of(&value)? {
            None => value.into(),
            Some(pointer) => self.join(&key, &pointer, at).await?,
        };
        Ok(Entry { key, value, revision })
    }

    async fn join(&self, key: &str, pointer: &Pointer, at: Revision) -> Result<Bytes, StoreError> {
        let set = ChunkSet { key: key.to_owned(), id: pointer.id.clone() };
        let options = GetOptions::new().with_prefix().with_revision(signed(at));
        let get = |mut services: super::connect::Services| {
            let (prefix, options) = (self.keys.chunk_set(&set), options.clone());
            async move { services.kv.get(prefix, Some(options)).await }
        };
        let mut answer = self.members.request(Repeat::Safe, get).await.map_err(|error| error.at(at))?;
        let mut value = BytesMut::with_capacity(pointer.bytes);
        let chunks = answer.take_kvs();
        chunks.iter().for_each(|chunk| value.extend_from_slice(chunk.value()));
        if chunks.len() != pointer.chunks || value.len() != pointer.bytes {
            let (found, wanted) = (chunks.len(), pointer.chunks);
            return Err(StoreError::Failed(format!("{key}: {found} of the {wanted} chunks of its value are there")));
        }
        Ok(value.freeze())
    }
}
