//! Sends a client messages about the bundles of its stream, if it asks for them.

use std::time::Instant;

use arrow_flight::FlightData;
use prost::Message;
use udfleet_proto::v1::{BatchResult, BundleProgress};

use super::batch::ResultPart;
use super::bundle::{Bundles, Intake};
use super::target::Call;

/// Counts what goes out.
pub(super) struct Watch(Option<(Bundles, Call)>);

impl Watch {
    pub(super) fn new(call: &Call) -> Self {
        Self(call.bundles().map(|bundles| (bundles, call.clone())))
    }

    /// A part goes out. What comes at the end of an aggregation belongs to the last bundle.
    pub(super) fn part(&mut self, part: &ResultPart, of: Option<&Intake>) {
        let Some((bundles, _)) = &mut self.0 else { return };
        let end = Intake { rows: 0, bytes: 0, arrived: Instant::now() };
        bundles.part(of.unwrap_or(&end), part.rows, part.body.len(), &part.timing);
        if let Some(batch) = of.filter(|_| part.last) {
            bundles.answered(batch);
        }
    }

    /// When a message may be due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.0.as_ref()?.0.next_due()
    }

    /// The message that is due now.
    pub(super) fn due(&mut self) -> Option<FlightData> {
        let (bundles, call) = self.0.as_mut()?;
        bundles.due(Instant::now()).map(|progress| message(progress, call))
    }

    /// The stream has ended well: so has its last bundle.
    pub(super) fn end(&mut self) -> Option<FlightData> {
        let (bundles, call) = self.0.as_mut()?;
        bundles.end(Instant::now()).map(|progress| message(progress, call))
    }
}

fn message(progress: BundleProgress, call: &Call) -> FlightData {
    let progress = BundleProgress { metrics: call.user_metrics(), ..progress };
    let result = BatchResult { bundle: Some(progress), ..BatchResult::default() };
    FlightData { app_metadata: result.encode_to_vec().into(), ..FlightData::default() }
}
