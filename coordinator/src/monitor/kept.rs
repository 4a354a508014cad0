//! The history on disk: one file, replaced as a whole, so that a restart of the coordinator leaves a gap and no more.
//!
//! A line of JSON says what there is, the samples follow as they are in memory, and a SHA-256 closes the file: one that
//! was torn or changed is told apart, and put aside.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::activity::{Activity, ActivityLog};
use super::ring::{Field, Track, Window};
use super::sampler::{EXECUTOR, FLEET, FUNCTION};
use super::{KeptTrack, Seen};

/// Of this form of the file.
const MAGIC: &[u8] = b"udfleet history 1\n";
/// Larger files are none of ours: 500 functions and 1,000 executors with a full day take a third of this.
const MOST_BYTES: u64 = 512 << 20;
const HASH: usize = 32;
/// Samples that are written at once.
const CHUNK: usize = 16 << 10;

/// What the first line says.
#[derive(Serialize, Deserialize)]
struct Header {
    tick: u64,
    unix_ms: u64,
    tracks: Vec<TrackHeader>,
    events: Vec<Activity>,
}

#[derive(Serialize, Deserialize)]
struct TrackHeader {
    /// Of a function or an executor; empty: the fleet's.
    name: String,
    kind: TrackKind,
    active: u64,
    failed: Option<u64>,
    present: u64,
    /// Fields of one sample: another version may have others.
    fields: Vec<String>,
    /// Numbers in each ring.
    lengths: [usize; Window::ALL.len()],
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TrackKind {
    Fleet,
    Function,
    Executor,
}

impl TrackKind {
    fn fields(self) -> &'static [Field] {
        match self {
            Self::Fleet => FLEET,
            Self::Function => FUNCTION,
            Self::Executor => EXECUTOR,
        }
    }
}

/// What a file held.
pub(super) struct KeptHistory {
    header: Header,
    tracks: Vec<Track>,
}

fn invalid(text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.into())
}

/// What goes into a file.
pub(super) struct HistoryCopy {
    header: Header,
    samples: Vec<f32>,
}

/// How many numbers there are to copy.
pub(super) fn samples(seen: &Seen) -> usize {
    let held = seen.functions.values().chain(seen.executors.values()).map(|held| &held.track);
    held.chain([&seen.fleet]).flat_map(Track::samples).map(std::collections::VecDeque::len).sum()
}

/// Copies what there is into `samples`, which has room for it: the fleet can't be looked at meanwhile.
pub(super) fn copied(seen: &Seen, tick: u64, unix_ms: u64, mut samples: Vec<f32>) -> HistoryCopy {
    let fleet = [(TrackKind::Fleet, "", &seen.fleet, [tick, tick], None)];
    let times = |held: &KeptTrack| [held.active, held.present];
    let functions = seen.functions.iter().map(|(n, h)| (TrackKind::Function, &**n, &h.track, times(h), h.failed));
    let executors = seen.executors.iter().map(|(n, h)| (TrackKind::Executor, &**n, &h.track, times(h), h.failed));
    let all: Vec<_> = fleet.into_iter().chain(functions).chain(executors).collect();
    let header =
        |&(kind, name, track, [active, present], failed): &(TrackKind, &str, &Track, [u64; 2], Option<u64>)| {
            let mut lengths = [0; Window::ALL.len()];
            lengths.iter_mut().zip(track.samples()).for_each(|(length, ring)| *length = ring.len());
            let fields = kind.fields().iter().map(|field| field.name.to_owned()).collect();
            TrackHeader { name: name.to_owned(), kind, active, failed, present, fields, lengths }
        };
    let tracks = all.iter().map(header).collect();
    let header = Header { tick, unix_ms, tracks, events: seen.log.all().iter().cloned().collect() };
    for ring in all.iter().flat_map(|(_, _, track, _, _)| track.samples()) {
        let (older, newer) = ring.as_slices();
        samples.extend_from_slice(older);
        samples.extend_from_slice(newer);
    }
    HistoryCopy { header, samples }
}

impl HistoryCopy {
    /// Replaces the file.
    pub(super) fn write(&self, file: &Path) -> io::Result<()> {
        let folder = file.parent().ok_or_else(|| invalid("the file has no folder"))?;
        let mut beside = BufWriter::new(tempfile::NamedTempFile::new_in(folder)?);
        self.encode(&mut beside)?;
        let beside = beside.into_inner().map_err(io::IntoInnerError::into_error)?;
        beside.as_file().sync_data()?;
        beside.persist(file)?;
        Ok(())
    }

    fn encode(&self, out: &mut impl Write) -> io::Result<()> {
        let mut hash = Sha256::new();
        let mut put = |bytes: &[u8]| {
            hash.update(bytes);
            out.write_all(bytes)
        };
        put(MAGIC)?;
        put(&serde_json::to_vec(&self.header)?)?;
        put(b"\n")?;
        let mut chunk = Vec::with_capacity(4 * CHUNK);
        for samples in self.samples.chunks(CHUNK) {
            chunk.clear();
            samples.iter().for_each(|sample| chunk.extend_from_slice(&sample.to_le_bytes()));
            put(&chunk)?;
        }
        out.write_all(&hash.finalize())
    }
}

/// Keeps a file that can't be read beside the one that takes its place; one that was put aside before is replaced.
pub(super) fn put_aside(file: &Path) -> io::Result<PathBuf> {
    let aside = file.with_extension("damaged");
    std::fs::rename(file, &aside)?;
    Ok(aside)
}

/// None: there is no file.
pub(super) fn read(file: &Path) -> io::Result<Option<KeptHistory>> {
    let open = match File::open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        open => open?,
    };
    if open.metadata()?.len() > MOST_BYTES {
        return Err(invalid("it is too large"));
    }
    decode(&std::fs::read(file)?).map(Some)
}

fn decode(bytes: &[u8]) -> io::Result<KeptHistory> {
    let end = bytes.len().saturating_sub(HASH);
    let (content, hash) = bytes.split_at(end);
    if Sha256::digest(content).as_slice() != hash {
        return Err(invalid("it is not whole"));
    }
    let rest = content.strip_prefix(MAGIC).ok_or_else(|| invalid("it is of another version"))?;
    let line = rest.iter().position(|byte| *byte == b'\n').ok_or_else(|| invalid("it has no header"))?;
    let (header, samples) = rest.split_at(line);
    let header: Header = serde_json::from_slice(header)?;
    let mut samples =
        samples.get(1..).unwrap_or_default().as_chunks::<4>().0.iter().map(|raw| f32::from_le_bytes(*raw));
    let mut tracks = Vec::with_capacity(header.tracks.len());
    for track in &header.tracks {
        let rings = track.lengths.map(|length| arranged(samples.by_ref().take(length).collect(), track));
        tracks.push(Track::restored(track.kind.fields(), rings));
    }
    Ok(KeptHistory { header, tracks })
}

/// Fields as this version has them; those that the file lacks are not known.
fn arranged(values: Vec<f32>, header: &TrackHeader) -> Vec<f32> {
    let fields = header.kind.fields();
    if fields.iter().map(|field| field.name).eq(header.fields.iter().map(String::as_str)) {
        return values;
    }
    let place = |field: &Field| header.fields.iter().position(|name| name == field.name);
    let places: Vec<_> = fields.iter().map(place).collect();
    let sample =
        |sample: &[f32]| places.iter().map(|place| place.map_or(f32::NAN, |at| sample[at])).collect::<Vec<_>>();
    values.chunks_exact(header.fields.len().max(1)).flat_map(sample).collect()
}

impl KeptHistory {
    /// The second that it is at a time: where the clock was put back, the next one.
    pub(super) fn tick_at(&self, unix_ms: u64) -> u64 {
        self.header.tick.saturating_add(unix_ms.saturating_sub(self.header.unix_ms) / 1000)
    }

    /// With a gap up to the second `tick`.
    pub(super) fn into_seen(self, tick: u64) -> Seen {
        let mut seen = Seen { log: ActivityLog::restored(self.header.events), ..Seen::default() };
        for (header, mut track) in self.header.tracks.into_iter().zip(self.tracks) {
            track.skip(self.header.tick, tick);
            // It may take a while to come back.
            let kept = |track| KeptTrack { track, active: header.active, failed: header.failed, present: tick };
            match header.kind {
                TrackKind::Fleet => seen.fleet = track,
                TrackKind::Function => drop(seen.functions.insert(Arc::from(header.name), kept(track))),
                TrackKind::Executor => drop(seen.executors.insert(Arc::from(header.name), kept(track))),
            }
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use futures::FutureExt as _;

    use super::*;
    use crate::monitor::sampler::{CALLS, ROWS};
    use crate::monitor::{Monitor, RETURNS, sampler};
    use crate::snapshot::Snapshot;
    use crate::snapshot::testing::{attach, counted};
    use udfleet_proto::v1::FunctionMetrics;

    /// A monitor that has seen a function being called for ten seconds, from second 1000 on.
    fn watched() -> (Monitor, Snapshot) {
        let (monitor, mut fleet) = (Monitor::default(), counted("f"));
        attach(&mut fleet, "e");
        let id = Arc::from("e");
        for second in 0..10 {
            let calls = 7 * second;
            fleet.count(&id, "i", vec![FunctionMetrics { function: "f@1".into(), calls, ..Default::default() }], &[]);
            monitor.look(Arc::new(fleet.now().clone()), 1.0, at(1000 + second));
        }
        (monitor, fleet.now().clone())
    }

    fn at(second: u64) -> std::time::SystemTime {
        UNIX_EPOCH + Duration::from_secs(second)
    }

    #[tokio::test]
    async fn a_restart_leaves_a_gap_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("history");
        let (before, snapshot) = watched();
        let last = before.activity(None, 1, |_| true).first().map_or(0, |event| event.id);
        before.save(&file).await.unwrap();
        let after = Monitor::restored(&file, at(1029));
        assert_eq!(after.moment().tick, 30);
        after.look(Arc::new(Snapshot::default()), 1.0, at(1030));
        let calls = |monitor: &Monitor| monitor.function("f@1", |track| track.values(Window::Minutes5, CALLS));
        let values = calls(&after).unwrap();
        assert_eq!((values.len(), values[8]), (30, 7.0), "{values:?}");
        assert!(values[9..].iter().all(|value| value.is_nan()), "{values:?}");
        assert_eq!(after.executor("e", |track| track.values(Window::Minutes5, CALLS).len()), Some(31));
        assert_eq!(after.fleet(|track| track.values(Window::Hour, ROWS).len()), 3);
        assert_eq!(after.activity(None, 1, |_| true).first().map_or(0, |event| event.id), last);
        // It comes back, and its history goes on.
        after.look(Arc::new(snapshot), 1.0, at(1031));
        assert_eq!(calls(&after).unwrap().len(), 31);
        for second in 0..RETURNS {
            after.look(Arc::new(Snapshot::default()), 1.0, at(1032 + second));
        }
        assert!(calls(&after).is_none(), "what is gone for long is forgotten");
    }

    #[tokio::test]
    async fn a_torn_file_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("history");
        assert!(read(&file).unwrap().is_none());
        watched().0.save(&file).await.unwrap();
        let whole = std::fs::read(&file).unwrap();
        assert!(read(&file).is_ok());
        for length in [0, 1, HASH, MAGIC.len() + 5, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&file, &whole[..length]).unwrap();
            assert_eq!(read(&file).err().map(|error| error.kind()), Some(io::ErrorKind::InvalidData), "{length}");
            assert_eq!(Monitor::restored(&file, at(2000)).moment().tick, 0, "it begins anew");
            assert!(!file.exists());
            assert_eq!(std::fs::read(folder.path().join("history.damaged")).unwrap(), &whole[..length]);
        }
        let mut changed = whole.clone();
        changed[whole.len() / 2] ^= 1;
        std::fs::write(&file, changed).unwrap();
        assert!(read(&file).is_err());
    }

    #[tokio::test]
    async fn who_writes_later_has_copied_later() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("history");
        let (monitor, snapshot) = watched();
        {
            let _one = monitor.writing.lock();
            // Given up while it waits to write, as when the coordinator stops.
            assert!(monitor.save(&file).now_or_never().is_none());
            monitor.look(Arc::new(snapshot), 1.0, at(1010));
            assert!(!file.exists(), "two at once");
        }
        monitor.save(&file).await.unwrap();
        assert_eq!(read(&file).unwrap().unwrap().header.tick, monitor.moment().tick);
        let room = samples(&monitor.seen.lock());
        assert_eq!(copied(&monitor.seen.lock(), 0, 0, Vec::new()).samples.len(), room);
    }

    #[test]
    fn fields_of_another_version_find_their_places() {
        let names = ["gone", "calls", "rows"].map(str::to_owned).to_vec();
        let (kind, lengths) = (TrackKind::Executor, [6, 0, 0]);
        let header =
            TrackHeader { name: "e".into(), kind, active: 0, failed: None, present: 0, fields: names, lengths };
        let values = arranged(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &header);
        assert_eq!(values.len(), 2 * EXECUTOR.len());
        assert_eq!((values[ROWS], values[CALLS], values[EXECUTOR.len() + ROWS]), (3.0, 2.0, 6.0));
        assert!(values[sampler::ERRORS].is_nan());
    }

    #[test]
    fn a_clock_that_was_put_back_does_no_harm() {
        let (monitor, _) = watched();
        let moment = monitor.moment();
        let mut bytes = Vec::new();
        copied(&monitor.seen.lock(), moment.tick, moment.unix_ms, Vec::new()).encode(&mut bytes).unwrap();
        assert_eq!(decode(&bytes).unwrap().tick_at(5), moment.tick);
    }
}
