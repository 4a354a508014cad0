//! The interpreters of an environment: started, scaled, replaced and stopped.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use ractor::{Actor, ActorId, ActorRef};
use udfleet_proto::config;
use udfleet_proto::error::Error;
use udfleet_proto::network::Network;
use udfleet_proto::v1::Subtask;

use super::{EnvironmentMessage, EnvironmentState};
use crate::environment::store::LeasedEnvironment;
use crate::node::devices::{self, DeviceGrant};
use crate::node::interpreter::{self, Functions, InterpreterActor, InterpreterEvent, InterpreterMessage};
use crate::node::scaling::{self, Bounds, LoadSample, ScalingStep};
use crate::node::variables::ProcessVariables;

impl EnvironmentState {
    /// The bounds of the number of interpreters: a number that a function sets is kept.
    pub(super) fn bounds(&self) -> Bounds {
        let rule = self.context.scaling;
        let least = self.wanted.interpreters.max(1);
        let most = if self.fixed.0 > 0 { least } else { rule.most_per_environment.max(least) };
        Bounds { least, most, cores: rule.cores.max(least) }
    }

    /// Checks the load of interpreters. True if their number changes.
    pub(super) fn look(&mut self) -> bool {
        let (load, context) = (self.pool.load(), &self.context);
        context.board.load(load.report(&self.hash));
        let (running, _) = context.memory.totals();
        let needs = self.device_needs();
        let devices = context.devices.room(&needs).unwrap_or(u32::MAX);
        if self.starved && devices > 0 {
            return true;
        }
        let room = context.memory.room().min(context.limits.max_interpreters.saturating_sub(running)).min(devices);
        let claimed = context.devices.wanted_by_others(&self.hash, &needs);
        let sample = LoadSample { claimed, ..LoadSample::of(&load) };
        match self.scaler.look(&sample, self.bounds(), room, context.scaling.idle, Instant::now()) {
            ScalingStep::Keep => {
                self.keep_retiring();
                false
            }
            ScalingStep::Grow(target) => {
                tracing::info!(environment = self.hash, target, ?sample, "calls wait: more interpreters");
                self.keep_retiring();
                true
            }
            // A restart goes through the interpreters that there are.
            ScalingStep::Shrink if self.renewal.is_some() => false,
            ScalingStep::Shrink => self.retire_last(),
        }
    }

    /// Stops the interpreter of the last slot once it is idle; until then it gets no new calls.
    fn retire_last(&mut self) -> bool {
        let slot = self.scaler.target().saturating_sub(1);
        self.retiring = Some(slot);
        let busy = self.in_service.get(&slot).is_some_and(|last| !self.pool.retire(last.pid(), scaling::PERIOD));
        if busy {
            return false;
        }
        self.scaler.shrunk();
        self.retiring = None;
        tracing::info!(environment = self.hash, target = self.scaler.target(), "one interpreter fewer");
        true
    }

    fn keep_retiring(&mut self) {
        if let Some(kept) = self.retiring.take().and_then(|slot| self.in_service.get(&slot)) {
            self.pool.reinstate(kept.pid());
        }
    }

    pub(super) fn news(&mut self, slot: u32, event: InterpreterEvent, myself: &ActorRef<EnvironmentMessage>) {
        let executor = self.context.executor.clone();
        let here = move |error: Error| error.with(|info| info.executor = executor);
        let pause = match event {
            InterpreterEvent::Up(interpreter) => {
                self.in_service.insert(slot, interpreter);
                return self.roster.up(slot);
            }
            InterpreterEvent::Stalled => return self.roster.stalled(slot),
            InterpreterEvent::Loaded(number) => return self.roster.loaded(slot, number),
            InterpreterEvent::Unloaded => return self.roster.unloaded(slot),
            InterpreterEvent::Refused(number, error) => {
                self.renewal_refused(slot, number, &error);
                if let Some(pause) = self.roster.refused(slot, number, here(error)) {
                    myself.send_after(pause, move || EnvironmentMessage::Retry(number));
                }
                return;
            }
            InterpreterEvent::StartFailed(error) => {
                tracing::warn!(environment = self.hash, "{error}");
                self.renewal_failed(slot, &error);
                self.roster.start_failed(slot, here(error))
            }
            InterpreterEvent::Ended { lived, loading } => {
                if let Some((number, error)) = &loading {
                    self.renewal_refused(slot, *number, error);
                }
                self.roster.ended(slot, lived, loading.map(|(number, error)| (number, here(error))))
            }
        };
        self.interpreters.remove(&slot);
        self.in_service.remove(&slot);
        self.waiting.insert(slot);
        myself.send_after(pause, move || EnvironmentMessage::Restart(slot));
    }

    pub(super) fn slot_of(&self, actor: ActorId) -> Option<u32> {
        self.interpreters.iter().find(|(_, interpreter)| interpreter.get_id() == actor).map(|(slot, _)| *slot)
    }

    pub(super) async fn keep_interpreters(
        &mut self,
        held: &Arc<LeasedEnvironment>,
        myself: &ActorRef<EnvironmentMessage>,
    ) {
        let regular = self.scaler.target();
        let slots = regular + self.roster.spares(regular);
        self.starved = false;
        for slot in 0..slots {
            let functions = self.roster.assigned(slot, regular);
            match self.interpreters.get(&slot) {
                Some(_) if self.told.get(&slot).is_some_and(|told| told.is(&functions)) => {}
                // Fails for one that is ending, which reports that itself.
                Some(interpreter) => drop(interpreter.send_message(InterpreterMessage::Want(functions.clone()))),
                None if self.waiting.contains(&slot) => continue,
                None => match self.grant(slot) {
                    Some(grant) => self.start_interpreter(slot, held, functions.clone(), grant, myself).await,
                    None => {
                        self.starved = true;
                        continue;
                    }
                },
            }
            self.told.insert(slot, functions);
        }
        for (slot, surplus) in self.interpreters.split_off(&slots) {
            self.roster.remove_slot(slot);
            self.in_service.remove(&slot);
            self.told.remove(&slot);
            surplus.stop(None);
        }
        self.grants.retain(|slot, _| *slot < slots);
        if !self.starved {
            self.context.devices.give_up(&self.hash);
        }
    }

    /// The devices that each interpreter needs.
    pub(super) fn device_needs(&self) -> BTreeMap<String, u32> {
        devices::needs(self.wanted.functions.iter().map(|(_, function)| &**function))
    }

    /// Where its functions may connect to: the same for all of them, since others are in other groups.
    fn network(&self) -> Network {
        self.wanted.functions.values().next().map_or(Network::None, |function| config::network(function))
    }

    /// The devices of a slot's interpreters; `None`: others hold them.
    fn grant(&mut self, slot: u32) -> Option<Arc<DeviceGrant>> {
        if let Some(held) = self.grants.get(&slot) {
            return Some(Arc::clone(held));
        }
        let grant = Arc::new(self.context.devices.acquire(&self.hash, &self.device_needs())?);
        self.grants.insert(slot, Arc::clone(&grant));
        Some(grant)
    }

    fn subtask(&mut self, slot: u32) -> Subtask {
        let starts = self.starts.entry(slot).or_default();
        let attempt = *starts;
        *starts += 1;
        let max_parallelism = self.context.limits.max_interpreters;
        Subtask { index: slot, parallelism: self.scaler.target(), max_parallelism, attempt }
    }

    async fn start_interpreter(
        &mut self,
        slot: u32,
        held: &Arc<LeasedEnvironment>,
        functions: Functions,
        devices: Arc<DeviceGrant>,
        myself: &ActorRef<EnvironmentMessage>,
    ) {
        let arguments = interpreter::Arguments {
            context: Arc::clone(&self.context),
            held: Arc::clone(held),
            pool: Arc::clone(&self.pool),
            slot,
            subtask: self.subtask(slot),
            functions,
            network: self.network(),
            devices,
            variables: self.wanted.functions.values().next().map(ProcessVariables::of).unwrap_or_default(),
            environment: myself.clone(),
        };
        match Actor::spawn_linked(None, InterpreterActor, arguments, myself.get_cell()).await {
            Ok((interpreter, _)) => drop(self.interpreters.insert(slot, interpreter)),
            Err(problem) => {
                let error = Error::internal(format!("an interpreter's actor did not start: {problem}"));
                self.news(slot, InterpreterEvent::StartFailed(error), myself);
            }
        }
    }
}
