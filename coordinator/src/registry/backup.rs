//! Reads everything that is registered, for a backup, and puts it back.

use std::collections::BTreeSet;
use std::sync::Arc;

use prost::Message as _;
use udfleet_proto::error::Error;
use udfleet_proto::v1::{ErrorCode, FunctionDefinition};

use super::entries::{REGISTERING, VERSIONS, counted, counter_key, decode, function_key, parse};
use super::{Function, RACES, Registry};
use crate::store::{Condition, UnansweredWrites, Write};

/// What a backup has to hold, besides artifacts.
pub struct ExportedRegistry {
    /// Registered for good, by name, oldest first.
    pub functions: Vec<Arc<Function>>,
    /// The last version number of each name that was ever given one: numbers are not used twice.
    pub counters: Vec<(String, u32)>,
}

impl Registry {
    /// Everything whose registration has ended, and that can be read.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn export(&self) -> Result<ExportedRegistry, Error> {
        // First: what ends its registration after this look is in the next backup.
        let under_way = self.store.list(REGISTERING).await?.entries;
        let under_way: BTreeSet<(&str, u32)> = under_way.iter().filter_map(|e| parse(&e.key, REGISTERING)).collect();
        let ended = |f: &&Arc<Function>| !under_way.contains(&(f.definition.name.as_str(), f.definition.version));
        let catalog = self.catalog();
        let readable = catalog.iter().filter(|function| function.unreadable.is_none());
        let functions = readable.filter(ended).cloned().collect();
        let mut counters = Vec::new();
        for entry in self.store.list(VERSIONS).await?.entries {
            let last = counted(Some(&entry))?;
            counters.extend(entry.key.strip_prefix(VERSIONS).map(|name| (name.to_owned(), last)));
        }
        Ok(ExportedRegistry { functions, counters })
    }

    /// Stores a definition under the version that it has; true where it is registered already. With `check_only`
    /// nothing is stored.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] where another definition has this version; when the store fails.
    pub async fn import(&self, definition: FunctionDefinition, check_only: bool) -> Result<bool, Error> {
        let _one = self.changes.lock().await;
        let function = Arc::new(Function::new(definition));
        let FunctionDefinition { name, version, .. } = &function.definition;
        let (counter, key) = (counter_key(name), function_key(name, *version));
        let mut unanswered = UnansweredWrites::default();
        for _ in 0..RACES {
            let held = self.store.get(&counter).await?;
            if let Some(stored) = self.store.get(&key).await?.and_then(|entry| decode(&entry)) {
                // Stored by this call, where that was not answered.
                self.catalog.store(Arc::new(self.catalog().with(Arc::new(stored.clone()))));
                return same(&stored, &function).map(|()| !unanswered.any());
            }
            if check_only {
                return Ok(false);
            }
            let last = counted(held.as_ref())?.max(*version);
            let conditions =
                [Condition::unchanged(&counter, held.map(|entry| entry.revision)), Condition::absent(&key)];
            let writes =
                vec![Write::put(&counter, last.to_string()), Write::put(&key, function.definition.encode_to_vec())];
            if unanswered.again(self.store.transact(&conditions, writes).await)?.is_some() {
                self.catalog.store(Arc::new(self.catalog().with(Arc::clone(&function))));
                return Ok(false);
            }
        }
        Err(contended(name))
    }

    /// Version numbers of this name go on after `last`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn import_counter(&self, name: &str, last: u32) -> Result<(), Error> {
        let _one = self.changes.lock().await;
        let counter = counter_key(name);
        let mut unanswered = UnansweredWrites::default();
        for _ in 0..RACES {
            let held = self.store.get(&counter).await?;
            if counted(held.as_ref())? >= last {
                return Ok(());
            }
            let unchanged = [Condition::unchanged(&counter, held.map(|entry| entry.revision))];
            let written = self.store.transact(&unchanged, vec![Write::put(&counter, last.to_string())]).await;
            if unanswered.again(written)?.is_some() {
                return Ok(());
            }
        }
        Err(contended(name))
    }
}

fn same(stored: &Function, restored: &Function) -> Result<(), Error> {
    if stored.same_as(&restored.definition) {
        return Ok(());
    }
    let message = format!("{} is registered with another definition: a restore overwrites nothing", stored.name);
    Err(Error::new(ErrorCode::InvalidInput, message)
        .function(stored.name.as_str())
        .hint("drop it, or restore into a fleet without it"))
}

fn contended(name: &str) -> Error {
    Error::new(ErrorCode::NoCapacity, format!("{name}: too many changes at once")).hint("try again")
}
