//! Devices of this node, such as GPUs: what there is, and which group of interpreters holds which. Each is held by one
//! interpreter at a time.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use udfleet_proto::v1::{DeviceList, FunctionDefinition, HeldDevice};

/// The kind that CUDA's libraries are told of.
const GPU: &str = "gpu";
/// Which GPUs CUDA's libraries see.
pub const CUDA_VARIABLE: &str = "CUDA_VISIBLE_DEVICES";

/// Ids of devices by kind.
pub type DeviceIds = BTreeMap<String, Vec<String>>;

/// What this node offers: as many of each kind as it was told of, and the GPUs that it finds where it was told of none.
/// `visible` is what `CUDA_VISIBLE_DEVICES` says; `dev` the folder of device files.
#[must_use]
pub fn offered(told: &BTreeMap<String, u32>, visible: Option<&str>, dev: &Path) -> DeviceIds {
    let found = visible.map_or_else(|| device_files(dev), visible_ids);
    let mut all = DeviceIds::new();
    for (kind, count) in told {
        let numbered = (0..*count).map(|number| number.to_string());
        let ids = if kind == GPU && found.len() >= *count as usize {
            found.iter().take(*count as usize).cloned().collect()
        } else {
            numbered.collect()
        };
        all.insert(kind.clone(), ids);
    }
    all.entry(GPU.to_owned()).or_insert(found);
    all.retain(|_, ids| !ids.is_empty());
    all
}

/// As CUDA reads it: up to the first that is no device.
fn visible_ids(variable: &str) -> Vec<String> {
    let ids = variable.split(',').map(str::trim);
    ids.take_while(|id| !id.is_empty() && *id != "-1").map(str::to_owned).collect()
}

/// The driver makes `/dev/nvidia0` and so on.
fn device_files(dev: &Path) -> Vec<String> {
    let names =
        std::fs::read_dir(dev).into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut numbers: Vec<u32> = names.filter_map(|name| name.strip_prefix("nvidia")?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers.iter().map(u32::to_string).collect()
}

/// What each interpreter of a group has for itself: its functions ask for the same.
#[must_use]
pub fn needs<'f>(mut functions: impl Iterator<Item = &'f FunctionDefinition>) -> BTreeMap<String, u32> {
    functions.next().map(|function| function.resources.clone()).unwrap_or_default()
}

#[derive(Debug, Default)]
struct Holders {
    /// By kind and id: who holds it.
    held: BTreeMap<(String, String), String>,
    /// Groups that wait for devices, with what they need.
    waiting: BTreeMap<String, BTreeMap<String, u32>>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Devices {
    all: DeviceIds,
    holders: Mutex<Holders>,
}

impl Devices {
    /// With these, all free.
    #[must_use]
    pub fn new(all: DeviceIds) -> Self {
        Self { all, holders: Mutex::default() }
    }

    /// As executors tell coordinators.
    #[must_use]
    pub fn list(&self) -> BTreeMap<String, DeviceList> {
        self.all.iter().map(|(kind, ids)| (kind.clone(), DeviceList { devices: ids.clone() })).collect()
    }

    fn free<'d>(&'d self, holders: &'d Holders, kind: &'d str) -> impl Iterator<Item = &'d String> {
        let all = self.all.get(kind).into_iter().flatten();
        all.filter(move |id| !holders.held.contains_key(&(kind.to_owned(), (*id).clone())))
    }

    /// Gives an interpreter of a group what it needs, all or nothing: until the grant is dropped nobody else gets it.
    #[must_use]
    pub fn acquire(self: &Arc<Self>, group: &str, needs: &BTreeMap<String, u32>) -> Option<DeviceGrant> {
        let mut holders = self.holders.lock();
        let mut devices = DeviceIds::new();
        for (kind, count) in needs {
            let ids: Vec<String> = self.free(&holders, kind).take(*count as usize).cloned().collect();
            if ids.len() < *count as usize {
                holders.waiting.insert(group.to_owned(), needs.clone());
                return None;
            }
            devices.insert(kind.clone(), ids);
        }
        holders.waiting.remove(group);
        let ids = devices.iter().flat_map(|(kind, ids)| ids.iter().map(move |id| (kind.clone(), id.clone())));
        let ids: Vec<(String, String)> = ids.collect();
        holders.held.extend(ids.into_iter().map(|device| (device, group.to_owned())));
        drop(holders);
        Some(DeviceGrant { pool: Arc::clone(self), devices })
    }

    /// For how many more interpreters there are devices; `None`: they need none.
    #[must_use]
    pub fn room(&self, needs: &BTreeMap<String, u32>) -> Option<u32> {
        let holders = self.holders.lock();
        let room = |(kind, count): (&String, &u32)| self.free(&holders, kind).count() as u32 / (*count).max(1);
        needs.iter().map(room).min()
    }

    /// A group waits no more.
    pub fn give_up(&self, group: &str) {
        self.holders.lock().waiting.remove(group);
    }

    /// True where another group waits for what this one has: it should keep no more than it must.
    #[must_use]
    pub fn wanted_by_others(&self, group: &str, needs: &BTreeMap<String, u32>) -> bool {
        let holders = self.holders.lock();
        holders.waiting.iter().any(|(other, kinds)| other != group && kinds.keys().any(|kind| needs.contains_key(kind)))
    }

    /// What a group waits for, for people.
    #[must_use]
    pub fn reason(&self, needs: &BTreeMap<String, u32>) -> String {
        let holders = self.holders.lock();
        let part = |(kind, count): (&String, &u32)| {
            let all = self.all.get(kind).map_or(0, Vec::len);
            format!("{count} {kind}: {} of {all} are held", all - self.free(&holders, kind).count())
        };
        format!("waiting for {}", needs.iter().map(part).collect::<Vec<_>>().join(", "))
    }

    /// Who holds what.
    #[must_use]
    pub fn held(&self) -> Vec<HeldDevice> {
        let holders = self.holders.lock();
        let held = |((kind, device), environment): (&(String, String), &String)| HeldDevice {
            kind: kind.clone(),
            device: device.clone(),
            environment: environment.clone(),
        };
        holders.held.iter().map(held).collect()
    }
}

/// Devices that one interpreter has for itself.
#[derive(Debug)]
pub struct DeviceGrant {
    pool: Arc<Devices>,
    devices: DeviceIds,
}

impl DeviceGrant {
    /// Variables that tell it which. One that asked for no GPU sees none where the node has some.
    #[must_use]
    pub fn variables(&self) -> Vec<(String, String)> {
        let name = |kind: &str| {
            let upper = kind.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
            format!("UDFLEET_RESOURCE_{}", upper.collect::<String>())
        };
        let mut variables: Vec<(String, String)> =
            self.devices.iter().map(|(kind, ids)| (name(kind), ids.join(","))).collect();
        if self.pool.all.contains_key(GPU) {
            let ids = self.devices.get(GPU).map(|ids| ids.join(",")).unwrap_or_default();
            variables.push((CUDA_VARIABLE.to_owned(), ids));
        }
        variables
    }
}

impl Drop for DeviceGrant {
    fn drop(&mut self) {
        let mut holders = self.pool.holders.lock();
        for (kind, ids) in &self.devices {
            for id in ids {
                holders.held.remove(&(kind.clone(), id.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(kinds: &[(&str, u32)]) -> BTreeMap<String, u32> {
        kinds.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect()
    }

    #[test]
    fn what_was_told_goes_over_what_is_found() {
        let dev = tempfile::tempdir().unwrap();
        assert!(offered(&told(&[]), None, dev.path()).is_empty());
        for name in ["nvidia1", "nvidia0", "nvidiactl", "nvidia-uvm", "null"] {
            std::fs::write(dev.path().join(name), "").unwrap();
        }
        let gpus = |kinds: &[(&str, u32)], visible| {
            offered(&told(kinds), visible, dev.path()).remove("gpu").unwrap_or_default()
        };
        assert_eq!(gpus(&[], None), ["0", "1"]);
        assert_eq!(gpus(&[], Some("3, GPU-8f1c,-1,5")), ["3", "GPU-8f1c"]);
        assert!(gpus(&[], Some("")).is_empty() && gpus(&[("gpu", 0)], None).is_empty());
        assert_eq!(gpus(&[("gpu", 1)], Some("3,4")), ["3"]);
        assert_eq!(gpus(&[("gpu", 3)], None), ["0", "1", "2"]);
        assert_eq!(
            offered(&told(&[("licence", 2)]), Some(""), dev.path()),
            DeviceIds::from([("licence".to_owned(), vec!["0".to_owned(), "1".to_owned()])])
        );
    }

    #[test]
    fn each_device_is_held_once_and_given_back() {
        let devices =
            Arc::new(Devices::new(offered(&told(&[("gpu", 2), ("fpga-x", 1)]), Some("4,7"), Path::new("/none"))));
        let first = devices.acquire("a", &told(&[("gpu", 1), ("fpga-x", 1)])).unwrap();
        let variables: BTreeMap<String, String> = first.variables().into_iter().collect();
        assert_eq!(variables["CUDA_VISIBLE_DEVICES"], "4");
        assert_eq!(variables["UDFLEET_RESOURCE_GPU"], "4");
        assert_eq!(variables["UDFLEET_RESOURCE_FPGA_X"], "0");
        assert_eq!((devices.room(&told(&[("gpu", 1)])), devices.room(&told(&[]))), (Some(1), None));
        assert!(devices.acquire("b", &told(&[("gpu", 2)])).is_none());
        assert!(
            devices.wanted_by_others("a", &told(&[("gpu", 1)])) && !devices.wanted_by_others("b", &told(&[("gpu", 2)]))
        );
        assert_eq!(devices.reason(&told(&[("gpu", 2)])), "waiting for 2 gpu: 1 of 2 are held");
        let none = devices.acquire("c", &told(&[])).unwrap();
        assert_eq!(none.variables(), [("CUDA_VISIBLE_DEVICES".to_owned(), String::new())]);
        drop(first);
        let both = devices.acquire("b", &told(&[("gpu", 2)])).unwrap();
        assert_eq!(both.variables()[0].1, "4,7");
        assert!(!devices.wanted_by_others("a", &told(&[("gpu", 1)])));
        assert!(devices.held().iter().all(|held| held.environment == "b"));
    }

    proptest! {
        #[test]
        fn never_more_than_there_are(steps in prop::collection::vec((any::<bool>(), 0usize..8, 0u32..3, 0u32..3), 0..60)) {
            let devices = Arc::new(Devices::new(offered(&told(&[("gpu", 4), ("x", 3)]), Some(""), Path::new("/none"))));
            let mut grants: BTreeMap<usize, DeviceGrant> = BTreeMap::new();
            for (acquires, slot, gpus, others) in steps {
                let kinds = [("gpu", gpus), ("x", others)];
                let needs = told(&kinds.into_iter().filter(|(_, count)| *count > 0).collect::<Vec<_>>());
                if acquires && !grants.contains_key(&slot) {
                    grants.extend(devices.acquire(&slot.to_string(), &needs).map(|grant| (slot, grant)));
                } else {
                    grants.remove(&slot);
                }
                let ids: Vec<(&String, &String)> = grants.values().flat_map(|grant| &grant.devices)
                    .flat_map(|(kind, ids)| ids.iter().map(move |id| (kind, id))).collect();
                let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
                prop_assert_eq!(distinct.len(), ids.len());
                prop_assert_eq!(devices.held().len(), ids.len());
            }
        }
    }
}
