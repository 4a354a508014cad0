//! Input that user code may write to: a second, private mapping of a region. It costs nothing until something is
//! written; then the kernel copies that page for this process. So neither the executor's bytes, from which a retry is
//! made, nor other arguments of the same column change.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use rustix::mm::{Advice, madvise};

use crate::mapping::{Mapping, Sharing};

/// The private mapping of one region, made when it is first wanted.
pub struct PrivateMapping {
    file: Rc<File>,
    mapping: RefCell<Option<Arc<Mapping>>>,
    /// What was given to user code since the last reset, from the region's start.
    given: RefCell<Vec<Range<usize>>>,
}

impl PrivateMapping {
    pub fn new(file: Rc<File>) -> Self {
        Self { file, mapping: RefCell::default(), given: RefCell::default() }
    }

    fn mapping(&self, size: usize) -> io::Result<Arc<Mapping>> {
        let mut held = self.mapping.borrow_mut();
        if let Some(mapping) = held.as_ref().filter(|mapping| mapping.size() >= size) {
            return Ok(Arc::clone(mapping));
        }
        Ok(Arc::clone(held.insert(Mapping::new(&self.file, size, Sharing::Private)?)))
    }

    /// True where an object of user code refers to it.
    pub fn retained(&self) -> bool {
        self.mapping.borrow().as_ref().is_some_and(|mapping| Arc::strong_count(mapping) > 1)
    }

    /// Takes back what was written, so that the next input shows. Only where nothing refers to it any more.
    pub fn reset(&self) {
        let given = self.given.take();
        let held = self.mapping.borrow();
        let Some(mapping) = held.as_ref() else { return };
        for range in given {
            written(mapping.start().as_ptr() as usize, &range, |start, length| {
                // SAFETY: pages of the mapping, which no array refers to any more; they are read anew from the file.
                let _ = unsafe { madvise(start as *mut _, length, Advice::LinuxDontNeed) };
            });
        }
    }
}

/// What of one command's input user code may write to.
pub struct WritableInput {
    /// Where the command's input is mapped for everybody.
    start: usize,
    size: usize,
    private: Rc<PrivateMapping>,
}

impl WritableInput {
    /// Of a command, by the mapping that its columns lie in.
    pub fn of(mapping: &Mapping, private: Rc<PrivateMapping>) -> Self {
        Self { start: mapping.start().as_ptr() as usize, size: mapping.size(), private }
    }

    /// The same bytes in private memory. `None` where they do not lie in this command's input, or were given before: then
    /// only a copy keeps writes apart.
    pub fn claim(&self, start: usize, length: usize) -> Option<(NonNull<u8>, Arc<Mapping>)> {
        let offset = start.checked_sub(self.start)?;
        let range = offset..offset.checked_add(length).filter(|end| length > 0 && *end <= self.size)?;
        let mut given = self.private.given.borrow_mut();
        if given.iter().any(|earlier| earlier.start < range.end && range.start < earlier.end) {
            return None;
        }
        let mapping = self.private.mapping(self.size).ok()?;
        given.push(range);
        // SAFETY: inside the mapping, which is as large as the region.
        Some((unsafe { mapping.start().add(offset) }, mapping))
    }
}

/// Bytes of an entry of /proc/self/pagemap.
const ENTRY: usize = 8;
const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
/// Of the file, not of this process alone.
const OF_FILE: u64 = 1 << 61;

/// Calls with the runs of pages that this process has written in a range of a private mapping.
fn written(start: usize, range: &Range<usize>, mut found: impl FnMut(usize, usize)) {
    let page = page_size();
    let first = (start + range.start) / page;
    let last = (start + range.end).div_ceil(page);
    let mut entries = vec![0_u8; (last - first) * ENTRY];
    let read = page_map().and_then(|file| {
        let offset = (first * ENTRY) as u64;
        std::os::unix::fs::FileExt::read_exact_at(file, &mut entries, offset).ok()
    });
    if read.is_none() {
        // Without /proc all of it may have been written.
        return found(first * page, (last - first) * page);
    }
    let (entries, _) = entries.as_chunks::<ENTRY>();
    let entries: Vec<u64> = entries.iter().map(|entry| u64::from_le_bytes(*entry)).collect();
    let is_written = |entry: &u64| entry & (PRESENT | SWAPPED) != 0 && entry & OF_FILE == 0;
    let mut at = first;
    for run in entries.chunk_by(|a, b| is_written(a) == is_written(b)) {
        if is_written(&run[0]) {
            found(at * page, run.len() * page);
        }
        at += run.len();
    }
}

fn page_size() -> usize {
    // SAFETY: a question without side effects.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096).max(1)
}

fn page_map() -> Option<&'static File> {
    static PAGE_MAP: OnceLock<Option<File>> = OnceLock::new();
    PAGE_MAP.get_or_init(|| File::open("/proc/self/pagemap").ok()).as_ref()
}
