//! Shared memory, as the interpreter sees it: the input of the executor first, then our output.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use crate::mapping::{Mapping, Sharing};
use crate::private::{PrivateMapping, WritableInput};

struct Region {
    file: Rc<File>,
    mapping: Arc<Mapping>,
    private: Rc<PrivateMapping>,
    /// Smaller ones of the same file, to which Python objects may still refer.
    former: Vec<Weak<Mapping>>,
}

impl Region {
    fn map_anew(&mut self, size: usize) -> io::Result<()> {
        let former = std::mem::replace(&mut self.mapping, Mapping::new(&self.file, size, Sharing::Shared)?);
        self.former.retain(|mapping| mapping.strong_count() > 0);
        self.former.push(Arc::downgrade(&former));
        Ok(())
    }

    fn retained(&self) -> bool {
        Arc::strong_count(&self.mapping) > 1
            || self.private.retained()
            || self.former.iter().any(|mapping| mapping.strong_count() > 0)
    }
}

/// The regions that the executor has sent, by number.
#[derive(Default)]
pub struct Regions {
    held: HashMap<u32, Region>,
}

impl Regions {
    /// The mapping for a command; maps again when the file has grown.
    pub fn open(&mut self, number: u32, size: u64, file: Option<File>) -> io::Result<Arc<Mapping>> {
        if let Some(file) = file {
            let mapping = Mapping::new(&file, size as usize, Sharing::Shared)?;
            let file = Rc::new(file);
            let private = Rc::new(PrivateMapping::new(Rc::clone(&file)));
            self.held.insert(number, Region { file, mapping, private, former: Vec::new() });
        }
        let region = self.held.get_mut(&number).ok_or_else(|| io::Error::other(format!("no region {number}")))?;
        if region.mapping.size() < size as usize {
            region.map_anew(size as usize)?;
        }
        Ok(Arc::clone(&region.mapping))
    }

    /// What user code may write to of the input in `mapping`, which `open` gave.
    pub fn writable(&self, number: u32, mapping: &Mapping) -> Option<WritableInput> {
        self.held.get(&number).map(|region| WritableInput::of(mapping, Rc::clone(&region.private)))
    }

    /// A command has ended: the region is used for the next, unless it is retained. True where it is.
    pub fn end_command(&mut self, number: u32) -> bool {
        let Some(region) = self.held.get(&number) else { return false };
        let retained = region.retained();
        if !retained {
            region.private.reset();
        }
        retained
    }

    /// Forgets a region.
    pub fn close(&mut self, number: u32) {
        self.held.remove(&number);
    }

    /// The region's size in bytes.
    pub fn size(&self, number: u32) -> u64 {
        self.held.get(&number).map_or(0, |region| region.mapping.size() as u64)
    }

    /// Writes `parts` one behind the other from `offset` (bytes), growing the file where needed.
    pub fn write(&mut self, number: u32, offset: u64, parts: &[&[u8]]) -> io::Result<()> {
        let region = self.held.get_mut(&number).ok_or_else(|| io::Error::other(format!("no region {number}")))?;
        let end = offset as usize + parts.iter().map(|part| part.len()).sum::<usize>();
        if end > region.mapping.size() {
            let size = end.next_power_of_two();
            rustix::fs::ftruncate(&region.file, size as u64)?;
            region.map_anew(size)?;
        }
        let mut at = offset as usize;
        for part in parts {
            // SAFETY: inside the mapping as just made sure; output lies behind the input, so nothing overlaps.
            unsafe {
                std::ptr::copy_nonoverlapping(part.as_ptr(), region.mapping.start().as_ptr().add(at), part.len())
            };
            at += part.len();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

    use udfleet_proto::v1::Slice;

    use super::*;

    #[test]
    fn memory_that_is_referred_to_stays_retained_when_its_region_grows() {
        let file = File::from(memfd_create(c"test", MemfdFlags::CLOEXEC).unwrap());
        ftruncate(&file, 4096).unwrap();
        let mut regions = Regions::default();
        let kept = regions.open(1, 4096, Some(file)).unwrap().buffer(&Slice { offset: 0, length: 8 }).unwrap();
        regions.write(1, 4096, &[&[7; 4096]]).unwrap();
        assert_eq!(regions.size(1), 8192);
        assert!(regions.end_command(1));
        drop(kept);
        assert!(!regions.end_command(1));
    }
}
