//! Opens the redb file: makes it whole or not at all, and refuses one that is damaged.

use std::any::Any;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use redb::{Database, DatabaseError};
use udfleet_edge::private::restrict_file;

use super::super::StoreError;
use super::tables::{self, Found};

/// redb's page cache: metadata is small.
const CACHE_BYTES: usize = 8 << 20;

/// Opens the file, or makes it where there is none.
pub(super) fn open(path: &Path) -> Result<(Database, Found), StoreError> {
    match path.metadata() {
        Ok(found) if found.len() == 0 => return Err(damaged(path, "it is empty")),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => create(path)?,
        Err(error) => return Err(StoreError::Failed(format!("{}: {error}", path.display()))),
    }
    // An earlier version left it readable to everybody.
    if let Err(error) = restrict_file(path) {
        tracing::warn!(file = %path.display(), %error, "the metadata store is readable to other users");
    }
    // redb panics over some kinds of damage.
    catch_unwind(AssertUnwindSafe(|| checked(path))).unwrap_or_else(|panic| Err(damaged(path, said(&*panic))))
}

fn checked(path: &Path) -> Result<(Database, Found), StoreError> {
    let mut database = Database::builder().set_cache_size(CACHE_BYTES).open(path).map_err(|e| refused(path, e))?;
    if !database.check_integrity().map_err(|e| refused(path, e))? {
        tracing::warn!(file = %path.display(), "the metadata store was repaired: its last commit may be missing");
    }
    let found = tables::prepare(&database)?;
    // Reads every page: damage shall show now, not in the middle of a call.
    tables::list(&database, "")?;
    Ok((database, found))
}

/// Made beside its place, so that a crash leaves a whole file or none.
fn create(path: &Path) -> Result<(), StoreError> {
    let failed = |e: std::io::Error| StoreError::Failed(format!("{} can't be made: {e}", path.display()));
    let new = path.with_extension("new");
    if new.exists() {
        std::fs::remove_file(&new).map_err(failed)?;
    }
    let database = Database::builder().create(&new).map_err(|e| refused(&new, e))?;
    tables::prepare(&database)?;
    drop(database);
    std::fs::rename(&new, path).map_err(failed)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

fn refused(path: &Path, error: DatabaseError) -> StoreError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => {
            StoreError::Failed(format!("{} is in use by another coordinator", path.display()))
        }
        DatabaseError::Storage(redb::StorageError::Io(error)) if error.kind() != std::io::ErrorKind::InvalidData => {
            StoreError::Failed(format!("{}: {error}", path.display()))
        }
        error => damaged(path, &error.to_string()),
    }
}

fn damaged(path: &Path, why: &str) -> StoreError {
    let path = path.display();
    StoreError::Failed(format!(
        "{path} is damaged ({why}). Stop the coordinator and put a copy of the file from a backup in its place; without \
         one, move the file away: the fleet then starts empty and functions have to be registered again"
    ))
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it can't be read")
}

#[cfg(test)]
mod tests {
    use super::super::super::Write;
    use super::*;

    #[test]
    fn an_empty_file_is_no_new_store() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("meta.redb");
        File::create(&path).unwrap();
        assert!(matches!(open(&path), Err(StoreError::Failed(why)) if why.contains("empty")));
        assert_eq!(path.metadata().unwrap().len(), 0, "it is left as it was");
    }

    /// Whatever is damaged: the store opens with all that was in it, or says that it is damaged. It never panics, and
    /// never opens with less.
    #[test]
    fn damage_is_refused_or_does_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("meta.redb");
        let (database, _) = open(&path).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::mode(&path.metadata().unwrap()) & 0o777, 0o600);
        for number in 0..200 {
            let write = Write::put(format!("functions/f{number}/1"), vec![7; 300]);
            tables::transact(&database, &[], vec![write]).unwrap();
        }
        let whole = tables::list(&database, "").unwrap();
        drop(database);
        let good = std::fs::read(&path).unwrap();
        let mut refused = 0;
        for step in 0..66 {
            let mut bad = good.clone();
            let at = step * good.len() / 66;
            match step % 3 {
                0 => bad.truncate(at),
                1 => bad[at..(at + 64).min(good.len())].fill(0xff),
                _ => bad[at..(at + 4096).min(good.len())].fill(0),
            }
            std::fs::write(&path, &bad).unwrap();
            match open(&path) {
                Ok((database, _)) => assert_eq!(tables::list(&database, "").unwrap(), whole, "step {step}"),
                Err(StoreError::Failed(_)) => refused += 1,
                Err(other) => panic!("step {step}: {other}"),
            }
        }
        assert!(refused > 20, "only {refused}");
    }
}
