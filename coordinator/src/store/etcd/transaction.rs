//! A transaction of the store as one of etcd's.

use etcd_client::{Compare, CompareOp, PutOptions, Txn, TxnOp};

use super::super::transaction::{Expected, check};
use super::super::{Condition, LeaseId, Revision, StoreError, Write};
use super::connect::Services;
use super::failure::Refusal;
use super::members::{Repeat, RequestError};
use super::split::split;
use super::{Etcd, revision, signed};

impl Etcd {
    pub(super) async fn transact(
        &self,
        conditions: &[Condition],
        writes: Vec<Write>,
    ) -> Result<Option<Revision>, StoreError> {
        check(conditions, &writes)?;
        let leases: Vec<LeaseId> = writes.iter().filter_map(lease_of).collect();
        let split = split(writes, new_id)?;
        let upload = self.upload(&split.large).await?;
        let mut operations: Vec<TxnOp> = split.writes.into_iter().map(|write| self.operation(write)).collect();
        operations.extend(self.keep_chunks(&split.large));
        let compares: Vec<Compare> = conditions.iter().map(|condition| self.compare(condition)).collect();
        let request = Txn::new().when(compares).and_then(operations);
        let send = |mut services: Services| {
            let request = request.clone();
            async move { services.kv.txn(request).await }
        };
        let answer = self.members.request(Repeat::Unsafe, send).await;
        if let Some(lease) = upload
            && let Err(error) = self.revoke_lease(lease).await
        {
            // It ends by itself.
            tracing::debug!(%error, "revoking the lease of chunks");
        }
        match answer {
            Ok(answer) if answer.succeeded() => {
                Ok(Some(answer.header().map_or(0, |header| revision(header.revision()))))
            }
            Ok(_) => Ok(None),
            Err(RequestError::Refused(Refusal::NoLease)) => Err(StoreError::NoLease(self.missing(&leases).await?)),
            Err(error) => Err(error.into()),
        }
    }

    fn operation(&self, write: Write) -> TxnOp {
        match write {
            Write::Put { key, value, lease } => {
                let options = lease.map(|lease| PutOptions::new().with_lease(signed(lease)));
                TxnOp::put(self.keys.entry(&key), value, options)
            }
            Write::Delete(key) => TxnOp::delete(self.keys.entry(&key), None),
        }
    }

    fn compare(&self, condition: &Condition) -> Compare {
        let key = self.keys.entry(&condition.key);
        match condition.expected {
            Expected::Absent => Compare::create_revision(key, CompareOp::Equal, 0),
            Expected::Revision(revision) => Compare::mod_revision(key, CompareOp::Equal, signed(revision)),
        }
    }

    /// Which of these leases does not exist: etcd does not say.
    async fn missing(&self, leases: &[LeaseId]) -> Result<LeaseId, StoreError> {
        for &lease in leases {
            let ask = |mut services: Services| async move { services.lease.time_to_live(signed(lease), None).await };
            if self.members.request(Repeat::Safe, ask).await?.ttl() <= 0 {
                return Ok(lease);
            }
        }
        Ok(leases.first().copied().unwrap_or_default())
    }
}

fn lease_of(write: &Write) -> Option<LeaseId> {
    match write {
        Write::Put { lease, .. } => *lease,
        Write::Delete(_) => None,
    }
}

fn new_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}
