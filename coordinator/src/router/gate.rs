//! Backpressure: an upstream whose answers have no room is not read, and HTTP/2 then stops the executor.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures::Stream;
use futures::task::AtomicWaker;

/// Open at first.
#[derive(Debug, Default)]
pub(super) struct Gate {
    closed: AtomicBool,
    cut: AtomicBool,
    waker: AtomicWaker,
}

impl Gate {
    /// Opens or closes it.
    pub fn set(&self, open: bool) {
        let was_closed = self.closed.swap(!open, Ordering::AcqRel);
        if open && was_closed {
            self.waker.wake();
        }
    }

    /// Ends the stream behind it.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        self.waker.wake();
    }

    fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    pub fn is_open(&self) -> bool {
        !self.closed.load(Ordering::Acquire)
    }
}

/// A stream behind a gate.
pub(super) struct Gated<S> {
    pub gate: Arc<Gate>,
    pub answers: S,
}

impl<S: Stream + Unpin> Stream for Gated<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        self.gate.waker.register(context.waker());
        if self.gate.is_cut() {
            return Poll::Ready(None);
        }
        // It may have opened before the waker was there.
        if !self.gate.is_open() {
            return Poll::Pending;
        }
        Pin::new(&mut self.answers).poll_next(context)
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, StreamExt as _};

    use super::*;

    #[tokio::test]
    async fn what_is_cut_ends_also_while_it_waits() {
        let gate = Arc::new(Gate::default());
        let mut gated = Gated { gate: Arc::clone(&gate), answers: futures::stream::pending::<u8>() };
        let waiting = tokio::spawn(async move { gated.next().await });
        tokio::task::yield_now().await;
        gate.cut();
        assert_eq!(waiting.await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_closed_gate_holds_and_an_open_one_wakes() {
        let gate = Arc::new(Gate::default());
        let mut gated = Gated { gate: Arc::clone(&gate), answers: futures::stream::iter([1, 2]) };
        assert_eq!(gated.next().await, Some(1));
        gate.set(false);
        assert_eq!(gated.next().now_or_never(), None);
        let waiting = tokio::spawn(async move { gated.next().await });
        tokio::task::yield_now().await;
        gate.set(true);
        assert_eq!(waiting.await.unwrap(), Some(2));
    }
}
