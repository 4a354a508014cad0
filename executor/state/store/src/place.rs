//! Where a partition's state lies.

use std::path::Path;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;

use crate::StoreError;

/// Where a partition's state lies: a folder of an object store that nothing else uses.
#[derive(Clone, Debug)]
pub struct StatePlace {
    /// The object store.
    pub objects: Arc<dyn ObjectStore>,
    /// The folder.
    pub folder: ObjectPath,
}

impl StatePlace {
    /// The place as text, for errors.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.objects, self.folder)
    }
}

/// An object store in a folder of this machine, which is created where it is missing. Each file is synced before it counts as
/// written: without that, a machine that stops abruptly leaves files of zeros, and such a database never opens again.
///
/// Its folder has to be on a local file system: fencing stands on hard links that are atomic.
///
/// # Errors
/// Where the folder can't be made or used.
pub fn local_object_store(folder: &Path) -> Result<Arc<dyn ObjectStore>, StoreError> {
    let place = folder.display().to_string();
    let unreachable = |error| StoreError::Unreachable { place: place.clone(), source: Box::new(error) };
    std::fs::create_dir_all(folder).map_err(unreachable)?;
    let store = LocalFileSystem::new_with_prefix(folder).map_err(|error| StoreError::of_objects(&place, error))?;
    // Folders that have become empty go too: a stream that is dropped leaves none.
    Ok(Arc::new(store.with_fsync(true).with_automatic_cleanup(true)))
}
