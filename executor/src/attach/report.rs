//! Makes reports.

use std::sync::Arc;

use udfleet_proto::v1::Report;

use crate::node::Context;

/// Numbers reports and sends each build line once per attachment.
pub(super) struct Reporter {
    context: Arc<Context>,
    sequence: u64,
    last_line: u64,
    answers: u64,
}

impl Reporter {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self { context, sequence: 0, last_line: 0, answers: 0 }
    }

    /// A new attachment: what was sent last may not have arrived. Lines are numbered, so repeating them does no harm.
    pub(super) fn start_over(&mut self) {
        self.last_line = 0;
        self.answers = 0;
    }

    /// The coordinator has asked for a report; the next one says that it is the answer.
    pub(super) fn asked(&mut self, number: u64) {
        self.answers = self.answers.max(number);
    }

    /// The state of this executor now.
    pub(super) fn report(&mut self) -> Report {
        let view = self.context.board.view(self.last_line);
        self.sequence += 1;
        self.last_line = view.build_log.last().map_or(self.last_line, |line| line.sequence);
        let (interpreters, rss_bytes) = self.context.memory.totals();
        let in_flight = self.context.table.in_flight();
        Report {
            sequence: self.sequence,
            revision: view.revision,
            functions: view.functions,
            metrics: self.context.stats.report(),
            build_log: view.build_log,
            built_environments: view.built,
            interpreters,
            rss_bytes,
            in_flight: in_flight as u32,
            drained: view.draining && in_flight == 0 && self.context.table.streams() == 0,
            answers: self.answers,
        }
    }
}
