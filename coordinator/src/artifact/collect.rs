//! Removes artifacts that no function needs. Several coordinators may do so in one store: each removes only what has been
//! old for long, by the store's own clock, and what its registry does not name.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;
use std::time::Duration;

use futures::TryStreamExt as _;
use object_store::{ObjectMeta, ObjectStore as _};
use udfleet_proto::error::Error;

use super::{ArtifactStore, check_hash, clock, place, used};

/// How long an upload may write nothing before its file counts as left behind.
const LEFT_BEHIND: Duration = Duration::from_secs(3600);

/// When something was stored, in seconds and parts of them by the store's clock.
type Moment = f64;

/// What lies in the store.
#[derive(Debug, Default)]
struct Inventory {
    now: Moment,
    stored: HashMap<String, Moment>,
    asked: HashMap<String, Moment>,
}

impl Inventory {
    fn take(&mut self, found: &ObjectMeta) {
        let moment = moment(found);
        if found.location == clock() {
            self.now = moment;
        }
        let Some(name) = found.location.filename().filter(|name| check_hash(name).is_ok()) else { return };
        if found.location == place(name) {
            self.stored.insert(name.to_owned(), moment);
        } else if found.location == used(name) {
            self.asked.insert(name.to_owned(), moment);
        }
    }

    /// How long ago it was stored or asked for; a clock that was set back makes things young.
    fn age(&self, moment: Moment) -> Duration {
        Duration::try_from_secs_f64(self.now - moment).unwrap_or_default()
    }

    /// Artifacts that nobody has asked for within `ttl`.
    fn old(&self, ttl: Duration) -> Vec<String> {
        let last = |hash: &String, stored: Moment| self.asked.get(hash).map_or(stored, |asked| asked.max(stored));
        let old = self.stored.iter().filter(|(hash, stored)| self.age(last(hash, **stored)) >= ttl);
        old.map(|(hash, _)| hash.clone()).collect()
    }

    /// Old marks of artifacts that are not there.
    fn orphans(&self, ttl: Duration) -> Vec<String> {
        let all =
            self.asked.iter().filter(|(hash, asked)| !self.stored.contains_key(*hash) && self.age(**asked) >= ttl);
        all.map(|(hash, _)| hash.clone()).collect()
    }
}

fn moment(found: &ObjectMeta) -> Moment {
    found.last_modified.timestamp_micros() as f64 / 1e6
}

impl ArtifactStore {
    /// Removes what is older than the store's time to live and not among `used`, which is asked for once the old ones are
    /// known: what becomes used in between has been marked before. Returns how many went.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn collect(&self, used: impl FnOnce() -> HashSet<String>) -> Result<usize, Error> {
        let inventory = self.inventory().await?;
        let old = inventory.old(self.ttl);
        let mut removed = 0;
        if !old.is_empty() {
            let used = used();
            for hash in old.into_iter().filter(|hash| !used.contains(hash)) {
                removed += usize::from(self.remove_unless_asked(&inventory, &hash).await?);
            }
        }
        for hash in inventory.orphans(self.ttl) {
            self.delete(&super::used(&hash)).await?;
        }
        if let Some(folder) = self.folder.clone() {
            let sweep = move || remove_left_behind(&folder, LEFT_BEHIND);
            let swept = tokio::task::spawn_blocking(sweep).await.map_err(io::Error::other).flatten();
            swept.map_err(|e| Error::internal(format!("artifact store: removing what uploads left: {e}")))?;
        }
        Ok(removed)
    }

    /// Another coordinator may have marked it since the inventory; this one reserves nothing meanwhile.
    async fn remove_unless_asked(&self, inventory: &Inventory, hash: &str) -> Result<bool, Error> {
        let _nobody_reserves = self.removing.write().await;
        let asked = self.find(&used(hash)).await?;
        if self.reserved.lately(hash) || asked.is_some_and(|asked| inventory.age(moment(&asked)) < self.ttl) {
            return Ok(false);
        }
        self.delete(&place(hash)).await?;
        self.verified.forget(hash);
        self.reserved.forget(hash);
        self.delete(&used(hash)).await?;
        tracing::info!(hash, "removed an artifact that no function needs");
        Ok(true)
    }

    async fn inventory(&self) -> Result<Inventory, Error> {
        self.put(&clock(), "").await?;
        let (mut inventory, mut all) = (Inventory::default(), self.objects.list(None));
        while let Some(found) = self.bounded(all.try_next()).await?.map_err(|error| self.failed(&error))? {
            inventory.take(&found);
        }
        Ok(inventory)
    }
}

/// Files of uploads whose coordinator has ended in the middle: the store itself does not show them.
fn remove_left_behind(root: &Path, age: Duration) -> io::Result<()> {
    for folder in std::fs::read_dir(root)?.flatten().filter(|folder| folder.path().is_dir()) {
        for file in std::fs::read_dir(folder.path())?.flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            let unfinished = name.split_once('#').is_some_and(|(hash, _)| check_hash(hash).is_ok());
            let old = || file.metadata()?.modified()?.elapsed().map_err(io::Error::other);
            if unfinished && old().is_ok_and(|old| old >= age) {
                std::fs::remove_file(file.path())?;
            }
        }
    }
    Ok(())
}
