//! Makes reports: changes since the previous one, cut into messages of bounded size.

mod size;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use udfleet_edge::tracked::Difference;
use udfleet_proto::v1::{
    BuildLogLine, EnvironmentReference, FunctionMetrics, FunctionReference, FunctionStatus, HeldDevice, Report,
};

use crate::metrics::MetricsNews;
use crate::node::{Board, Context, Desired, View};
use size::{REPORT_BYTES, SizeBudget, cut_metrics, cut_status};

/// Makes the reports of this node.
pub(super) struct Reporter {
    context: Arc<Context>,
    reports: ReportSequence,
}

impl Reporter {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self { context, reports: ReportSequence::default() }
    }

    /// A new attachment.
    pub(super) fn start_over(&mut self) {
        self.reports.start_over();
    }

    /// The coordinator has asked for a report.
    pub(super) fn asked(&mut self, number: u64) {
        self.reports.asked(number);
    }

    /// The next report; true where more has to follow.
    pub(super) fn report(&mut self) -> (Report, bool) {
        let context = &self.context;
        let (interpreters, rss_bytes) = context.memory.totals();
        let numbers = NodeNumbers {
            interpreters,
            rss_bytes,
            certificate_ends_unix: context.credentials.as_ref().map_or(0, |own| own.numbers().not_after),
            in_flight: context.stats.in_flight() as u32,
            busy: context.stats.in_flight() > 0 || context.table.streams() > 0,
            devices: context.devices.held(),
            secrets: context.secrets.names(),
        };
        self.reports.next(&context.board, |after| context.stats.news(after, Instant::now()), numbers)
    }
}

/// What a report says of the node as a whole.
#[derive(Debug, Clone, Default)]
pub struct NodeNumbers {
    /// That run.
    pub interpreters: u32,
    /// Their private memory.
    pub rss_bytes: u64,
    /// When its certificate ends; 0 without TLS.
    pub certificate_ends_unix: u64,
    /// Batches accepted and not yet answered.
    pub in_flight: u32,
    /// Something is under way that a drain waits for.
    pub busy: bool,
    /// That interpreters hold.
    pub devices: Vec<HeldDevice>,
    /// Names of those that it has.
    pub secrets: Vec<String>,
}

/// Numbers the reports to one coordinator, and says each thing once per attachment. Pure.
#[derive(Default)]
pub struct ReportSequence {
    sequence: u64,
    answers: u64,
    sent: SentReports,
}

impl ReportSequence {
    /// A new attachment: what was sent last may not have arrived. Everything is sent again.
    pub fn start_over(&mut self) {
        self.answers = 0;
        self.sent = SentReports { unsent: std::mem::take(&mut self.sent.unsent), ..SentReports::default() };
    }

    /// The coordinator has asked for a report; the next complete one says that it is the answer.
    pub fn asked(&mut self, number: u64) {
        self.answers = self.answers.max(number);
    }

    /// The next report, where `metrics` gives what has changed of them since a change; true where more has to follow.
    pub fn next(
        &mut self,
        board: &Board,
        metrics: impl FnOnce(u64) -> MetricsNews,
        numbers: NodeNumbers,
    ) -> (Report, bool) {
        let mut view = board.view(self.sent.line, self.sent.change);
        let loads = std::mem::take(&mut view.loads);
        let desired = Arc::clone(&view.desired);
        let (mut news, more) = self.sent.next(view, metrics(self.sent.metrics_change));
        if self.sent.secrets.as_ref() != Some(&numbers.secrets) {
            news.secrets_changed = true;
            news.secrets.clone_from(&numbers.secrets);
            self.sent.secrets = Some(numbers.secrets);
        }
        self.sequence += 1;
        let report = Report {
            sequence: self.sequence,
            term: desired.term,
            revision: desired.revision,
            more,
            interpreters: numbers.interpreters,
            rss_bytes: numbers.rss_bytes,
            certificate_ends_unix: numbers.certificate_ends_unix,
            in_flight: numbers.in_flight,
            drained: desired.draining && !numbers.busy,
            answers: if more { 0 } else { self.answers },
            loads,
            devices: numbers.devices,
            ..news
        };
        (report, more)
    }
}

/// What has been sent on one attachment.
#[derive(Default)]
struct SentReports {
    /// The last line of build output.
    line: u64,
    /// The last change of a function.
    change: u64,
    built: Option<Vec<String>>,
    secrets: Option<Vec<String>>,
    /// What of desired state has been told; `None`: nothing yet.
    desired: Option<Arc<Desired>>,
    /// Functions of which something has been told.
    functions: HashSet<String>,
    /// Of these, those that are desired no more, which has not been told.
    unassigned: BTreeSet<String>,
    metrics: HashMap<String, FunctionMetrics>,
    /// The last change of metrics that has been heard of.
    metrics_change: u64,
    /// Functions whose metrics are there no more, which has not been told.
    forgotten: BTreeSet<String>,
    /// Metrics that there was no room for.
    unsent: BTreeMap<String, FunctionMetrics>,
}

impl SentReports {
    /// What a report says of `view` and `metrics` beyond what has been sent; true where not all of it had room.
    fn next(&mut self, view: View, metrics: MetricsNews) -> (Report, bool) {
        let mut report = Report::default();
        self.metrics_change = metrics.change;
        self.forget(&metrics, &mut report);
        for metrics in metrics.changed {
            if self.metrics.get(&metrics.function) != Some(&metrics) {
                self.unsent.insert(metrics.function.clone(), metrics);
            }
        }
        self.desired(&view.desired, &mut report);
        let mut more = self.unassigned(&mut report);
        more |= self.functions(view.functions, &view.desired, &mut report);
        more |= self.lines(view.build_log, &mut report);
        more |= self.unsent(&mut report);
        if self.built.as_ref() != Some(&view.built) {
            report.built_changed = true;
            report.built_environments.clone_from(&view.built);
            self.built = Some(view.built);
        }
        (report, more)
    }

    /// Where desired state is another than was told: its environments, and the functions that it names no more.
    fn desired(&mut self, desired: &Arc<Desired>, report: &mut Report) {
        let told = self.desired.as_ref();
        if told.is_some_and(|told| Arc::ptr_eq(told, desired)) {
            return;
        }
        let same = |told: &Arc<Desired>| desired.environments.since(&told.environments, |a, b| a == b).is_empty();
        if !told.is_some_and(same) {
            report.environments_changed = true;
            let environment = |(hash, interpreters): (&String, &u32)| EnvironmentReference {
                hash: hash.clone(),
                interpreters: *interpreters,
            };
            report.environments = desired.environments.iter().map(environment).collect();
        }
        if let Some(told) = self.desired.replace(Arc::clone(desired)) {
            for Difference { key, now, .. } in desired.functions.since(&told.functions, Arc::ptr_eq) {
                match now {
                    // It is told anew, since its reference is new.
                    Some(_) => drop(self.unassigned.remove(key)),
                    None if self.functions.contains(key) => drop(self.unassigned.insert(key.clone())),
                    None => {}
                }
            }
        }
    }

    /// The functions that are desired no more.
    fn unassigned(&mut self, report: &mut Report) -> bool {
        let mut room = REPORT_BYTES;
        while let Some(name) = self.unassigned.pop_first() {
            self.functions.remove(&name);
            room = room.saturating_sub(name.len());
            report.unassigned.push(name);
            if room == 0 {
                return !self.unassigned.is_empty();
            }
        }
        false
    }

    fn functions(&mut self, statuses: Vec<(u64, FunctionStatus)>, desired: &Desired, report: &mut Report) -> bool {
        let mut room = SizeBudget::default();
        for (change, status) in statuses {
            let status = cut_status(status);
            if !room.takes(&status) {
                return true;
            }
            self.change = change;
            // The board has none that are not desired.
            let reference = desired.functions.get(&status.function);
            report.references.extend(reference.map(|reference| FunctionReference::clone(reference)));
            self.functions.insert(status.function.clone());
            report.functions.push(status);
        }
        false
    }

    fn lines(&mut self, lines: Vec<BuildLogLine>, report: &mut Report) -> bool {
        let mut room = SizeBudget::default();
        for line in lines {
            if !room.takes(&line) {
                return true;
            }
            self.line = line.sequence;
            report.build_log.push(line);
        }
        false
    }

    /// Counters that are gone begin at zero should the function come back.
    fn forget(&mut self, news: &MetricsNews, report: &mut Report) {
        if news.whole {
            let now: HashSet<&str> = news.changed.iter().map(|m| m.function.as_str()).collect();
            let gone = self.metrics.keys().filter(|function| !now.contains(function.as_str()));
            self.forgotten.extend(gone.cloned());
        }
        self.forgotten.extend(news.gone.iter().cloned());
        for back in &news.changed {
            self.forgotten.remove(&back.function);
        }
        let unsent = &self.unsent;
        for function in self.forgotten.extract_if(.., |function| !unsent.contains_key(function)) {
            report.forgotten.extend(self.metrics.remove(&function).map(|_| function));
        }
    }

    fn unsent(&mut self, report: &mut Report) -> bool {
        let mut room = SizeBudget::default();
        while let Some(first) = self.unsent.first_entry() {
            let mut metrics = cut_metrics(first.get());
            // They are large next to the counters, and change less often.
            let told = self.metrics.get(first.key()).is_some_and(|told| told.failures == metrics.failures);
            if told && !metrics.failures.is_empty() {
                metrics.failures.clear();
                metrics.failures_unchanged = true;
            }
            if !room.takes(&metrics) {
                return true;
            }
            let (function, whole) = first.remove_entry();
            self.metrics.insert(function, whole);
            report.metrics.push(metrics);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use udfleet_proto::v1::ErrorGroup;

    use super::*;

    fn calls(name: &str, calls: u64) -> FunctionMetrics {
        FunctionMetrics { function: name.to_owned(), calls, ..FunctionMetrics::default() }
    }

    fn whole(metrics: Vec<FunctionMetrics>) -> MetricsNews {
        MetricsNews { changed: metrics, whole: true, ..MetricsNews::default() }
    }

    fn told(report: &Report) -> Vec<(&str, u64)> {
        report.metrics.iter().map(|m| (m.function.as_str(), m.calls)).collect()
    }

    #[test]
    fn numbers_are_told_when_they_change_and_forgotten_ones_are_named() {
        let mut all = SentReports::default();
        let (report, _) = all.next(View::default(), whole(vec![calls("f@1", 1), calls("g@1", 2)]));
        assert_eq!(told(&report), [("f@1", 1), ("g@1", 2)]);
        let (report, _) = all.next(View::default(), whole(vec![calls("f@1", 1), calls("g@1", 3)]));
        assert_eq!((told(&report), report.forgotten.len()), (vec![("g@1", 3)], 0));
        let (report, _) = all.next(View::default(), whole(vec![calls("f@1", 1)]));
        assert_eq!((told(&report), report.forgotten.clone()), (vec![], vec!["g@1".to_owned()]));
        let (report, _) = all.next(View::default(), whole(vec![calls("f@1", 1), calls("g@1", 3)]));
        assert_eq!(told(&report), [("g@1", 3)], "counted from zero again");
    }

    #[test]
    fn what_fails_is_told_when_it_changes() {
        let failing = |count, failures: u64| {
            let group = ErrorGroup { count: failures, ..ErrorGroup::default() };
            FunctionMetrics { failures: vec![group], ..calls("f@1", count) }
        };
        let mut all = SentReports::default();
        let mut told = |metrics| {
            let report = all.next(View::default(), whole(vec![metrics])).0;
            (report.metrics[0].failures.len(), report.metrics[0].failures_unchanged)
        };
        assert_eq!(told(failing(1, 1)), (1, false));
        assert_eq!(told(failing(2, 1)), (0, true));
        assert_eq!(told(failing(3, 2)), (1, false));
        all.metrics.clear();
        let report = all.next(View::default(), whole(vec![failing(4, 2)])).0;
        assert_eq!(report.metrics[0].failures.len(), 1, "whole to who attaches anew");
    }

    #[test]
    fn what_is_desired_is_told_when_it_changes_and_whole_to_who_attaches_anew() {
        let desired = |revision: u64, names: &[&str], environments: &[(&str, u32)]| {
            let reference = |name: &&str| {
                let function = (*name).to_owned();
                (function.clone(), Arc::new(FunctionReference { function, since: 1, ..Default::default() }))
            };
            Arc::new(Desired {
                revision,
                functions: names.iter().map(reference).collect(),
                environments: environments.iter().map(|(hash, n)| ((*hash).to_owned(), *n)).collect(),
                ..Desired::default()
            })
        };
        let view = |desired: &Arc<Desired>, names: &[&str]| View {
            desired: Arc::clone(desired),
            functions: names
                .iter()
                .map(|name| (1, FunctionStatus { function: (*name).to_owned(), ..Default::default() }))
                .collect(),
            ..View::default()
        };
        let mut one = SentReports::default();
        let first = desired(1, &["f@1", "g@1"], &[("e", 2)]);
        let report = one.next(view(&first, &["f@1", "g@1"]), MetricsNews::default()).0;
        assert_eq!((report.references.len(), report.environments_changed, report.environments.len()), (2, true, 1));
        let report = one.next(view(&first, &[]), MetricsNews::default()).0;
        assert!(!report.environments_changed && report.references.is_empty() && report.unassigned.is_empty());
        let second = desired(2, &["g@1"], &[("e", 2)]);
        let report = one.next(view(&second, &[]), MetricsNews::default()).0;
        assert_eq!((report.unassigned, report.environments_changed), (vec!["f@1".to_owned()], false));
        let anew = SentReports::default().next(view(&second, &["g@1"]), MetricsNews::default()).0;
        assert_eq!((anew.references.len(), anew.unassigned.len(), anew.environments_changed), (1, 0, true));
    }

    #[test]
    fn what_is_built_is_told_when_it_changes() {
        let mut all = SentReports::default();
        let view = |built: &[&str]| View { built: built.iter().map(|h| (*h).to_owned()).collect(), ..View::default() };
        assert!(all.next(view(&[]), MetricsNews::default()).0.built_changed);
        assert!(!all.next(view(&[]), MetricsNews::default()).0.built_changed);
        let report = all.next(view(&["e"]), MetricsNews::default()).0;
        assert_eq!((report.built_changed, report.built_environments), (true, vec!["e".to_owned()]));
    }
}
