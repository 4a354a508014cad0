//! A stream from its opening to its end: bundles in, results out, one after the other.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arrow_schema::{Schema, SchemaRef};
use bytes::Bytes;
use futures::future::try_join_all;
use udfleet_proto::config::{BUNDLE_SIZE, BUNDLE_TIME};
use udfleet_proto::error::Error;
use udfleet_proto::flight_info::result_fields;
use udfleet_proto::ipc;
use udfleet_proto::limits::MAX_BATCH_ROWS;
use udfleet_proto::v1::{ErrorCode, OpenStream, StreamOpened, SubmitBundle};
use udfleet_state::{RowSpan, stream_position};

use super::access::StateAccess;
use super::cut::{Cutter, piece};
use super::merge::{PartitionResults, merged, result_schema};
use super::message::BundleRows;
use super::partition::{Partition, StreamContext};
use super::registry::Opening;
use super::retained::{Retained, parts};
use crate::registry::Function;

/// An open stream.
pub struct StreamProcess {
    context: Arc<StreamContext>,
    /// The number of this opening.
    session: u64,
    cutter: Cutter,
    key_columns: u32,
    /// Of results, with the row that each is for.
    results: SchemaRef,
    partitions: Vec<Partition>,
    /// The offset of the next row.
    position: u64,
    /// What was delivered and is not committed.
    pending: Option<Pending>,
    /// Results are kept with each commit.
    retains: bool,
    /// Those of clients before.
    retained: Retained,
}

struct Pending {
    end: u64,
    partitions: Vec<usize>,
}

/// The rows of a bundle at one partition that has not applied them.
struct Share {
    partition: usize,
    rows: Vec<u32>,
}

/// What cuts the rows of a stream of the function, and into how many partitions.
///
/// # Errors
/// [`ErrorCode::InvalidInput`] for a function that keeps no state, and for columns that can't be its key and arguments.
pub fn cutter(function: &Function, open: &OpenStream) -> Result<(Cutter, u32), Error> {
    let Some(keyed) = &function.definition.keyed else {
        let message = format!("{} keeps no state: call it as other functions are called", function.name);
        return Err(Error::new(ErrorCode::InvalidInput, message).function(&function.name));
    };
    Ok((Cutter::new(open.schema.clone(), open.key_columns, keyed.partitions)?, keyed.partitions))
}

impl StreamProcess {
    /// Opens a stream at all partitions of its function's state.
    ///
    /// # Errors
    /// Where it can't be opened: what is asked for makes no sense, or a partition has no owner.
    pub async fn open(
        mut context: StreamContext,
        access: &StateAccess,
        open: &OpenStream,
    ) -> Result<(Self, StreamOpened), Error> {
        let function = Arc::clone(&context.function);
        let (cutter, count) = cutter(&function, open)?;
        let opening = Opening {
            stream: &context.stream,
            function: &function.name,
            partitions: count,
            key_schema: &cutter.key_schema(),
        };
        let entry = access.registry.begin(&opening).await?;
        context.state.clone_from(&entry.state);
        let session = entry.session;
        let results: SchemaRef = Arc::new(Schema::new(result_fields(&function.definition)));
        let context = Arc::new(context);
        let opening = (0..count).map(|number| Partition::open(Arc::clone(&context), number, session));
        let partitions = try_join_all(opening).await?;
        let position = stream_position(partitions.iter().map(Partition::record));
        let mut retained = Retained::default();
        if open.retain_results {
            retained = Retained::read(access, &context.stream, &entry).await?;
            retained.forget_before(position);
            retained.check(&context.function.name)?;
        }
        let opened = StreamOpened {
            function: context.function.name.clone(),
            position,
            schema: ipc::schema_message(&result_schema(&results)).data_header,
            bundle_rows: BUNDLE_SIZE.integer(&context.function.definition.config),
            bundle_ms: BUNDLE_TIME.integer(&context.function.definition.config),
            retained_first: retained.whole(position),
        };
        let key_columns = open.key_columns;
        Ok((
            Self {
                context,
                session,
                cutter,
                key_columns,
                results,
                partitions,
                position,
                pending: None,
                retains: open.retain_results,
                retained,
            },
            opened,
        ))
    }

    /// The stream's id.
    pub fn stream(&self) -> &str {
        &self.context.stream
    }

    /// The number of this opening.
    pub fn session(&self) -> u64 {
        self.session
    }

    /// The offset of the row that comes next.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The results of the bundle that was committed last, as messages, where they were retained.
    ///
    /// # Errors
    /// Where they can't be read.
    pub fn last_results(&self) -> Result<Vec<(Bytes, Bytes)>, Error> {
        let Some(first) = self.retained.whole(self.position) else { return Ok(Vec::new()) };
        let kept = self.retained.between(first, self.position);
        merged(&self.results, &parts(&kept).collect::<Vec<_>>())
    }

    /// Runs the next rows; their results, as messages.
    ///
    /// # Errors
    /// What the function raised; where the bundle is not the next one.
    pub async fn run(&mut self, bundle: SubmitBundle) -> Result<Vec<(Bytes, Bytes)>, Error> {
        if self.pending.is_some() {
            let error = Error::new(ErrorCode::InvalidInput, "the bundle before is not committed");
            return Err(error.hint("one bundle of a stream is under way at a time"));
        }
        if bundle.first_row != self.position {
            let message =
                format!("a bundle begins with row {}, and the next one is {}", bundle.first_row, self.position);
            return Err(Error::new(ErrorCode::InvalidInput, message).hint("go on with the row at stream.position"));
        }
        let max_rows = BUNDLE_SIZE.integer(&self.context.function.definition.config);
        let max_rows = usize::try_from(max_rows).unwrap_or(usize::MAX).min(MAX_BATCH_ROWS);
        let batch = self.cutter.decode(&bundle.header, &bundle.body, max_rows)?;
        let end = self.position.saturating_add(batch.num_rows() as u64);
        let by_partition = self.cutter.rows(&batch)?;
        let cut_partitions = by_partition.iter().filter(|rows| !rows.is_empty()).count() as u32;
        let shares = self.shares(by_partition);
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64);
        let mut runs = Vec::new();
        for (index, partition) in self.partitions.iter_mut().enumerate() {
            let Some(share) = shares.iter().find(|share| share.partition == index) else { continue };
            let Some(first) = share.rows.first() else { continue };
            let (header, body) = piece(&batch, &share.rows)?;
            let schema = self.cutter.schema().clone();
            let retained = if self.retains { share.rows.clone() } else { Vec::new() };
            let rows = BundleRows { key_columns: self.key_columns, now_ms, schema, header, body, retained };
            let first = self.position + u64::from(*first);
            runs.push(partition.run(RowSpan { first, end, cut_first: self.position, cut_partitions }, rows));
        }
        try_join_all(runs).await.map_err(|error| error.function(&self.context.function.name))?;
        // Rows that were applied before, whose client may not have got their results.
        let kept = self.retained.between(self.position, end);
        let rows: Vec<Vec<Option<u32>>> =
            shares.iter().map(|share| share.rows.iter().copied().map(Some).collect()).collect();
        let ran = shares
            .iter()
            .zip(&rows)
            .map(|(share, rows)| PartitionResults { rows, batches: self.partitions[share.partition].results() });
        let results: Vec<PartitionResults<'_>> = ran.chain(parts(&kept)).collect();
        let messages = merged(&self.results, &results)?;
        let partitions = shares.iter().map(|share| share.partition).collect();
        self.pending = Some(Pending { end, partitions });
        Ok(messages)
    }

    /// Which rows each partition has to run: none that it has applied already.
    fn shares(&self, by_partition: Vec<Vec<u32>>) -> Vec<Share> {
        let shares = by_partition.into_iter().zip(&self.partitions).enumerate();
        let share = |(partition, (rows, at)): (usize, (Vec<u32>, &Partition))| {
            let applied = at.record().next_offset;
            let rows = rows.into_iter().filter(|row| self.position + u64::from(*row) >= applied).collect();
            Share { partition, rows }
        };
        shares.map(share).filter(|share| !share.rows.is_empty()).collect()
    }

    /// Commits what was delivered last, in all partitions; the offset of the row that comes next.
    ///
    /// # Errors
    /// Where there is nothing to commit, or it could not be committed everywhere: opening the stream again tells where.
    pub async fn commit(&mut self) -> Result<u64, Error> {
        let pending = self.pending.take();
        let pending = pending.ok_or_else(|| Error::new(ErrorCode::InvalidInput, "there is no bundle to commit"))?;
        let commits = self.partitions.iter_mut().enumerate();
        let commits = commits.filter(|(index, _)| pending.partitions.contains(index));
        try_join_all(commits.map(|(_, partition)| partition.commit())).await?;
        self.position = pending.end;
        // Of earlier clients: what ends here was delivered with this bundle.
        self.retained.forget_before(self.position + 1);
        Ok(self.position)
    }

    /// The client has gone, or is done.
    pub async fn close(self) {
        futures::future::join_all(self.partitions.into_iter().map(Partition::close)).await;
    }
}
