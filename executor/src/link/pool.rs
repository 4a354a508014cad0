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

struct Waiter {
    function: u32,
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
    pub fn remove(&self, pid: u32) {
        self.state.lock().members.retain(|member| member.interpreter.pid() != pid);
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

    /// Waits for a credit at the least loaded interpreter that serves the function.
    ///
    /// # Errors
    /// The reason for which the pool was closed or the function refused; [`ErrorCode::NoCapacity`] when too many wait.
    pub async fn acquire(self: &Arc<Self>, function: u32) -> Result<Credit, Error> {
        let given = {
            let mut state = self.state.lock();
            if let Some(error) = state.closed.as_ref().or_else(|| state.refused.get(&function)) {
                return Err(error.clone());
            }
            if let Some(interpreter) = state.pick(function) {
                return Ok(Credit { pool: Arc::clone(self), interpreter });
            }
            if state.waiters.len() >= MAX_WAITING {
                let message = format!("{MAX_WAITING} batches already wait for this environment's interpreters");
                return Err(Error::new(ErrorCode::NoCapacity, message).hint("try again later, or add executors"));
            }
            let (give, given) = oneshot::channel();
            state.waiters.push_back(Waiter { function, give });
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
                for index in 0..state.waiters.len() {
                    let function = state.waiters[index].function;
                    if let Some(interpreter) = state.pick(function) {
                        found = state.waiters.remove(index).map(|waiter| (waiter, interpreter));
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

impl State {
    fn pick(&mut self, function: u32) -> Option<Interpreter> {
        let usable = |member: &&mut Member| {
            let Member { interpreter, held } = member;
            *held < interpreter.depth() && interpreter.alive() && interpreter.serves(function)
        };
        let best = self.members.iter_mut().filter(usable).min_by_key(|member| member.held)?;
        best.held += 1;
        Some(best.interpreter.clone())
    }

    /// Those who wait for a function, or all.
    fn refuse_waiters(&mut self, function: Option<u32>, error: &Error) {
        for waiter in std::mem::take(&mut self.waiters) {
            if function.is_none_or(|function| function == waiter.function) {
                // One that has gone away needs no answer.
                let _ = waiter.give.send(Err(error.clone()));
            } else {
                self.waiters.push_back(waiter);
            }
        }
    }
}
