//! The interpreters of one environment, and who may use which: each has a few credits, and callers that find none wait
//! in line.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

use super::interpreter::Interpreter;

/// Callers that may wait at one pool before more are refused.
const MAX_WAITING: usize = 16_384;

struct Member {
    interpreter: Interpreter,
    held: usize,
}

/// What a caller needs.
#[derive(Clone)]
struct Need {
    /// Functions that the interpreter must serve.
    functions: Arc<[u32]>,
    /// Only this interpreter will do: it holds what the call is about.
    at: Option<Interpreter>,
}

struct Waiter {
    need: Need,
    give: oneshot::Sender<Result<Credit, Error>>,
}

#[derive(Default)]
struct State {
    members: Vec<Member>,
    waiters: VecDeque<Waiter>,
    /// Functions that no interpreter will serve soon, and why.
    refused: HashMap<u32, Error>,
    closed: Option<Error>,
}

/// The interpreters of one environment.
#[derive(Default)]
pub struct Pool {
    state: Mutex<State>,
}

/// The right to have one call at an interpreter; given back when dropped.
pub struct Credit {
    pool: Arc<Pool>,
    interpreter: Interpreter,
}

impl Credit {
    /// The interpreter to call.
    #[must_use]
    pub fn interpreter(&self) -> &Interpreter {
        &self.interpreter
    }
}

impl Drop for Credit {
    fn drop(&mut self) {
        self.pool.release(&self.interpreter);
    }
}

impl Pool {
    /// An empty pool.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Takes an interpreter into service.
    pub fn add(self: &Arc<Self>, interpreter: Interpreter) {
        self.state.lock().members.push(Member { interpreter, held: 0 });
        self.serve_waiters();
    }

    /// Takes an interpreter out of service; calls that it holds go on.
    pub fn remove(self: &Arc<Self>, pid: u32) {
        self.state.lock().members.retain(|member| member.interpreter.pid() != pid);
        // Those who wait for this very one learn from it how it ended.
        self.serve_waiters();
    }

    /// Gives free credits to those who wait: to be called when an interpreter has loaded a function.
    pub fn wake(self: &Arc<Self>) {
        self.serve_waiters();
    }

    /// Refuses calls of a function from now on, and those that wait: open streams of a function that is gone, or can't
    /// be loaded any more, would wait for ever.
    pub fn refuse(&self, function: u32, error: Error) {
        let mut state = self.state.lock();
        state.refuse_waiters(Some(function), &error);
        state.refused.insert(function, error);
    }

    /// Takes calls of a function again.
    pub fn accept(&self, function: u32) {
        self.state.lock().refused.remove(&function);
    }

    /// Refuses all calls from now on, and those that wait.
    pub fn close(&self, error: Error) {
        let mut state = self.state.lock();
        state.refuse_waiters(None, &error);
        state.closed = Some(error);
    }

    /// Calls that interpreters hold now.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        let state = self.state.lock();
        state.members.iter().map(|member| member.held).sum()
    }

    /// Those that serve a function.
    #[must_use]
    pub fn interpreters(&self, function: u32) -> Vec<Interpreter> {
        let state = self.state.lock();
        let serving = state.members.iter().filter(|member| member.interpreter.serves(&[function]));
        serving.map(|member| member.interpreter.clone()).collect()
    }

    /// Waits for a credit at the least loaded interpreter that serves all these functions.
    ///
    /// # Errors
    /// The reason for which the pool was closed or a function refused; [`ErrorCode::NoCapacity`] when too many wait.
    pub async fn acquire(self: &Arc<Self>, functions: &Arc<[u32]>) -> Result<Credit, Error> {
        self.wait(Need { functions: Arc::clone(functions), at: None }).await
    }

    /// A credit as for [`Pool::acquire`], where there is one now.
    pub fn try_acquire(self: &Arc<Self>, functions: &Arc<[u32]>) -> Option<Credit> {
        let mut state = self.state.lock();
        let refused = || functions.iter().any(|function| state.refused.contains_key(function));
        if state.closed.is_some() || refused() {
            return None;
        }
        let need = Need { functions: Arc::clone(functions), at: None };
        let interpreter = pick(&mut state.members, &need)?;
        Some(Credit { pool: Arc::clone(self), interpreter })
    }

    /// Waits for a credit at one interpreter, for what only it can do. One that is gone gives it at once: a call there
    /// tells how it ended.
    ///
    /// # Errors
    /// As for [`Pool::acquire`].
    pub async fn acquire_at(
        self: &Arc<Self>,
        functions: &Arc<[u32]>,
        interpreter: &Interpreter,
    ) -> Result<Credit, Error> {
        self.wait(Need { functions: Arc::clone(functions), at: Some(interpreter.clone()) }).await
    }

    async fn wait(self: &Arc<Self>, need: Need) -> Result<Credit, Error> {
        let given = {
            let mut state = self.state.lock();
            let refused = || need.functions.iter().find_map(|function| state.refused.get(function));
            if let Some(error) = state.closed.as_ref().or_else(refused) {
                return Err(error.clone());
            }
            if let Some(interpreter) = pick(&mut state.members, &need) {
                return Ok(Credit { pool: Arc::clone(self), interpreter });
            }
            if state.waiters.len() >= MAX_WAITING {
                let message = format!("{MAX_WAITING} batches already wait for this environment's interpreters");
                return Err(Error::new(ErrorCode::NoCapacity, message).hint("try again later, or add executors"));
            }
            let (give, given) = oneshot::channel();
            state.waiters.push_back(Waiter { need, give });
            given
        };
        given.await.unwrap_or_else(|_| Err(Error::internal("the pool of interpreters is gone")))
    }

    fn release(self: &Arc<Self>, interpreter: &Interpreter) {
        {
            let mut state = self.state.lock();
            // A replaced interpreter is no member any more, and its credits are gone with it.
            let Some(member) = state.members.iter_mut().find(|m| m.interpreter.pid() == interpreter.pid()) else {
                return;
            };
            member.held = member.held.saturating_sub(1);
            if state.waiters.is_empty() {
                return;
            }
        }
        self.serve_waiters();
    }

    /// Gives free credits to those who wait, first come first served.
    fn serve_waiters(self: &Arc<Self>) {
        loop {
            let (waiter, interpreter) = {
                let mut state = self.state.lock();
                let mut found = None;
                let State { members, waiters, .. } = &mut *state;
                for index in 0..waiters.len() {
                    if let Some(interpreter) = pick(members, &waiters[index].need) {
                        found = waiters.remove(index).map(|waiter| (waiter, interpreter));
                        break;
                    }
                }
                let Some(found) = found else { return };
                found
            };
            // A waiter that has gone away drops the credit, which comes back through `release`.
            let _ = waiter.give.send(Ok(Credit { pool: Arc::clone(self), interpreter }));
        }
    }
}

/// Takes a credit where there is one that will do.
fn pick(members: &mut [Member], need: &Need) -> Option<Interpreter> {
    let usable = |member: &&mut Member| {
        let Member { interpreter, held } = member;
        *held < interpreter.depth() && interpreter.alive() && interpreter.serves(&need.functions)
    };
    if let Some(wanted) = &need.at {
        let member = members.iter_mut().find(|member| member.interpreter.pid() == wanted.pid());
        let Some(member) = member.filter(|_| wanted.alive()) else { return Some(wanted.clone()) };
        if !usable(&member) {
            return None;
        }
        member.held += 1;
        return Some(wanted.clone());
    }
    let best = members.iter_mut().filter(usable).min_by_key(|member| member.held)?;
    best.held += 1;
    Some(best.interpreter.clone())
}

impl State {
    /// Those who wait for a function, or all.
    fn refuse_waiters(&mut self, function: Option<u32>, error: &Error) {
        for waiter in std::mem::take(&mut self.waiters) {
            if function.is_none_or(|function| waiter.need.functions.contains(&function)) {
                // One that has gone away needs no answer.
                let _ = waiter.give.send(Err(error.clone()));
            } else {
                self.waiters.push_back(waiter);
            }
        }
    }
}
