//! What is asked about streams, beside the streams themselves.

use std::pin::Pin;

use bytes::Bytes;
use futures::Stream;
use tonic::{Request, Status, Streaming};
use udfleet_edge::auth::Principal;
use udfleet_edge::engine::Connection;
use udfleet_proto::error::Error;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::v1::{
    ErrorCode, ListStreamsRequest, ListStreamsResponse, ReadStateRequest, StateChunk, StateEntry, StreamInfo,
};
use udfleet_state::{PositionRecord, RETAINED, stream_position};

use super::access::Scan;
use super::entry::{StreamEntry, StreamStatus, check_id, family, key_schema, new_state, unusable};
use super::service::StreamsService;
use crate::audit::AuditEvent;
use crate::registry::MAX_PARTITIONS;

/// Streams of one page of a list.
const PAGE: usize = 500;

/// What state is read as.
pub type StateChunks = Pin<Box<dyn Stream<Item = Result<StateChunk, Status>> + Send>>;

impl StreamsService {
    pub(super) async fn listed(&self, request: ListStreamsRequest) -> Result<ListStreamsResponse, Error> {
        if !request.stream.is_empty() {
            let streams = vec![self.access.registry.info(&request.stream).await?];
            return Ok(ListStreamsResponse { streams, next_page_token: String::new() });
        }
        let all = self.access.registry.list().await?;
        let mut rest = all.into_iter().filter(|info| info.stream > request.page_token).peekable();
        let streams: Vec<StreamInfo> = rest.by_ref().take(PAGE).collect();
        let next = rest.peek().and_then(|_| streams.last()).map(|last| last.stream.clone());
        Ok(ListStreamsResponse { streams, next_page_token: next.unwrap_or_default() })
    }

    pub(super) async fn read(&self, caller: &Principal, request: ReadStateRequest) -> Result<StateChunks, Error> {
        let stream = request.stream.clone();
        let (entry, _) = self.access.registry.get(&stream).await?;
        caller.demand_function(family(&entry.function))?;
        if entry.status != StreamStatus::Ready {
            return Err(unusable(&stream));
        }
        let mut info = self.access.registry.info(&stream).await?;
        if !request.key_header.is_empty() {
            return Ok(chunks(info, vec![self.access.key(&stream, &entry, request).await?]));
        }
        let scans = self.access.whole(&stream, &entry).await?;
        let records = scans.iter().map(|scan| PositionRecord::decode(&scan.record)).collect::<Result<Vec<_>, _>>();
        info.position = stream_position(&records.map_err(|error| Error::internal(error.to_string()))?);
        Ok(chunks(info, scans))
    }

    pub(super) async fn import(
        &self,
        caller: &Principal,
        mut chunks: Streaming<StateChunk>,
        subject: &mut String,
    ) -> Result<StreamInfo, Error> {
        let cut_short = || Error::new(ErrorCode::InvalidInput, "an import begins with what the stream is");
        let broken = |status: Status| Error::new(ErrorCode::InvalidInput, format!("the import ended: {status}"));
        let first = chunks.message().await.map_err(broken)?;
        let info = first.and_then(|chunk| chunk.stream).ok_or_else(cut_short)?;
        subject.clone_from(&info.stream);
        check_id(&info.stream)?;
        caller.demand_function(family(&info.function))?;
        let entry = imported(&info)?;
        self.access.registry.begin_import(&info.stream, &entry).await?;
        let mut at: Option<(u32, Bytes)> = None;
        while let Some(chunk) = chunks.message().await.map_err(broken)? {
            if !chunk.record.is_empty() {
                at = Some((chunk.partition, checked(&chunk, &entry)?));
            }
            let place = at.clone().filter(|(partition, _)| *partition == chunk.partition);
            let place =
                place.ok_or_else(|| Error::new(ErrorCode::InvalidInput, "a partition came without its record"))?;
            self.access.load(&info.stream, &entry, place, chunk.entries).await?;
        }
        let entry = self.access.registry.finish_import(&info.stream).await?;
        Ok(entry.info(&info.stream, None))
    }

    /// Notes in the audit log how what was asked has ended.
    pub(super) async fn noted<T>(
        &self,
        caller: &Principal,
        peer: Option<std::net::SocketAddr>,
        (what, subject): (&'static str, &str),
        result: Result<T, Error>,
    ) -> Result<T, Error> {
        self.audit.note(AuditEvent::new(caller, peer, what, subject).ended(&result)).await;
        result
    }
}

/// Where a request comes from.
pub fn peer<T>(request: &Request<T>) -> Option<std::net::SocketAddr> {
    Connection::of(request).peer()
}

fn imported(info: &StreamInfo) -> Result<StreamEntry, Error> {
    key_schema(&info.key_schema)?;
    let named = FunctionRef::parse(&info.function).map_err(|e| Error::new(ErrorCode::InvalidInput, e.to_string()))?;
    if named.version.is_none() || info.session > u64::MAX / 2 {
        let message = format!("an import of session {} of {}", info.session, info.function);
        return Err(Error::new(ErrorCode::InvalidInput, message).hint("it names a version: name@1"));
    }
    if !(1..=MAX_PARTITIONS).contains(&info.partitions) {
        let message = format!("an import of {} partitions", info.partitions);
        return Err(Error::new(ErrorCode::InvalidInput, message));
    }
    Ok(StreamEntry {
        session: info.session,
        function: info.function.clone(),
        partitions: info.partitions,
        key_schema: hex::encode(&info.key_schema),
        state: new_state(&info.function),
        position: info.position,
        status: StreamStatus::Importing,
    })
}

fn checked(chunk: &StateChunk, entry: &StreamEntry) -> Result<Bytes, Error> {
    let invalid = |what: String| Error::new(ErrorCode::InvalidInput, what);
    if chunk.partition >= entry.partitions {
        return Err(invalid(format!("partition {} of a stream that has {}", chunk.partition, entry.partitions)));
    }
    let record = PositionRecord::decode(&chunk.record).map_err(|error| invalid(error.to_string()))?;
    if record.session > entry.session {
        return Err(invalid(format!("partition {} is of a later session than the stream", chunk.partition)));
    }
    Ok(chunk.record.clone())
}

fn chunks(info: StreamInfo, scans: Vec<Scan>) -> StateChunks {
    Box::pin(async_stream::try_stream! {
        yield StateChunk { stream: Some(info), ..StateChunk::default() };
        for mut scan in scans {
            let partition = scan.partition;
            let record = std::mem::take(&mut scan.record);
            yield StateChunk { partition, record, ..StateChunk::default() };
            while let Some(message) = scan.entries.message().await? {
                // Results that were retained are no state, and too large for a message.
                let entries: Vec<StateEntry> = message.entries.into_iter().filter(|entry| entry.key != RETAINED).collect();
                if !entries.is_empty() {
                    yield StateChunk { partition, entries, ..StateChunk::default() };
                }
            }
        }
    })
}
