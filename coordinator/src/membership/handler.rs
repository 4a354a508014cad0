//! The actor: hands each message to [`MembershipCore`]. It never waits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::watch;
use udfleet_edge::clock;

use super::claims::Claims;
use super::core::MembershipCore;
use super::message::Message;
use crate::leader::Session;
use crate::registry::Registry;

const TICK: Duration = Duration::from_millis(500);

pub(super) struct Membership;

pub(super) struct MembershipState {
    pub core: MembershipCore,
    pub registry: Arc<Registry>,
    /// Executors that are attached here.
    pub claims: watch::Sender<Claims>,
    pub session: Session,
}

impl Actor for Membership {
    type Msg = Message;
    type State = MembershipState;
    type Arguments = MembershipState;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        state: MembershipState,
    ) -> Result<MembershipState, ActorProcessingErr> {
        // Ends with the actor.
        tokio::spawn(async move {
            while myself.send_message(Message::Tick).is_ok() {
                clock::sleep(TICK).await;
            }
        });
        Ok(state)
    }

    async fn handle(
        &self,
        _: ActorRef<Message>,
        message: Message,
        state: &mut MembershipState,
    ) -> Result<(), ActorProcessingErr> {
        let now = clock::now();
        let tick = matches!(message, Message::Tick);
        handle(message, state, now);
        if tick {
            state.session.set_may_lead(state.core.may_lead(now));
        }
        if let Some(claims) = state.core.take_claims() {
            state.claims.send_replace(claims);
        }
        Ok(())
    }
}

/// Who asked may be gone: answers that nobody takes are dropped.
fn handle(message: Message, MembershipState { core, registry, .. }: &mut MembershipState, now: Instant) {
    match message {
        Message::Attached { attachment, reply } => drop(reply.send(core.attach(*attachment, now))),
        Message::Reported { executor, number, report } => core.report(&executor, number, *report, now),
        Message::Goodbye { executor, number } => core.goodbye(&executor, number),
        Message::Detached { executor, number } => core.detach(&executor, number, now),
        // Read here: whoever told of a change may have been overtaken by another.
        Message::CatalogChanged { reply } => {
            core.set_catalog(registry.catalog());
            reply.map(|reply| reply.send(()));
        }
        Message::Feasible { definition, reply } => drop(reply.send(core.feasible(*definition))),
        Message::Watch { function, unplaced, events } => core.watch(&function, unplaced, events),
        Message::Refresh { reply } => core.refresh(reply, now),
        Message::Nodes { reply } => drop(reply.send(core.nodes())),
        Message::Tick => core.tick(now),
        Message::Admit { executor, incarnation, reply } => drop(reply.send(core.admit(&executor, &incarnation))),
        Message::Remembered { executor, revision, record, reply } => {
            let info = core.remember(&executor, revision, record, now);
            if let Some(reply) = reply {
                drop(reply.send(info));
            }
        }
        Message::Claimed { executor, coordinator, claim } => core.claimed(&executor, &coordinator, claim),
        Message::ClaimsListed(claims) => core.claims_listed(claims),
        Message::Coordinators(living) => core.coordinators_changed(living),
        Message::Lead { term, awaited } => core.lead(term, awaited, now),
        Message::Follow => core.follow(),
    }
}
