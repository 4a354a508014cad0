//! The certificates of a process, as they stand in its files now.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use udfleet_proto::error::Error;

use super::certificate::CertificateSummary;
use super::material::{FileContents, Material};
use super::{TlsFiles, TlsSettings};
use crate::identity::Identity;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long before its end a certificate is warned about ...
const WARN_BEFORE: Duration = Duration::from_secs(14 * 24 * 3600);
/// ... and how often.
const WARN_EVERY: Duration = Duration::from_secs(12 * 3600);

/// What a process shows and trusts. Connections take what is current when they begin, and keep it.
#[derive(Debug)]
pub struct Credentials {
    files: TlsFiles,
    pub(super) settings: Option<TlsSettings>,
    current: ArcSwap<Material>,
    contents: ArcSwap<FileContents>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    reloads: AtomicU64,
    failed_reloads: AtomicU64,
    failed_handshakes: AtomicU64,
}

/// Numbers for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsNumbers {
    /// When the certificate ends, in seconds since 1970.
    pub not_after: u64,
    /// How often changed files were taken.
    pub reloads: u64,
    /// How often changed files could not be used.
    pub failed_reloads: u64,
    /// Connections that ended in their handshakes.
    pub failed_handshakes: u64,
}

impl Credentials {
    /// Those of a node, which serves and calls.
    ///
    /// # Errors
    /// `INVALID_CONFIG` naming the file that can't be used.
    pub fn of_node(settings: TlsSettings) -> Result<Arc<Self>, Error> {
        let files = settings.files.clone();
        let credentials = Self::open(files, Some(settings))?;
        credentials.warn_of_expiry(SystemTime::now());
        Ok(Arc::new(credentials))
    }

    /// Those of a client.
    ///
    /// # Errors
    /// As [`Credentials::of_node`].
    pub fn of_client(files: TlsFiles) -> Result<Arc<Self>, Error> {
        Self::open(files, None).map(Arc::new)
    }

    fn open(files: TlsFiles, settings: Option<TlsSettings>) -> Result<Self, Error> {
        let contents = FileContents::read(&files)?;
        let material = Material::of(&contents, &files, settings.as_ref().map(|settings| settings.client_auth))?;
        let (current, contents) = (ArcSwap::from_pointee(material), ArcSwap::from_pointee(contents));
        Ok(Self { files, settings, current, contents, counts: Counts::default() })
    }

    pub(super) fn current(&self) -> Arc<Material> {
        self.current.load_full()
    }

    pub(super) fn handshake_failed(&self) {
        self.counts.failed_handshakes.fetch_add(1, Ordering::Relaxed);
    }

    /// The certificate that is shown now.
    #[must_use]
    pub fn certificate(&self) -> Option<CertificateSummary> {
        self.current.load().own.as_ref().map(|own| own.summary.clone())
    }

    /// The identity in it.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        self.certificate()?.uris.iter().find_map(|uri| uri.parse().ok())
    }

    /// Numbers for metrics.
    #[must_use]
    pub fn numbers(&self) -> TlsNumbers {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        TlsNumbers {
            not_after: self.current.load().own.as_ref().map_or(0, |own| own.summary.not_after_seconds()),
            reloads: count(&self.counts.reloads),
            failed_reloads: count(&self.counts.failed_reloads),
            failed_handshakes: count(&self.counts.failed_handshakes),
        }
    }

    /// Takes files that have changed, for ever. What can't be used is told, and what was in force stays so.
    pub async fn watch(self: Arc<Self>) {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut seen, mut warned) = (None, SystemTime::now());
        loop {
            looks.tick().await;
            let this = Arc::clone(&self);
            let before = seen.take();
            // Files may lie on a disk that hangs.
            let look = tokio::task::spawn_blocking(move || this.look(before));
            seen = look.await.unwrap_or_default();
            let now = SystemTime::now();
            if now.duration_since(warned).is_ok_and(|since| since >= WARN_EVERY) {
                warned = now;
                self.warn_of_expiry(now);
            }
        }
    }

    /// Looks at the files once; returns what was found and could not be used. Certificate and key are replaced one after
    /// the other: what does not fit is complained of only if it is still there at the next look.
    fn look(&self, before: Option<Unusable>) -> Option<Unusable> {
        let found = FileContents::read(&self.files);
        if found.as_ref().is_ok_and(|contents| *contents == **self.contents.load()) {
            return None;
        }
        let auth = self.settings.as_ref().map(|settings| settings.client_auth);
        let outcome = match &found {
            Ok(contents) => Material::of(contents, &self.files, auth),
            Err(error) => Err(error.clone()),
        };
        match outcome {
            Ok(material) => {
                self.current.store(Arc::new(material));
                self.contents.store(Arc::new(found.ok()?));
                self.counts.reloads.fetch_add(1, Ordering::Relaxed);
                let not_after = self.numbers().not_after;
                tracing::info!(not_after, "TLS certificates have changed: new connections use the new ones");
                self.warn_of_expiry(SystemTime::now());
                None
            }
            Err(error) => {
                let found = found.map_err(|error| error.to_string());
                let before = before.filter(|before| before.found == found);
                if before.as_ref().is_some_and(|before| !before.told) {
                    self.counts.failed_reloads.fetch_add(1, Ordering::Relaxed);
                    tracing::error!("changed TLS files can't be used, the former ones stay in force: {error}");
                }
                Some(Unusable { found, told: before.is_some() })
            }
        }
    }

    fn warn_of_expiry(&self, now: SystemTime) {
        let Some(certificate) = self.certificate() else { return };
        let subject = &certificate.subject;
        match certificate.not_after.duration_since(now) {
            Ok(left) if left > WARN_BEFORE => {}
            Ok(left) => {
                let hours = left.as_secs() / 3600;
                tracing::warn!(
                    subject,
                    "the TLS certificate ends in {hours} hours: replace its files, no restart is needed"
                );
            }
            Err(_) => tracing::error!(subject, "the TLS certificate has expired: peers refuse it; replace its files"),
        }
    }
}

/// Files that could not be used.
#[derive(Debug)]
struct Unusable {
    /// What the files hold, or why they can't be read.
    found: Result<FileContents, String>,
    /// It has been complained of.
    told: bool,
}
