//! What a report has room for.

use prost::Message as _;
use udfleet_proto::error::shrink;
use udfleet_proto::v1::{FunctionMetrics, FunctionStatus};

/// What one report holds of each kind, bytes: far below the bound of a control message.
pub(super) const REPORT_BYTES: usize = 2 << 20;
/// The largest status or metrics of one function, bytes; more is cut.
const LARGEST: usize = 1 << 20;
/// What is left of an error that is too large, bytes.
const CUT_ERROR: usize = 16 << 10;

/// Counts bytes of one kind; the first item always fits.
#[derive(Default)]
pub(super) struct SizeBudget {
    used: usize,
}

impl SizeBudget {
    /// Whether there is room for it.
    pub(super) fn takes(&mut self, item: &impl prost::Message) -> bool {
        let before = self.used;
        self.used += item.encoded_len();
        before == 0 || self.used <= REPORT_BYTES
    }
}

/// With less of its error, where that is too large.
pub(super) fn cut_status(mut status: FunctionStatus) -> FunctionStatus {
    if status.encoded_len() > LARGEST {
        status.error = status.error.map(|error| shrink(&error, CUT_ERROR));
    }
    status
}

/// Without the user metrics that there is no room for.
pub(super) fn cut_metrics(metrics: &FunctionMetrics) -> FunctionMetrics {
    let mut metrics = metrics.clone();
    if metrics.encoded_len() > LARGEST {
        let (mut room, all) = (LARGEST / 2, metrics.user.len());
        metrics.user.retain(|metric| {
            let fits = metric.encoded_len() <= room;
            room = room.saturating_sub(metric.encoded_len());
            fits
        });
        let kept = metrics.user.len();
        tracing::warn!(function = metrics.function, kept, all, "its user metrics are too large to report");
    }
    metrics
}

#[cfg(test)]
mod tests {
    use udfleet_proto::error::Error;
    use udfleet_proto::v1::{ErrorCode, LoadState, UserMetric};

    use super::super::SentReports;
    use super::*;
    use crate::metrics::MetricsNews;
    use crate::node::View;

    fn status(name: &str, message: usize) -> FunctionStatus {
        let error = Error::new(ErrorCode::LoadFailed, "x".repeat(message)).into_info();
        FunctionStatus {
            function: name.to_owned(),
            state: LoadState::Failed as i32,
            error: Some(error),
            ..FunctionStatus::default()
        }
    }

    #[test]
    fn reports_are_cut_to_size_and_lose_nothing() {
        let statuses: Vec<_> = (1..=40).map(|n: u64| (n, status(&format!("f{n}@1"), 256 << 10))).collect();
        let (mut told, mut seen, mut reports) = (SentReports::default(), Vec::new(), 0);
        loop {
            let newer = statuses.iter().filter(|(change, _)| *change > told.change).cloned().collect();
            let (report, more) = told.next(View { functions: newer, ..View::default() }, MetricsNews::default());
            assert!(report.encoded_len() <= 2 * REPORT_BYTES);
            seen.extend(report.functions.iter().map(|s| s.function.clone()));
            reports += 1;
            if !more {
                break;
            }
        }
        assert!(reports > 4);
        assert_eq!(seen, statuses.iter().map(|(_, s)| s.function.clone()).collect::<Vec<_>>());
        let (huge, _) = told
            .next(View { functions: vec![(99, status("g@1", 40 << 20))], ..View::default() }, MetricsNews::default());
        let error = huge.functions[0].error.as_ref().unwrap();
        assert_eq!(error.code(), ErrorCode::LoadFailed);
        assert!((100..=CUT_ERROR).contains(&error.message.len()));
    }

    #[test]
    fn metrics_that_are_too_large_are_cut_and_the_others_told() {
        let metric =
            |index: usize| UserMetric { name: format!("{index}{}", "x".repeat(100 << 10)), ..UserMetric::default() };
        let named = |name: &str, user| FunctionMetrics { function: name.to_owned(), user, ..Default::default() };
        let all = vec![named("f@1", (0..900).map(metric).collect()), named("g@1", vec![metric(0)])];
        let metrics = MetricsNews { changed: all, whole: true, ..MetricsNews::default() };
        let (report, _) = SentReports::default().next(View::default(), metrics);
        assert_eq!(report.metrics.iter().map(|m| &*m.function).collect::<Vec<_>>(), ["f@1", "g@1"]);
        assert!(!report.metrics[0].user.is_empty() && report.encoded_len() <= LARGEST);
    }
}
