//! A bounded queue for the parts of one result, which the writer can take back until the reader has read.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

#[derive(Debug)]
struct QueueState<T> {
    items: VecDeque<T>,
    /// The reader has read, or waits.
    begun: bool,
    /// The other half is gone.
    closed: bool,
}

#[derive(Debug)]
struct SharedQueue<T> {
    state: Mutex<QueueState<T>>,
    /// Wakes the reader, and the writer.
    written: Notify,
    read: Notify,
    bound: usize,
}

/// The writing half.
#[derive(Debug)]
pub(super) struct Writer<T>(Arc<SharedQueue<T>>);

/// The reading half.
#[derive(Debug)]
pub(super) struct Reader<T>(Arc<SharedQueue<T>>);

/// A queue of at most `bound` items that holds `first`.
pub(super) fn queue<T>(first: T, bound: usize) -> (Writer<T>, Reader<T>) {
    let state = QueueState { items: VecDeque::from([first]), begun: false, closed: false };
    let shared = Arc::new(SharedQueue { state: Mutex::new(state), written: Notify::new(), read: Notify::new(), bound });
    (Writer(Arc::clone(&shared)), Reader(shared))
}

impl<T> Writer<T> {
    /// Waits for room. False if the reader is gone.
    pub(super) async fn room(&self) -> bool {
        loop {
            {
                let state = self.0.state.lock();
                if state.closed || state.items.len() < self.0.bound {
                    return !state.closed;
                }
            }
            self.0.read.notified().await;
        }
    }

    pub(super) fn push(&self, item: T) {
        self.0.state.lock().items.push_back(item);
        self.0.written.notify_one();
    }

    /// Takes everything back. False if the reader has begun.
    pub(super) fn take_back(&self) -> bool {
        let mut state = self.0.state.lock();
        if !state.begun {
            state.items.clear();
        }
        !state.begun
    }
}

impl<T> Reader<T> {
    /// The next item; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<T> {
        loop {
            {
                let mut state = self.0.state.lock();
                state.begun = true;
                if let Some(item) = state.items.pop_front() {
                    self.0.read.notify_one();
                    return Some(item);
                }
                if state.closed {
                    return None;
                }
            }
            self.0.written.notified().await;
        }
    }
}

impl<T> Drop for Writer<T> {
    fn drop(&mut self) {
        self.0.state.lock().closed = true;
        self.0.written.notify_one();
    }
}

impl<T> Drop for Reader<T> {
    fn drop(&mut self) {
        let items = {
            let mut state = self.0.state.lock();
            state.closed = true;
            std::mem::take(&mut state.items)
        };
        drop(items);
        self.0.read.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn the_writer_waits_for_room_and_the_reader_for_items() {
        let (writer, mut reader) = queue(1, 2);
        assert!(writer.room().await);
        writer.push(2);
        assert!(writer.room().now_or_never().is_none(), "full");
        assert_eq!(reader.next().await, Some(1));
        assert!(writer.room().await);
        assert_eq!(reader.next().await, Some(2));
        let task = tokio::spawn(async move { (reader.next().await, reader.next().await) });
        writer.push(3);
        drop(writer);
        assert_eq!(task.await.unwrap(), (Some(3), None));
    }

    #[tokio::test]
    async fn what_has_not_been_looked_at_can_be_taken_back() {
        let (writer, mut reader) = queue(1, 2);
        assert!(writer.take_back());
        writer.push(10);
        assert_eq!(reader.next().await, Some(10));
        assert!(!writer.take_back());
        drop(reader);
        assert!(!writer.room().await, "nobody reads");
    }
}
