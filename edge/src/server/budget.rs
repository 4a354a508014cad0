//! How much of messages that have not come whole a port holds, and how long it waits for the rest.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};
use tonic::Status;
use tonic::body::Body;
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

/// Of a message that has begun, so much must come in each of these periods, or the rest of it.
const PERIOD: Duration = Duration::from_secs(30);
const LEAST_PER_PERIOD: u64 = 256 << 10;
/// A period that was noticed this late was not waited for: it says nothing about the client.
const LATE: Duration = Duration::from_secs(1);
/// In front of each message: a flag, and its length.
const PREFIX: usize = 5;

/// The bytes of messages that have begun, of all connections of a port.
#[derive(Debug)]
pub(super) struct IncompleteBudget {
    limit: u64,
    held: AtomicU64,
}

impl IncompleteBudget {
    pub fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, held: AtomicU64::new(0) })
    }

    fn take(&self, bytes: u64) -> Result<(), Error> {
        let before = self.held.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) <= self.limit {
            return Ok(());
        }
        self.give_back(bytes);
        let message = format!("this port holds {before} bytes of messages that have not come whole, of {}", self.limit);
        Err(Error::new(ErrorCode::NoCapacity, message).hint("send smaller batches, or again later"))
    }

    fn give_back(&self, bytes: u64) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Where a stream of messages stands.
#[derive(Debug, Default)]
struct Framing {
    prefix: [u8; PREFIX],
    /// Of the prefix, and of the message behind it.
    prefix_bytes: usize,
    received: u64,
    length: u64,
}

impl Framing {
    /// Takes bytes. True where a message has ended in them.
    fn take(&mut self, mut data: &[u8]) -> bool {
        let mut ended = false;
        while !data.is_empty() {
            if self.prefix_bytes < PREFIX {
                let count = data.len().min(PREFIX - self.prefix_bytes);
                self.prefix[self.prefix_bytes..self.prefix_bytes + count].copy_from_slice(&data[..count]);
                self.prefix_bytes += count;
                data = &data[count..];
                let [_, length @ ..] = self.prefix;
                self.length = u32::from_be_bytes(length).into();
            } else {
                let count = usize::try_from(self.length - self.received).unwrap_or(usize::MAX).min(data.len());
                self.received += count as u64;
                data = &data[count..];
            }
            if self.prefix_bytes == PREFIX && self.received == self.length {
                (self.prefix_bytes, self.received, ended) = (0, 0, true);
            }
        }
        ended
    }

    /// The bytes of the message that has begun.
    fn begun(&self) -> u64 {
        self.prefix_bytes as u64 + self.received
    }
}

/// A period of waiting for the rest of a message.
#[derive(Debug)]
struct Wait {
    timer: Pin<Box<Sleep>>,
    received: u64,
}

/// The body of a call, counted.
pub(super) struct MeteredBody {
    body: Body,
    budget: Arc<IncompleteBudget>,
    framing: Framing,
    /// Taken from the budget.
    held: u64,
    wait: Option<Wait>,
    /// The only message of the call has not come whole.
    awaited: bool,
    period: Duration,
    over: bool,
}

impl MeteredBody {
    /// `awaited`: of a call whose client has one message to send, which is to begin in time too.
    pub fn new(body: Body, budget: Arc<IncompleteBudget>, awaited: bool) -> Self {
        Self::with_period(body, budget, awaited, PERIOD)
    }

    fn with_period(body: Body, budget: Arc<IncompleteBudget>, awaited: bool, period: Duration) -> Self {
        Self { body, budget, framing: Framing::default(), held: 0, wait: None, awaited, period, over: false }
    }

    fn note(&mut self, data: &[u8]) -> Result<(), Error> {
        if self.framing.take(data) {
            (self.wait, self.awaited) = (None, false);
        } else if let Some(wait) = &mut self.wait {
            wait.received += data.len() as u64;
        }
        let begun = self.framing.begun();
        if begun > self.held {
            self.budget.take(begun - self.held)?;
        } else {
            self.budget.give_back(self.held - begun);
        }
        self.held = begun;
        Ok(())
    }

    /// Nothing has come. Ready where that has lasted too long.
    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        if self.framing.begun() == 0 && !self.awaited {
            return Poll::Pending;
        }
        let period = self.period;
        let wait = self.wait.get_or_insert_with(|| Wait { timer: Box::pin(sleep(period)), received: 0 });
        while wait.timer.as_mut().poll(cx).is_ready() {
            let late = wait.timer.deadline().elapsed() > LATE;
            if wait.received < LEAST_PER_PERIOD && !late {
                let (begun, seconds) = (self.framing.begun(), period.as_secs());
                let message = format!("of a message, {begun} bytes came, and hardly any within {seconds} s");
                return Poll::Ready(Error::new(ErrorCode::InvalidInput, message).hint("send each message whole"));
            }
            wait.received = 0;
            wait.timer.as_mut().reset(Instant::now() + period);
        }
        Poll::Pending
    }

    fn end(&mut self) {
        self.budget.give_back(std::mem::take(&mut self.held));
        self.over = true;
    }
}

impl HttpBody for MeteredBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if this.over {
            return Poll::Ready(None);
        }
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        let error = match &polled {
            Poll::Ready(Some(Ok(frame))) => frame.data_ref().and_then(|data| this.note(data).err()),
            Poll::Ready(_) => {
                this.end();
                None
            }
            Poll::Pending => match this.poll_wait(cx) {
                Poll::Ready(error) => Some(error),
                Poll::Pending => None,
            },
        };
        match error {
            Some(error) => {
                // What was buffered so far goes with the call.
                this.end();
                this.body = Body::empty();
                Poll::Ready(Some(Err(error.into())))
            }
            None => polled,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for MeteredBody {
    fn drop(&mut self) {
        self.budget.give_back(self.held);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::future::poll_fn;

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);

    /// Gives these, then nothing more, without an end.
    struct Chunks(VecDeque<Bytes>);

    impl HttpBody for Chunks {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            self.0.pop_front().map_or(Poll::Pending, |chunk| Poll::Ready(Some(Ok(Frame::data(chunk)))))
        }
    }

    fn message(length: u32, sent: usize) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.extend(length.to_be_bytes());
        bytes.extend(vec![7; sent]);
        bytes
    }

    fn metered(chunks: &[Vec<u8>], budget: &Arc<IncompleteBudget>) -> MeteredBody {
        let chunks = chunks.iter().map(|chunk| Bytes::from(chunk.clone())).collect();
        MeteredBody::with_period(Body::new(Chunks(chunks)), Arc::clone(budget), false, SHORT)
    }

    async fn next(body: &mut MeteredBody) -> Result<usize, ErrorCode> {
        let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await.expect("there is more");
        frame.map(|frame| frame.data_ref().map_or(0, Bytes::len)).map_err(|status| Error::from(&status).code())
    }

    fn held(budget: &IncompleteBudget) -> u64 {
        budget.held.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn only_what_has_not_come_whole_counts() {
        let budget = IncompleteBudget::new(100);
        let two = [message(3, 3), message(200, 50)].concat();
        let mut first = metered(&[two, vec![7; 100], vec![7; 50]], &budget);
        next(&mut first).await.unwrap();
        assert_eq!(held(&budget), 55);
        let mut second = metered(&[message(60, 40)], &budget);
        next(&mut second).await.unwrap();
        assert_eq!(held(&budget), 100);
        assert_eq!(next(&mut first).await, Err(ErrorCode::NoCapacity), "100 more would be beyond the budget");
        assert_eq!(held(&budget), 45, "it is given up");
        drop(second);
        assert_eq!(held(&budget), 0);
    }

    #[tokio::test]
    async fn messages_cut_anywhere_are_followed() {
        let budget = IncompleteBudget::new(1000);
        let all = [message(0, 0), message(10, 10), message(300, 300)].concat();
        let bytes: Vec<_> = all.iter().map(|byte| vec![*byte]).collect();
        let mut body = metered(&bytes, &budget);
        let mut most = 0;
        for _ in &bytes {
            next(&mut body).await.unwrap();
            most = most.max(held(&budget));
        }
        assert_eq!((most, held(&budget)), (304, 0));
    }

    #[tokio::test]
    async fn a_message_that_stops_coming_ends_its_call_and_one_that_never_began_does_not() {
        let budget = IncompleteBudget::new(1000);
        let mut half = metered(&[message(60, 40)], &budget);
        next(&mut half).await.unwrap();
        assert_eq!(next(&mut half).await, Err(ErrorCode::InvalidInput));
        assert_eq!(held(&budget), 0);
        let mut idle = metered(&[message(60, 60)], &budget);
        next(&mut idle).await.unwrap();
        assert!(tokio::time::timeout(SHORT * 5, next(&mut idle)).await.is_err(), "between messages it may rest");
    }

    #[tokio::test]
    async fn the_only_message_of_a_call_begins_in_time() {
        let budget = IncompleteBudget::new(1000);
        let only = |chunks: &[Vec<u8>]| {
            let mut body = metered(chunks, &budget);
            body.awaited = true;
            body
        };
        assert_eq!(next(&mut only(&[])).await, Err(ErrorCode::InvalidInput));
        let mut whole = only(&[message(60, 60)]);
        next(&mut whole).await.unwrap();
        assert!(tokio::time::timeout(SHORT * 5, next(&mut whole)).await.is_err(), "its end need not be told");
    }
}
