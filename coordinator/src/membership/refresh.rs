//! Numbers of now: executors are asked to report at once, and whoever wants to know waits for all of them.

use std::collections::BTreeMap;

use tokio::sync::oneshot;

use super::member::Member;

/// Requests for reports, numbered, and who waits for which.
#[derive(Default)]
pub(super) struct Refresh {
    latest: u64,
    waiting: Vec<(u64, oneshot::Sender<()>)>,
}

impl Refresh {
    /// Asks every attached executor.
    pub fn ask(&mut self, members: &BTreeMap<String, Member>, reply: oneshot::Sender<()>) {
        self.latest += 1;
        self.waiting.push((self.latest, reply));
        members.values().for_each(|member| member.request_report(self.latest));
        self.settle(members);
    }

    /// A new attach owes an answer too.
    pub fn joined(&self, member: &Member) {
        if !self.waiting.is_empty() {
            member.request_report(self.latest);
        }
    }

    /// Answers those whose request every attached executor has answered.
    pub fn settle(&mut self, members: &BTreeMap<String, Member>) {
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
    }
}
