//! Output of functions, as clients read it: stored lines, then new ones while they follow.

use async_stream::stream;
use futures::Stream;
use tokio::sync::broadcast::error::RecvError;
use tonic::Status;
use udfleet_proto::v1::LogLine;

use crate::logs::{LogStore, WantedLines};

/// The newest `tail` lines, all where that is 0; then, for a follower, those that come. Ends with the coordinator.
pub(super) fn read(
    logs: &LogStore,
    wanted: WantedLines,
    tail: usize,
    follow: bool,
) -> impl Stream<Item = Result<LogLine, Status>> + Send + 'static {
    let (kept, feed) = if follow { logs.follow(&wanted, tail) } else { (logs.tail(&wanted, tail), None) };
    stream! {
        for line in kept {
            yield Ok(LogLine::clone(&line));
        }
        let Some(mut feed) = feed else { return };
        loop {
            match feed.recv().await {
                Ok(line) if wanted.includes(&line.function) => yield Ok(LogLine::clone(&line)),
                Ok(_) => {}
                // A reader that is too slow loses lines, never holds anybody up.
                Err(RecvError::Lagged(lines)) => yield Ok(lagging(lines)),
                Err(RecvError::Closed) => return,
            }
        }
    }
}

fn lagging(lines: u64) -> LogLine {
    LogLine {
        stream: "stderr".to_owned(),
        text: format!("[udfleet] this reader is too slow: {lines} lines of all functions passed it by"),
        unix_ms: std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_millis() as i64),
        ..LogLine::default()
    }
}
