//! Open streams and rows of each tenant at this process.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use arrow_flight::FlightData;
use parking_lot::Mutex;
use udfleet_proto::error::Error;
use udfleet_proto::flight::bare_header;
use udfleet_proto::limits::MAX_BATCH_ROWS;
use udfleet_proto::v1::ErrorCode;

use super::limits::{LimitName, TenantLimits, TenantLimitsTable};
use super::rows::{BATCH_SECONDS, RowBucket, most_at_once};

/// Tenants with series of their own; further ones share [`OTHERS`]. They are counted apart all the same, up to
/// [`MOST_TENANTS`].
const MOST_LABELS: usize = 100;
const OTHERS: &str = "other";
/// As many as there may be tokens. Whoever comes after them is counted together.
const MOST_TENANTS: usize = 10_000;

/// What one tenant does here.
#[derive(Debug)]
struct Counters {
    label: String,
    open: AtomicU64,
    rows: AtomicU64,
    /// By [`LimitName::ALL`].
    refused: [AtomicU64; LimitName::ALL.len()],
    bucket: Mutex<Option<RowBucket>>,
}

/// The numbers of one label.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TenantCounts {
    /// Streams that are open.
    pub open: u64,
    /// Rows received.
    pub rows: u64,
    /// Refusals, by limit.
    pub refused: [u64; LimitName::ALL.len()],
}

/// Counts streams and rows of tenants at a process, and holds tenants to their limits.
#[derive(Debug, Default)]
pub struct Tenants {
    limits: ArcSwap<TenantLimitsTable>,
    known: Mutex<HashMap<String, Arc<Counters>>>,
}

impl Tenants {
    /// With these limits.
    #[must_use]
    pub fn new(limits: TenantLimitsTable) -> Self {
        Self { limits: ArcSwap::from_pointee(limits), known: Mutex::default() }
    }

    /// Takes over other limits, for streams that begin from now on.
    pub fn set_limits(&self, limits: TenantLimitsTable) {
        self.limits.store(Arc::new(limits));
    }

    /// The limits of a tenant.
    #[must_use]
    pub fn limits(&self, tenant: &str) -> TenantLimits {
        self.limits.load().of(tenant)
    }

    /// Tenants that have limits of their own.
    #[must_use]
    pub fn named(&self) -> Vec<String> {
        self.limits.load().names().map(str::to_owned).collect()
    }

    /// Tenants that had streams here since this process was started.
    #[must_use]
    pub fn seen(&self) -> Vec<String> {
        self.known.lock().keys().filter(|tenant| !tenant.is_empty()).cloned().collect()
    }

    /// Lets a stream in; it is open until what is returned is dropped. `limits`: what its caller's ticket says, else those
    /// that are set here.
    ///
    /// # Errors
    /// [`ErrorCode::NoCapacity`], naming the limit.
    pub fn admit(&self, tenant: &str, limits: Option<TenantLimits>) -> Result<TenantStream, Error> {
        self.admit_at(tenant, limits, Instant::now())
    }

    fn admit_at(&self, tenant: &str, limits: Option<TenantLimits>, now: Instant) -> Result<TenantStream, Error> {
        let limits = limits.unwrap_or_else(|| self.limits(tenant));
        let counters = self.counters(tenant);
        let rate = limits.rows_per_second;
        if let Some(rate) = rate
            && let Some(wait) = counters.wait(rate, now)
        {
            counters.note_refusal(LimitName::RowsPerSecond);
            return Err(too_many(tenant, &format!("has sent more than {rate} rows a second")).hint(format!(
                "try again in {} ms, or allow more: tenants.{tenant}.rows_per_second",
                wait.as_millis()
            )));
        }
        // Counted first, so that two at once can't both take the last place.
        let stream = TenantStream { counters, tenant: tenant.to_owned(), rate };
        let open = stream.counters.open.fetch_add(1, Ordering::Relaxed);
        if let Some(most) = limits.streams
            && open >= most
        {
            stream.counters.note_refusal(LimitName::Streams);
            return Err(too_many(tenant, &format!("has {open} streams open here, at most {most} are allowed"))
                .hint(format!("try again once some have ended, or allow more: tenants.{tenant}.streams")));
        }
        Ok(stream)
    }

    /// Counts a refusal for a limit that is checked elsewhere.
    pub fn refused(&self, tenant: &str, limit: LimitName) {
        self.counters(tenant).note_refusal(limit);
    }

    fn counters(&self, tenant: &str) -> Arc<Counters> {
        let mut known = self.known.lock();
        if let Some(counters) = known.get(tenant) {
            return Arc::clone(counters);
        }
        let label = if known.len() < MOST_LABELS { tenant } else { OTHERS };
        let key = if known.len() < MOST_TENANTS { tenant } else { "" };
        let new = || Arc::new(Counters::new(label));
        Arc::clone(known.entry(key.to_owned()).or_insert_with(new))
    }

    /// What one tenant does here.
    #[must_use]
    pub fn counts_of(&self, tenant: &str) -> TenantCounts {
        self.known.lock().get(tenant).map(|counters| counters.counts()).unwrap_or_default()
    }

    /// What all do here, by label, in the labels' order.
    #[must_use]
    pub fn counts(&self) -> Vec<(String, TenantCounts)> {
        let mut all = std::collections::BTreeMap::<String, TenantCounts>::new();
        for counters in self.known.lock().values() {
            let (sum, more) = (all.entry(counters.label.clone()).or_default(), counters.counts());
            (sum.open, sum.rows) = (sum.open + more.open, sum.rows + more.rows);
            sum.refused.iter_mut().zip(more.refused).for_each(|(sum, more)| *sum += more);
        }
        all.into_iter().collect()
    }

    /// The label of a tenant that is counted elsewhere.
    #[must_use]
    pub fn label(&self, tenant: &str) -> String {
        self.counters(tenant).label.clone()
    }
}

impl Counters {
    fn new(label: &str) -> Self {
        let (open, rows, refused, bucket) = Default::default();
        Self { label: label.to_owned(), open, rows, refused, bucket }
    }

    fn counts(&self) -> TenantCounts {
        TenantCounts {
            open: self.open.load(Ordering::Relaxed),
            rows: self.rows.load(Ordering::Relaxed),
            refused: std::array::from_fn(|index| self.refused[index].load(Ordering::Relaxed)),
        }
    }

    fn note_refusal(&self, limit: LimitName) {
        self.refused[limit as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn wait(&self, rate: u64, now: Instant) -> Option<Duration> {
        self.bucket.lock().get_or_insert_with(|| RowBucket::new(rate, now)).wait(rate, now)
    }

    fn take(&self, rows: u64, rate: u64, now: Instant) {
        self.bucket.lock().get_or_insert_with(|| RowBucket::new(rate, now)).take(rows, rate, now);
    }

    fn try_take(&self, rows: u64, rate: u64, now: Instant) -> Result<(), Duration> {
        self.bucket.lock().get_or_insert_with(|| RowBucket::new(rate, now)).try_take(rows, rate, now)
    }
}

fn too_many(tenant: &str, what: &str) -> Error {
    Error::new(ErrorCode::NoCapacity, format!("the tenant {tenant:?} {what}"))
}

/// An open stream of a tenant.
#[derive(Debug)]
pub struct TenantStream {
    counters: Arc<Counters>,
    tenant: String,
    rate: Option<u64>,
}

impl TenantStream {
    /// Counts the rows of a stream's first message, which has been let in with it.
    ///
    /// # Errors
    /// [`ErrorCode::LimitExceeded`] for a batch that would hold up the next ones for longer than [`BATCH_SECONDS`].
    pub fn note(&self, message: &FlightData) -> Result<(), Error> {
        self.note_at(message, Instant::now())
    }

    /// Counts the rows of a message that has come, once it is its turn: however many streams have read one each, the tenant
    /// gets one of them ahead of its rate. May be dropped and called again until it has returned.
    ///
    /// # Errors
    /// As [`TenantStream::note`].
    pub async fn take(&self, message: &FlightData) -> Result<(), Error> {
        let rows = self.rows(message)?;
        if rows == 0 {
            return Ok(());
        }
        if let Some(rate) = self.rate {
            while let Err(wait) = self.counters.try_take(rows, rate, Instant::now()) {
                tokio::time::sleep(wait).await;
            }
        }
        self.counters.rows.fetch_add(rows, Ordering::Relaxed);
        Ok(())
    }

    fn note_at(&self, message: &FlightData, now: Instant) -> Result<(), Error> {
        let rows = self.rows(message)?;
        if rows == 0 {
            return Ok(());
        }
        if let Some(rate) = self.rate {
            self.counters.take(rows, rate, now);
        }
        self.counters.rows.fetch_add(rows, Ordering::Relaxed);
        Ok(())
    }

    /// The rows of a message, where one may have as many.
    fn rows(&self, message: &FlightData) -> Result<u64, Error> {
        let header = bare_header(&message.data_header);
        // What is malformed is refused by who reads the batches, and so is a batch of too many rows.
        let batch = arrow_ipc::root_as_message(&header).ok().and_then(|message| message.header_as_record_batch());
        let rows = batch.and_then(|batch| u64::try_from(batch.length()).ok()).unwrap_or(0).min(MAX_BATCH_ROWS as u64);
        if let Some(rate) = self.rate {
            let most = most_at_once(rate);
            if rows > most {
                self.counters.note_refusal(LimitName::RowsPerSecond);
                let tenant = &self.tenant;
                let message = format!(
                    "the tenant {tenant:?} has sent a batch of {rows} rows, and one may have {most}: {rate} a second for {BATCH_SECONDS} s"
                );
                return Err(Error::new(ErrorCode::LimitExceeded, message)
                    .hint(format!("send smaller batches, or allow more: tenants.{tenant}.rows_per_second")));
            }
        }
        Ok(rows)
    }

    /// Returns once the next message may be read: a client that sends faster is slowed down by backpressure. May be
    /// dropped and called again.
    pub async fn paced(&self) {
        let Some(rate) = self.rate else { return };
        while let Some(wait) = self.counters.wait(rate, Instant::now()) {
            tokio::time::sleep(wait).await;
        }
    }
}

impl Drop for TenantStream {
    fn drop(&mut self) {
        self.counters.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, Int64Array, RecordBatch};
    use arrow_flight::utils::batches_to_flight_data;
    use futures::FutureExt as _;

    use super::*;

    fn table(text: &str) -> TenantLimitsTable {
        toml::from_str(text).unwrap()
    }

    fn message(rows: i64) -> FlightData {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
        let batch = RecordBatch::try_from_iter([("x", column)]).unwrap();
        batches_to_flight_data(&batch.schema(), [&batch]).unwrap().remove(1)
    }

    #[test]
    fn a_tenant_takes_its_own_room_only() {
        let tenants = Tenants::new(table("[\"*\"]\nstreams = 2\n[big]\nstreams = 50\n"));
        let (first, _second) = (tenants.admit("a", None).unwrap(), tenants.admit("a", None).unwrap());
        let refused = tenants.admit("a", None).unwrap_err();
        assert!(refused.code() == ErrorCode::NoCapacity && refused.info().message.contains("\"a\""), "{refused}");
        let _other = tenants.admit("b", None).unwrap();
        let counts = tenants.counts();
        assert_eq!((counts[0].1.open, counts[0].1.refused), (2, [0, 0, 0, 1, 0]));
        assert_eq!((counts[1].0.as_str(), counts[1].1.open), ("b", 1));
        drop(first);
        assert!(tenants.admit("a", None).is_ok());
        let many: Vec<_> = (0..50).map(|_| tenants.admit("big", None).unwrap()).collect();
        assert!(tenants.admit("big", None).is_err() && many.len() == 50);
        let told = TenantLimits { streams: Some(0), ..TenantLimits::default() };
        assert!(tenants.admit("c", Some(told)).is_err(), "a ticket's limits go first");
        assert_eq!(tenants.counts_of("c").open, 0);
    }

    #[test]
    fn rows_beyond_the_rate_are_waited_for_and_new_streams_refused() {
        let tenants = Tenants::new(table("[a]\nrows_per_second = 1000\n"));
        let begun = Instant::now();
        let at = |ms: u64| begun + Duration::from_millis(ms);
        let stream = tenants.admit_at("a", None, begun).unwrap();
        let waits = |ms: u64| stream.counters.wait(1000, at(ms)).is_some();
        stream.note_at(&message(1000), begun).unwrap();
        assert!(!waits(0));
        stream.note_at(&message(300), begun).unwrap();
        assert_eq!(tenants.admit_at("a", None, begun).unwrap_err().code(), ErrorCode::NoCapacity);
        let free = tenants.admit_at("b", None, begun).unwrap();
        free.note_at(&message(1_000_000), begun).unwrap();
        assert!(free.rate.is_none() && waits(0) && waits(299) && !waits(301));
        assert!(tenants.admit_at("a", None, at(301)).is_ok());
        assert_eq!((tenants.counts_of("a").rows, tenants.counts_of("b").rows), (1300, 1_000_000));
        assert_eq!(tenants.counts_of("a").refused, [0, 0, 0, 0, 1]);
    }

    #[tokio::test]
    async fn a_stream_is_read_again_once_it_may_be() {
        let tenants = Tenants::new(table("[a]\nrows_per_second = 1000\n"));
        let stream = tenants.admit("a", None).unwrap();
        stream.note(&message(1100)).unwrap();
        stream.paced().await;
        assert_eq!(stream.counters.wait(1000, Instant::now()), None);
    }

    #[tokio::test]
    async fn of_many_streams_one_is_a_batch_ahead() {
        let tenants = Tenants::new(table("[a]\nrows_per_second = 1000\n"));
        let streams: Vec<_> = (0..50).map(|_| tenants.admit("a", None).unwrap()).collect();
        let big = message(10_000);
        let taken = streams.iter().filter_map(|stream| stream.take(&big).now_or_never());
        assert_eq!(taken.map(Result::unwrap).count(), 1, "each has read a batch before the others were counted");
        let wait = streams[0].counters.wait(1000, Instant::now()).unwrap();
        assert!(wait < Duration::from_secs(BATCH_SECONDS), "{wait:?}");
        assert_eq!(tenants.counts_of("a").rows, 10_000);
    }

    #[test]
    fn a_batch_that_would_shut_its_tenant_out_is_refused() {
        let tenants = Tenants::new(table("[a]\nrows_per_second = 10\n"));
        let stream = tenants.admit("a", None).unwrap();
        let refused = stream.note(&message(101)).unwrap_err();
        assert!(refused.code() == ErrorCode::LimitExceeded && refused.info().hint.contains("a.rows_per_second"));
        assert_eq!((tenants.counts_of("a").rows, tenants.counts_of("a").refused[4]), (0, 1));
        let now = Instant::now();
        stream.note_at(&message(100), now).unwrap();
        let wait = stream.counters.wait(10, now).unwrap();
        assert!(wait > Duration::from_secs(8), "{wait:?}: what was taken is waited for");
    }

    #[test]
    fn labels_are_bounded() {
        let tenants = Tenants::default();
        let all: Vec<_> = (0..150).map(|n| tenants.admit(&format!("t{n}"), None).unwrap()).collect();
        let counts = tenants.counts();
        assert_eq!(counts.len(), MOST_LABELS + 1);
        assert_eq!(counts.iter().find(|(label, _)| label == OTHERS).unwrap().1.open, 50);
        assert_eq!((tenants.label("t7").as_str(), tenants.label("t140").as_str()), ("t7", OTHERS));
        assert_eq!((tenants.counts_of("t140").open, all.len()), (1, 150));
    }
}
