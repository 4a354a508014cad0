//! Which coordinator owns a registration that is under way.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// One run of one coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The same for every run over one data folder.
    pub coordinator: String,
    /// Differs for each start of the process.
    pub incarnation: String,
}

impl Owner {
    /// This process, as the coordinator of this data folder. Its id is made with the folder and kept there.
    ///
    /// # Errors
    /// When the folder can't be read or written.
    pub async fn of_folder(data: &Path) -> io::Result<Self> {
        let file = data.join("coordinator-id");
        let coordinator = match tokio::fs::read_to_string(&file).await {
            Ok(id) if !id.trim().is_empty() => id.trim().to_owned(),
            // Left empty by a full disk or a crash: no registration names it yet.
            Ok(_) => make(&file).await?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(&file).await?,
            Err(error) => return Err(error),
        };
        Ok(Self { coordinator, incarnation: random() })
    }

    /// True where this process takes over what `other` has left: it was an earlier run of the same coordinator.
    #[must_use]
    pub fn succeeds(&self, other: &Self) -> bool {
        self.coordinator == other.coordinator && self.incarnation != other.incarnation
    }
}

async fn make(file: &Path) -> io::Result<String> {
    let id = random();
    tokio::fs::write(file, &id).await?;
    Ok(id)
}

fn random() -> String {
    hex::encode(rand::random::<[u8; 16]>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_is_one_coordinator() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let first = Owner::of_folder(one.path()).await.unwrap();
        let again = Owner::of_folder(one.path()).await.unwrap();
        let stranger = Owner::of_folder(other.path()).await.unwrap();
        assert!(again.succeeds(&first) && !first.succeeds(&first) && !again.succeeds(&stranger));
        std::fs::write(one.path().join("coordinator-id"), "").unwrap();
        assert!(!Owner::of_folder(one.path()).await.unwrap().coordinator.is_empty());
    }
}
