//! `/api/v1/events`: topics as they change, over server-sent events.
//!
//! Each topic is rendered once a second for all that watch it, and only while somebody does. Every change is sent whole:
//! who reads slowly gets the newest and none in between, so nothing is queued. A `tick` closes each second; its number
//! is where a reader that comes back goes on.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures::Stream;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use udfleet_edge::http::HttpError;
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

use super::Http;
use super::topics::Topic;

/// Readers at once.
const MOST_READERS: usize = 256;
/// Topics of one reader.
const MOST_TOPICS: usize = 8;
/// A reader has to come back after this time, and to show again who it is.
const LASTS: Duration = Duration::from_secs(600);

/// What is rendered for who watches.
pub struct Live {
    topics: Mutex<HashMap<Topic, watch::Sender<Frame>>>,
    /// The second that is rendered; none once the coordinator stops.
    done: Mutex<Option<watch::Sender<Second>>>,
    readers: AtomicUsize,
    /// Numbers of another run of the coordinator mean nothing in this one.
    run: u64,
}

/// A topic as it was last rendered.
#[derive(Clone, Default)]
struct Frame {
    /// When it has changed.
    tick: u64,
    json: Arc<str>,
}

/// Closes the changes of a second.
#[derive(Debug, Clone, Copy, Default, Serialize, JsonSchema)]
pub struct Second {
    /// Counts seconds since the coordinator started.
    tick: u64,
    /// When the fleet was looked at, in milliseconds since 1970.
    unix_ms: u64,
}

/// What a reader wants.
#[derive(Deserialize)]
pub struct Wanted {
    /// Names with commas between.
    topics: String,
}

/// A reader that is counted until dropped.
struct Reader(Http);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.live.readers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Live {
    /// `run` tells this run of the coordinator from others: when it started.
    #[must_use]
    pub fn new(run: u64) -> Self {
        let done = Mutex::new(Some(watch::Sender::default()));
        Self { topics: Mutex::default(), done, readers: AtomicUsize::new(0), run }
    }

    /// Renders what is watched whenever the fleet has been looked at.
    pub async fn run(&self, http: &Http) {
        let mut moments = http.monitor.moments();
        while moments.changed().await.is_ok() {
            let moment = moments.borrow_and_update().clone();
            {
                let mut topics = self.topics.lock();
                topics.retain(|_, sender| sender.receiver_count() > 0);
                for (topic, sender) in topics.iter() {
                    let Ok(json) = topic.render(http, &moment) else { continue };
                    let next = Frame { tick: moment.tick, json: json.into() };
                    sender.send_if_modified(|held| {
                        let changed = *held.json != *next.json;
                        if changed {
                            *held = next;
                        }
                        changed
                    });
                }
            }
            if let Some(done) = &*self.done.lock() {
                done.send_replace(Second { tick: moment.tick, unix_ms: moment.unix_ms });
            }
        }
    }

    /// Ends all readers.
    pub fn close(&self) {
        *self.done.lock() = None;
    }

    fn subscribe(&self, http: &Http, topic: &Topic) -> watch::Receiver<Frame> {
        let mut topics = self.topics.lock();
        if let Some(sender) = topics.get(topic).filter(|sender| sender.receiver_count() > 0) {
            return sender.subscribe();
        }
        let moment = http.monitor.moment();
        let json = topic.render(http, &moment).unwrap_or_else(|_| "null".to_owned());
        let (sender, receiver) = watch::channel(Frame { tick: moment.tick, json: json.into() });
        topics.insert(topic.clone(), sender);
        receiver
    }

    fn enter(&self, http: &Http) -> Result<(Reader, watch::Receiver<Second>), Error> {
        let busy = |text: &str| Error::new(ErrorCode::NoCapacity, text.to_owned());
        let done = self.done.lock().as_ref().map(watch::Sender::subscribe);
        let done = done.ok_or_else(|| busy("the coordinator is stopping"))?;
        let before = self.readers.fetch_add(1, Ordering::Relaxed);
        let reader = Reader(http.clone());
        if before >= MOST_READERS {
            return Err(
                busy("too many dashboards are open at this coordinator").hint("close some, or ask another coordinator")
            );
        }
        Ok((reader, done))
    }
}

/// One topic, as it is now.
pub async fn topic(State(http): State<Http>, Path(name): Path<String>) -> Result<Response, HttpError> {
    let topic = Topic::parse(&name)?;
    let json = topic.render(&http, &http.monitor.moment()).map_err(|e| Error::internal(e.to_string()))?;
    if json == "null" {
        return Err(Error::new(ErrorCode::InvalidInput, format!("there is no {name}")).into());
    }
    Ok(([(CONTENT_TYPE, "application/json")], json).into_response())
}

/// Topics as they change.
pub async fn events(
    State(http): State<Http>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, HttpError> {
    let names: Vec<String> = wanted.topics.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    if names.len() > MOST_TOPICS {
        let text = format!("{} topics, at most {MOST_TOPICS} fit into one stream", names.len());
        return Err(Error::new(ErrorCode::InvalidInput, text).into());
    }
    let topics = names.iter().map(|name| Topic::parse(name)).collect::<Result<Vec<_>, _>>()?;
    let (reader, done) = http.live.enter(&http)?;
    let seen = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| resumed(id, http.live.run));
    let frames = topics.iter().map(|topic| http.live.subscribe(&http, topic)).collect::<Vec<_>>();
    let stream = read(reader, names.into_iter().zip(frames).collect(), done, seen);
    // Proxies must not gather what is sent.
    Ok(([("x-accel-buffering", "no")], Sse::new(stream)))
}

/// The second up to which a reader of this run has read.
fn resumed(id: &str, run: u64) -> Option<u64> {
    let (of, tick) = id.split_once('-')?;
    (of.parse() == Ok(run)).then(|| tick.parse().ok())?
}

fn read(
    reader: Reader,
    mut topics: Vec<(String, watch::Receiver<Frame>)>,
    mut done: watch::Receiver<Second>,
    seen: Option<u64>,
) -> impl Stream<Item = Result<Event, Infallible>> {
    async_stream::stream! {
        let run = reader.0.live.run;
        let ends = tokio::time::Instant::now() + LASTS;
        // Read before the frames, which may be newer: who goes on behind it misses none.
        let mut second = *done.borrow_and_update();
        for (name, frame) in &mut topics {
            let frame = frame.borrow_and_update().clone();
            if seen.is_none_or(|seen| frame.tick > seen) {
                yield Ok(Event::default().event(&*name).data(&*frame.json));
            }
        }
        loop {
            if let Ok(event) = Event::default().event("tick").id(format!("{run}-{}", second.tick)).json_data(second) {
                yield Ok(event);
            }
            match tokio::time::timeout_at(ends, done.changed()).await {
                Ok(Ok(())) => {}
                _ => break,
            }
            second = *done.borrow_and_update();
            for (name, frame) in &mut topics {
                // A topic of which the sender is gone was rendered anew for others: this reader comes back.
                match frame.has_changed() {
                    Ok(true) => {
                        let json = Arc::clone(&frame.borrow_and_update().json);
                        yield Ok(Event::default().event(&*name).data(&*json));
                    }
                    Ok(false) => {}
                    Err(_) => return,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_go_on_where_they_were_in_the_same_run() {
        assert_eq!(resumed("7-12", 7), Some(12));
        for other in ["6-12", "7", "", "7-", "x-1", "7-x"] {
            assert_eq!(resumed(other, 7), None, "{other}");
        }
    }
}
