//! Says how a stream stands, from time to time, to who has asked for it: by that they can tell one that waits, for an
//! interpreter or for a long call, from one that hangs.

use std::sync::Arc;
use std::time::Duration;

use arrow_flight::FlightData;
use prost::Message as _;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use udfleet_proto::v1::BatchResult;

use super::client_stream::ClientStream;
use super::target::Call;

/// The shortest period that may be asked for.
const SHORTEST: Duration = Duration::from_millis(50);

/// When a stream says how it stands.
pub(super) struct ProgressTicks {
    /// None: nobody has asked.
    interval: Option<Interval>,
    client: Arc<ClientStream>,
}

impl ProgressTicks {
    pub(super) fn of(call: &Call) -> Self {
        let interval = call.client.progress_every.map(|period| {
            let period = period.max(SHORTEST);
            let mut interval = interval_at(Instant::now() + period, period);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        });
        Self { interval, client: Arc::clone(&call.client) }
    }

    /// The outcome of `what`; `Err`: a message is due before it is there. `what` must lose nothing when it is dropped.
    pub(super) async fn or<T>(&mut self, what: impl Future<Output = T>) -> Result<T, FlightData> {
        let Some(interval) = &mut self.interval else { return Ok(what.await) };
        tokio::select! {
            biased;
            _ = interval.tick() => {}
            outcome = what => return Ok(outcome),
        }
        let result = BatchResult { progress: Some(self.client.progress()), ..BatchResult::default() };
        Err(FlightData { app_metadata: result.encode_to_vec().into(), ..FlightData::default() })
    }
}
