//! The audit log of a coordinator: who has changed what, in files that show when they were changed.
//!
//! One line of JSON for each event. Its last field is the SHA-256 of all that comes before, and among that is the hash of
//! the line before: a line can't be changed, left out or put in without changing all that follow. `udfleet audit verify`
//! checks it.

mod chain;
mod denials;
mod event;
mod file;

use std::path::Path;

use tokio::sync::mpsc;

pub use denials::AuditedDenials;
pub use event::{AuditDecision, AuditEvent};
use file::AuditFile;

/// Events on their way to the disk.
const QUEUE: usize = 4096;

/// The log. Cloned freely; events are written by a thread of their own, in order.
#[derive(Debug, Clone)]
pub struct AuditLog(mpsc::Sender<AuditEvent>);

impl AuditLog {
    /// Opens the log in this folder, and goes on where it ends.
    ///
    /// # Errors
    /// When the folder can't be used, or the last file of the log can't be read.
    pub fn open(folder: &Path) -> std::io::Result<Self> {
        let mut file = AuditFile::open(folder)?;
        let (sender, mut events) = mpsc::channel(QUEUE);
        std::thread::Builder::new().name("audit".to_owned()).spawn(move || {
            let mut batch = Vec::new();
            while events.blocking_recv_many(&mut batch, QUEUE) > 0 {
                if let Err(error) = file.append(&batch) {
                    let lost = batch.len();
                    tracing::error!(%error, lost, "events can't be written into the audit log");
                }
                batch.clear();
            }
        })?;
        Ok(Self(sender))
    }

    /// Notes an event if that is possible at once; false where it is not.
    #[must_use]
    pub fn try_note(&self, event: AuditEvent) -> bool {
        self.0.try_send(event).is_ok()
    }

    /// Notes an event. Waits only while the disk is far behind.
    pub async fn note(&self, event: AuditEvent) {
        // Fails only where the thread has ended, with the process.
        let _ = self.0.send(event).await;
    }
}
