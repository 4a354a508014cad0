//! Shared memory regions: a memfd each, used for one command at a time and then reused.
//!
//! What leaves the executor is copied out of a region first: user code may write to one at any time, also after it has
//! answered. So a slow client holds memory of its own, never a region.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fstat, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use udfleet_proto::v1::Slice;

/// The smallest region, bytes.
const MIN_SIZE: usize = 1 << 18;
/// Idle regions of one interpreter hold at most this together, bytes; beyond it they are given back to the system.
const MAX_IDLE: usize = 64 << 20;

/// One region, mapped into this process.
#[derive(Debug)]
pub struct Region {
    number: u32,
    file: OwnedFd,
    start: NonNull<u8>,
    size: usize,
    /// The interpreter has this region's descriptor.
    sent: bool,
    /// Bytes of all regions of the pool.
    total: Arc<AtomicUsize>,
}

// SAFETY: plain memory; the command protocol says who may touch it when.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

fn map(file: BorrowedFd<'_>, size: usize) -> io::Result<NonNull<u8>> {
    // SAFETY: a fresh shared mapping of a memfd that is sealed against shrinking.
    let pointer =
        unsafe { mmap(std::ptr::null_mut(), size, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, file, 0)? };
    NonNull::new(pointer.cast()).ok_or_else(|| io::Error::other("mmap gave a null pointer"))
}

impl Region {
    fn new(number: u32, size: usize, total: &Arc<AtomicUsize>) -> io::Result<Self> {
        let file = memfd_create(c"udfleet-region", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        ftruncate(&file, size as u64)?;
        // User code in the interpreter must not be able to take pages away under our reads, nor to add seals that keep the
        // region from growing or from being mapped again: later calls use it too.
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::SEAL)?;
        let start = map(file.as_fd(), size)?;
        total.fetch_add(size, Ordering::Relaxed);
        Ok(Self { number, file, start, size, sent: false, total: Arc::clone(total) })
    }

    /// The region's number on the wire.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Size in bytes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The descriptor, once: for the first message that names the region.
    pub fn descriptor_to_send(&mut self) -> Option<BorrowedFd<'_>> {
        if std::mem::replace(&mut self.sent, true) { None } else { Some(self.file.as_fd()) }
    }

    /// Makes room for `size` bytes: grows the file and maps it again.
    fn grow(&mut self, size: usize) -> io::Result<()> {
        if size > self.size {
            // User code may have made it larger, and it can't be made smaller.
            if fstat(&self.file)?.st_size < i64::try_from(size).unwrap_or(i64::MAX) {
                ftruncate(&self.file, size as u64)?;
            }
            self.remap(size)?;
        }
        Ok(())
    }

    /// Maps `size` bytes after the interpreter has grown the file.
    pub fn remap(&mut self, size: usize) -> io::Result<()> {
        if size == self.size {
            return Ok(());
        }
        // Reading beyond the file's end would be fatal, and the size is what another process says.
        if fstat(&self.file)?.st_size < i64::try_from(size).unwrap_or(i64::MAX) {
            return Err(io::Error::other(format!("the region is smaller than {size} bytes")));
        }
        let start = map(self.file.as_fd(), size)?;
        self.unmap();
        self.total.fetch_add(size, Ordering::Relaxed);
        (self.start, self.size) = (start, size);
        Ok(())
    }

    fn unmap(&self) {
        self.total.fetch_sub(self.size, Ordering::Relaxed);
        // SAFETY: made by mmap with this size; slices of it borrow the region.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.size) };
    }

    /// Copies bytes in at `offset`; the caller has asked for a region large enough.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> io::Result<()> {
        if offset.checked_add(bytes.len()).is_none_or(|end| end > self.size) {
            return Err(io::Error::other("input does not fit the region"));
        }
        // SAFETY: inside the mapping, which nobody else uses while this region is borrowed mutably.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.start.as_ptr().add(offset), bytes.len()) };
        Ok(())
    }

    /// All of it, after the interpreter has replied.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the whole mapping; the interpreter has answered and does not write any more.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.size) }
    }

    /// The bytes of a slice that the interpreter has named.
    pub fn read(&self, slice: &Slice) -> io::Result<&[u8]> {
        let end = slice.offset.checked_add(slice.length).filter(|end| *end <= self.size as u64);
        if end.is_none() {
            return Err(io::Error::other(format!(
                "the interpreter named bytes outside a region of {} bytes",
                self.size
            )));
        }
        // SAFETY: inside the mapping; the interpreter has answered and does not write any more.
        Ok(unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(slice.offset as usize), slice.length as usize) })
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        self.unmap();
    }
}

#[derive(Debug, Default)]
struct Idle {
    regions: Vec<Region>,
    bytes: usize,
    next: u32,
    /// Regions that the interpreter should close.
    forgotten: Vec<u32>,
}

/// The regions of one interpreter.
#[derive(Debug, Default)]
pub struct RegionPool {
    idle: Mutex<Idle>,
    total: Arc<AtomicUsize>,
}

impl RegionPool {
    /// A region of at least `size` bytes.
    pub fn take(&self, size: usize) -> io::Result<Region> {
        let mut region = {
            let mut idle = self.idle.lock();
            // The last one returned is the warmest in the caches.
            match idle.regions.pop() {
                Some(region) => {
                    idle.bytes -= region.size;
                    region
                }
                None => {
                    let number = idle.next;
                    idle.next += 1;
                    drop(idle);
                    return Region::new(number, size.next_power_of_two().max(MIN_SIZE), &self.total);
                }
            }
        };
        region.grow(size.next_power_of_two())?;
        Ok(region)
    }

    /// Bytes of the regions that are idle or in use; those given up are not counted.
    pub fn bytes(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    /// Takes a region back for later use.
    pub fn give_back(&self, region: Region) {
        let mut idle = self.idle.lock();
        if idle.bytes + region.size > MAX_IDLE {
            idle.forgotten.push(region.number);
        } else {
            idle.bytes += region.size;
            idle.regions.push(region);
        }
    }

    /// Gives up a region that Python still refers to.
    pub fn abandon(&self, region: Region) {
        self.idle.lock().forgotten.push(region.number);
    }

    /// Regions given up since the last call.
    pub fn take_forgotten(&self) -> Vec<u32> {
        std::mem::take(&mut self.idle.lock().forgotten)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_come_back() {
        let pool = RegionPool::default();
        let mut region = pool.take(100).unwrap();
        region.write(10, b"hello").unwrap();
        assert_eq!(region.read(&Slice { offset: 10, length: 5 }).unwrap(), b"hello");
        let number = region.number();
        assert_ne!(pool.take(100).unwrap().number(), number, "in use");
        pool.give_back(region);
        assert_eq!(pool.take(1 << 20).unwrap().number(), number);
    }

    #[test]
    fn idle_memory_is_bounded_and_retained_regions_are_given_up() {
        let pool = RegionPool::default();
        let large = pool.take(MAX_IDLE + 1).unwrap();
        let (small, kept) = (pool.take(1).unwrap(), pool.take(1).unwrap());
        let numbers = [large.number(), small.number()];
        pool.give_back(large);
        pool.abandon(small);
        pool.give_back(kept);
        assert_eq!(pool.take_forgotten(), numbers);
        assert_eq!(pool.bytes(), MIN_SIZE);
        assert_eq!(pool.take_forgotten(), Vec::<u32>::new());
    }

    #[test]
    fn slices_outside_are_refused() {
        let mut region = RegionPool::default().take(1).unwrap();
        assert!(region.read(&Slice { offset: MIN_SIZE as u64, length: 1 }).is_err());
        assert!(region.read(&Slice { offset: u64::MAX, length: 2 }).is_err());
        assert!(region.write(MIN_SIZE - 1, b"ab").is_err());
    }

    #[test]
    fn files_can_grow_but_not_shrink() {
        let pool = RegionPool::default();
        let mut region = pool.take(1).unwrap();
        assert!(ftruncate(&region.file, 1).is_err());
        assert!(region.remap(2 * MIN_SIZE).is_err(), "beyond the file");
        region.grow(2 * MIN_SIZE).unwrap();
        region.write(2 * MIN_SIZE - 1, b"x").unwrap();
        assert_eq!(pool.bytes(), 2 * MIN_SIZE);
        drop(region);
        assert_eq!(pool.bytes(), 0);
    }
}
