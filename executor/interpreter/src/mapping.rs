//! Mappings of shared memory.

use std::fs::File;
use std::io;
use std::ptr::NonNull;
use std::sync::Arc;

use arrow_buffer::Buffer;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use udfleet_proto::v1::Slice;

/// One mapping of a region's file. Arrow buffers of the input keep it alive, so that a Python object which outlives its
/// batch still reads valid memory.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u8>,
    size: usize,
}

// SAFETY: the mapping is plain memory; who may write where is settled by the command protocol.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

/// Who sees what is written to a mapping.
#[derive(Clone, Copy)]
pub enum Sharing {
    /// The executor too.
    Shared,
    /// This process alone.
    Private,
}

impl Mapping {
    pub fn new(file: &File, size: usize, sharing: Sharing) -> io::Result<Arc<Self>> {
        let flags = match sharing {
            Sharing::Shared => MapFlags::SHARED,
            Sharing::Private => MapFlags::PRIVATE,
        };
        // SAFETY: a fresh mapping of a file that can't shrink (the executor seals it).
        let pointer = unsafe { mmap(std::ptr::null_mut(), size, ProtFlags::READ | ProtFlags::WRITE, flags, file, 0)? };
        let start = NonNull::new(pointer.cast()).ok_or_else(|| io::Error::other("mmap gave a null pointer"))?;
        Ok(Arc::new(Self { start, size }))
    }

    /// Its first byte.
    pub fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Bytes.
    pub fn size(&self) -> usize {
        self.size
    }

    fn check(&self, offset: u64, length: u64) -> io::Result<(usize, usize)> {
        let end = offset.checked_add(length).filter(|end| *end <= self.size as u64);
        end.map(|_| (offset as usize, length as usize)).ok_or_else(|| {
            io::Error::other(format!("slice {offset}+{length} lies outside a region of {} bytes", self.size))
        })
    }

    /// The bytes of a slice.
    pub fn bytes(&self, slice: &Slice) -> io::Result<&[u8]> {
        let (offset, length) = self.check(slice.offset, slice.length)?;
        // SAFETY: inside the mapping, and the executor does not write while the command runs.
        Ok(unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(offset), length) })
    }

    /// The bytes of a slice as an Arrow buffer that keeps the mapping alive.
    pub fn buffer(self: &Arc<Self>, slice: &Slice) -> io::Result<Buffer> {
        let (offset, length) = self.check(slice.offset, slice.length)?;
        // SAFETY: inside the mapping, which the buffer's owner keeps alive.
        unsafe {
            let start = self.start.add(offset);
            Ok(Buffer::from_custom_allocation(start, length, Arc::clone(self) as _))
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: made by mmap with this size; nothing refers to it any more.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.size) };
    }
}
