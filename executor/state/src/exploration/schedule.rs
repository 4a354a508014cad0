//! What may happen next.

use super::world::{PlantedBug, World};
use crate::{ClientEvent, Header, OwnerEvent, Reply, Request};

/// One thing that happens. Numbers are positions in the world's lists.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// A request reaches an owner: any that lives, since routes may be old.
    Ask {
        owner: usize,
        header: Header,
        request: Request,
        keep: bool,
    },
    Answer {
        client: usize,
        header: Header,
        reply: Reply,
        keep: bool,
    },
    LoseRequest(Header, Request),
    LoseReply(Header, Reply),
    Run(usize),
    RunFails(usize),
    Land(usize),
    Durable(usize),
    /// The write was refused by the store, or its outcome is unknown to its owner.
    WriteFails(usize),
    /// The newest owner is announced to a client.
    Announce(usize),
    Commit(usize),
    Timeout(usize),
    /// The newest owner ends; another opens the store.
    OwnerCrashes,
    /// Another opens the store while the owner is paused; it goes on later.
    OwnerIsReplaced,
    /// The newest owner has closed: another opens the store.
    OwnerReopens,
    /// The changes of a write land, its record does not, and the owner ends.
    TornWrite(usize),
    ClientCrashes,
    /// Another client opens the stream while the first goes on.
    ClientIsReplaced,
}

impl World {
    /// All that may happen next.
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = self.usual_steps();
        if self.is_silent() {
            steps.extend(self.steps_of_silence());
        }
        steps.extend(self.faults());
        steps
    }

    /// Whether nothing goes on, so that somebody has to ask again.
    pub fn is_silent(&self) -> bool {
        self.usual_steps().is_empty()
    }

    /// What happens without anything going wrong, except that messages are late.
    pub fn usual_steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for &(header, request) in &self.requests {
            let owners = 0..self.owners.len();
            steps.extend(owners.map(|owner| Step::Ask { owner, header, request, keep: false }));
        }
        for &(header, reply) in &self.replies {
            let client = self.clients.iter().position(|client| client.session == header.session);
            match client {
                Some(client) => steps.push(Step::Answer { client, header, reply, keep: false }),
                None => steps.push(Step::LoseReply(header, reply)),
            }
        }
        for (index, owner) in self.owners.iter().enumerate() {
            if owner.running.is_some() {
                steps.push(Step::Run(index));
            }
            match owner.writing {
                Some((_, _, true)) => steps.push(Step::Durable(index)),
                Some(_) if owner.epoch == self.store.epoch || self.bug == Some(PlantedBug::NoFence) => {
                    steps.push(Step::Land(index));
                }
                Some(_) => steps.push(Step::WriteFails(index)),
                None => {}
            }
        }
        let ready = self.clients.iter().enumerate().filter(|(_, client)| client.delivered && !client.core.is_over());
        steps.extend(ready.map(|(index, _)| Step::Commit(index)));
        steps
    }

    /// What happens when nothing else does.
    pub fn steps_of_silence(&self) -> Vec<Step> {
        if self.owners.last().is_none_or(|owner| owner.core.is_closed()) {
            return vec![Step::OwnerReopens];
        }
        let waiting = |index: &usize| !self.is_done(*index) && !self.clients[*index].core.is_over();
        (0..self.clients.len())
            .filter(waiting)
            .flat_map(|client| [Step::Announce(client), Step::Timeout(client)])
            .collect()
    }

    fn faults(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.budget.lost > 0 {
            steps.extend(self.requests.iter().map(|&(header, request)| Step::LoseRequest(header, request)));
            steps.extend(self.replies.iter().map(|&(header, reply)| Step::LoseReply(header, reply)));
        }
        if self.budget.doubled > 0 {
            let doubled = self.usual_steps().into_iter().filter_map(|step| match step {
                Step::Ask { owner, header, request, .. } => Some(Step::Ask { owner, header, request, keep: true }),
                Step::Answer { client, header, reply, .. } => Some(Step::Answer { client, header, reply, keep: true }),
                _ => None,
            });
            steps.extend(doubled);
        }
        if self.budget.crashes > 0 {
            steps.extend([Step::OwnerCrashes, Step::OwnerIsReplaced, Step::ClientCrashes, Step::ClientIsReplaced]);
            for (index, owner) in self.owners.iter().enumerate() {
                if owner.running.is_some() {
                    steps.push(Step::RunFails(index));
                }
                match owner.writing {
                    Some((_, Some(_), false)) if self.bug == Some(PlantedBug::RecordApart) => {
                        steps.extend([Step::WriteFails(index), Step::TornWrite(index)]);
                    }
                    Some(_) => steps.push(Step::WriteFails(index)),
                    None => {}
                }
            }
            for index in 0..self.clients.len() {
                steps.push(Step::Announce(index));
            }
        }
        steps
    }

    pub fn take(&mut self, step: Step) {
        self.apply(step);
        // An owner that has closed is asked no more once there is another.
        let newest = self.store.epoch;
        self.owners.retain(|owner| owner.epoch == newest || !owner.core.is_closed() || owner.writing.is_some());
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Ask { owner, header, request, keep } => {
                self.used(keep);
                if !keep {
                    self.requests.remove(&(header, request));
                }
                self.ask(owner, header, request);
            }
            Step::Answer { client, header, reply, keep } => {
                self.used(keep);
                if !keep {
                    self.replies.remove(&(header, reply));
                }
                self.client_event(client, ClientEvent::Answered(header, reply));
            }
            Step::LoseRequest(header, request) => {
                self.budget.lost -= 1;
                self.requests.remove(&(header, request));
            }
            Step::LoseReply(header, reply) => {
                self.replies.remove(&(header, reply));
                if self.clients.iter().any(|client| client.session == header.session) {
                    self.budget.lost -= 1;
                }
            }
            Step::Run(owner) => self.run(owner),
            Step::RunFails(owner) => {
                self.budget.crashes -= 1;
                if let Some(attempt) = self.owners[owner].running.take() {
                    self.owner_event(owner, OwnerEvent::RunFailed(attempt));
                }
            }
            Step::Land(owner) => self.land(owner, true),
            Step::Durable(owner) => {
                self.owners[owner].writing = None;
                self.owner_event(owner, OwnerEvent::Durable);
            }
            Step::WriteFails(owner) => {
                if self.owners[owner].epoch == self.store.epoch {
                    self.budget.crashes -= 1;
                }
                self.owners[owner].writing = None;
                self.owner_event(owner, OwnerEvent::WriteFailed);
            }
            Step::Announce(client) => self.client_event(client, ClientEvent::Owner(self.store.epoch)),
            Step::Commit(client) => {
                self.clients[client].delivered = false;
                self.client_event(client, ClientEvent::Commit);
            }
            Step::Timeout(client) => self.client_event(client, ClientEvent::Timeout),
            Step::OwnerCrashes => {
                self.budget.crashes -= 1;
                self.owners.pop();
                self.open_store();
            }
            Step::OwnerIsReplaced => {
                self.budget.crashes -= 1;
                self.open_store();
            }
            Step::OwnerReopens => {
                self.owners.pop();
                self.open_store();
            }
            Step::TornWrite(owner) => {
                self.budget.crashes -= 1;
                self.land(owner, false);
                self.owners.remove(owner);
                self.open_store();
            }
            Step::ClientCrashes => {
                self.budget.crashes -= 1;
                self.clients_lost += 1;
                self.clients.pop();
                self.open_client();
            }
            Step::ClientIsReplaced => {
                self.budget.crashes -= 1;
                self.clients_lost += 1;
                self.open_client();
            }
        }
    }

    fn used(&mut self, keep: bool) {
        if keep {
            self.budget.doubled -= 1;
        }
    }
}
