//! Current metrics: executors are asked to report at once, and requests wait for all of them. Requests during a round
//! share the next one, so that any number of viewers costs executors one report per round.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::member::Member;

/// A round that an executor holds up does not hold up the next one for longer.
const ROUND_WITHIN: Duration = Duration::from_millis(100);

/// Requests for reports, numbered, and who waits for which.
#[derive(Default)]
pub(super) struct Refresh {
    latest: u64,
    begun: Option<Instant>,
    waiting: Vec<(u64, oneshot::Sender<()>)>,
    next: Vec<oneshot::Sender<()>>,
}

impl Refresh {
    /// Asks every attached executor, at once or in the next round.
    pub fn ask(&mut self, members: &BTreeMap<String, Member>, reply: oneshot::Sender<()>, now: Instant) {
        self.next.push(reply);
        if !self.under_way(now) {
            self.begin(members, now);
        }
    }

    fn begin(&mut self, members: &BTreeMap<String, Member>, now: Instant) {
        self.latest += 1;
        self.begun = Some(now);
        let latest = self.latest;
        self.waiting.extend(self.next.drain(..).map(|reply| (latest, reply)));
        members.values().for_each(|member| member.request_report(latest));
        self.settle(members, now);
    }

    /// A new attachment owes an answer too.
    pub fn joined(&self, member: &Member) {
        if !self.waiting.is_empty() {
            member.request_report(self.latest);
        }
    }

    /// Answers those whose request every attached executor has answered, then begins the next round.
    pub fn settle(&mut self, members: &BTreeMap<String, Member>, now: Instant) {
        if self.waiting.is_empty() {
            return;
        }
        let attached = members.values().filter(|member| member.attached());
        let answered = attached.map(|member| member.report.answers).min().unwrap_or(u64::MAX);
        let waiting = std::mem::take(&mut self.waiting);
        for (number, reply) in waiting {
            if number <= answered {
                // Who asked may have given up.
                let _ = reply.send(());
            } else if !reply.is_closed() {
                self.waiting.push((number, reply));
            }
        }
        if !self.next.is_empty() && !self.under_way(now) {
            self.begin(members, now);
        }
    }

    fn under_way(&self, now: Instant) -> bool {
        let open = self.waiting.iter().any(|(number, _)| *number == self.latest);
        open && self.begun.is_some_and(|begun| now.saturating_duration_since(begun) < ROUND_WITHIN)
    }
}
