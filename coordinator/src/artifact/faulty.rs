//! An object store that fails, or waits, as tests tell it to.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt as _};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

/// How the store behaves.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Every call fails as if the network were cut.
    pub away: AtomicBool,
    /// No call ends.
    pub hangs: AtomicBool,
    /// Parts that are still taken; then the disk is full.
    pub parts: AtomicUsize,
    /// Uploads that were given up.
    pub aborted: AtomicUsize,
}

impl Faults {
    async fn pass(&self) -> Result<()> {
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.away.load(Ordering::SeqCst) {
            let source = std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into();
            return Err(Error::Generic { store: "faulty", source });
        }
        Ok(())
    }
}

/// Objects in memory, with faults.
#[derive(Debug)]
pub(super) struct FaultyStore {
    pub objects: Arc<InMemory>,
    pub faults: Arc<Faults>,
}

impl FaultyStore {
    /// Nothing fails yet.
    pub fn new(objects: Arc<InMemory>) -> Self {
        let faults = Faults { parts: AtomicUsize::new(usize::MAX), ..Faults::default() };
        Self { objects, faults: Arc::new(faults) }
    }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty")
    }
}

#[derive(Debug)]
struct FaultyUpload {
    parts: Box<dyn MultipartUpload>,
    faults: Arc<Faults>,
}

#[async_trait::async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (faults, part) = (Arc::clone(&self.faults), self.parts.put_part(data));
        Box::pin(async move {
            faults.pass().await?;
            let left = faults.parts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            if left.is_err() {
                let source = std::io::Error::from(std::io::ErrorKind::StorageFull).into();
                return Err(Error::Generic { store: "faulty", source });
            }
            part.await
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.faults.pass().await?;
        self.parts.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        self.faults.aborted.fetch_add(1, Ordering::SeqCst);
        self.parts.abort().await
    }
}

#[async_trait::async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.faults.pass().await?;
        self.objects.put_opts(at, payload, options).await
    }

    async fn put_multipart_opts(&self, at: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.faults.pass().await?;
        let parts = self.objects.put_multipart_opts(at, options).await?;
        Ok(Box::new(FaultyUpload { parts, faults: Arc::clone(&self.faults) }))
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        self.faults.pass().await?;
        self.objects.get_opts(at, options).await
    }

    async fn get_ranges(&self, at: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.faults.pass().await?;
        self.objects.get_ranges(at, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (faults, deleted) = (Arc::clone(&self.faults), self.objects.delete_stream(locations));
        deleted.then(move |result| pass_on(Arc::clone(&faults), result)).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (faults, all) = (Arc::clone(&self.faults), self.objects.list(prefix));
        all.then(move |result| pass_on(Arc::clone(&faults), result)).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.faults.pass().await?;
        self.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.faults.pass().await?;
        self.objects.copy_opts(from, to, options).await
    }
}

async fn pass_on<T>(faults: Arc<Faults>, result: Result<T>) -> Result<T> {
    faults.pass().await?;
    result
}
