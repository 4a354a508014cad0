//! The interpreters of one environment, and who may use which: each takes a few calls, and calls that find no place
//! wait in line. Whose turn it is: `pool/lane.rs`; which interpreter: `pool/seat.rs`.

mod lane;
mod load;
mod seat;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::oneshot;
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

use super::call::{CallFailure, Caller, Input};
use super::interpreter::Interpreter;
use super::invoke::{Output, Rest};
use lane::{Lanes, Turn};
pub use load::{LongCall, PoolLoad, WaitingLane};
use seat::{Seat, SeatedCall, choose};

/// Calls that may wait at one pool before more are refused.
const MAX_WAITING: usize = 16_384;

/// Whose turn a call takes, and what it needs of an interpreter.
#[derive(Debug, Clone)]
pub struct Demand {
    /// The number of the function or stage that is called.
    pub lane: u32,
    /// For people: `add@3`.
    pub name: Arc<str>,
    /// Functions that the interpreter must serve.
    pub functions: Arc<[u32]>,
    /// The interpreter will keep something of it, such as groups: what is kept is spread over interpreters.
    pub keeps: bool,
}

struct Member {
    interpreter: Interpreter,
    seat: Seat,
    /// It is to be stopped once it has nothing to do, and takes no new calls.
    retiring: bool,
}

/// Who waits, and for what.
struct Waiter {
    demand: Demand,
    /// Only this interpreter will do: it holds what the call is about.
    at: Option<Interpreter>,
    give: oneshot::Sender<Result<Credit, Error>>,
}

#[derive(Default)]
struct PoolState {
    members: Vec<Member>,
    lanes: Lanes<Waiter>,
    last_call: u64,
    /// Of the latest calls, what they took and what of it was computation, nanoseconds; older ones count less.
    work: (f64, f64),
    /// Functions that no interpreter will serve soon, and why.
    refused: HashMap<u32, Error>,
    closed: Option<Error>,
}

/// The interpreters of one environment.
#[derive(Default)]
pub struct Pool {
    state: Mutex<PoolState>,
}

/// A call that has been counted at an interpreter.
struct Granted {
    interpreter: Interpreter,
    call: u64,
}

/// The right to have one call at an interpreter; given back when dropped.
pub struct Credit {
    pool: Arc<Pool>,
    granted: Granted,
    measured: Option<Measured>,
}

/// What a call took, as its interpreter has measured it.
#[derive(Debug, Clone, Copy)]
struct Measured {
    took: Duration,
    cpu: Duration,
}

impl Credit {
    /// The interpreter to call.
    #[must_use]
    pub fn interpreter(&self) -> &Interpreter {
        &self.granted.interpreter
    }

    /// Runs one batch there, to its result's first part.
    ///
    /// # Errors
    /// What the function raised, or how the interpreter ended.
    pub async fn invoke<F: Future<Output = ()>>(
        &mut self,
        input: &Input,
        caller: Caller<F>,
    ) -> Result<Output, CallFailure> {
        let output = self.granted.interpreter.invoke_for(input, caller).await?;
        Ok(self.noted(output))
    }

    /// Has the next part of a result made there.
    ///
    /// # Errors
    /// What the function raised, or how the interpreter ended.
    pub async fn resume<F: Future<Output = ()>>(
        &mut self,
        rest: Rest,
        caller: Caller<F>,
    ) -> Result<Output, CallFailure> {
        let output = rest.next(caller).await?;
        Ok(self.noted(output))
    }

    fn noted(&mut self, output: Output) -> Output {
        let done = &output.done;
        let took = Duration::from_nanos(done.convert_ns + done.run_ns);
        self.measured = Some(Measured { took, cpu: Duration::from_nanos(done.cpu_ns) });
        output
    }
}

impl Drop for Credit {
    fn drop(&mut self) {
        self.pool.release(&self.granted, self.measured);
    }
}

/// A place in line, left when dropped.
struct InLine<'a> {
    pool: &'a Pool,
    lane: u32,
    ticket: u64,
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        // Dropped outside of the lock.
        let _left = self.pool.state.lock().lanes.leave(self.lane, self.ticket);
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
        let seat = Seat::new(Instant::now());
        self.state.lock().members.push(Member { interpreter, seat, retiring: false });
        self.serve_waiters();
    }

    /// Takes an interpreter out of service; calls that it holds go on.
    pub fn remove(self: &Arc<Self>, pid: u32) {
        self.state.lock().remove(pid, Instant::now());
        // Those who wait for this very one learn from it how it ended.
        self.serve_waiters();
    }

    /// Sends an interpreter no new calls. True where it has had nothing to do for so long, and keeps nothing for later
    /// calls: then it is out of service.
    pub fn retire(&self, pid: u32, idle: Duration) -> bool {
        let (mut state, now) = (self.state.lock(), Instant::now());
        let Some(index) = state.members.iter().position(|member| member.interpreter.pid() == pid) else { return true };
        let member = &mut state.members[index];
        member.retiring = true;
        let done = member.seat.is_idle_for(idle, now) && member.interpreter.kept() == 0;
        if done {
            state.members.remove(index);
        }
        done
    }

    /// An interpreter that was to be stopped is needed after all.
    pub fn reinstate(self: &Arc<Self>, pid: u32) {
        if let Some(member) = self.state.lock().members.iter_mut().find(|member| member.interpreter.pid() == pid) {
            member.retiring = false;
        }
        self.serve_waiters();
    }

    /// Gives free credits to those who wait: to be called when an interpreter has loaded a function.
    pub fn wake(self: &Arc<Self>) {
        self.serve_waiters();
    }

    /// Refuses calls of a function from now on, and those that wait: open streams of a function that is gone, or can't
    /// be loaded any more, would wait for ever.
    pub fn refuse(&self, function: u32, error: Error) {
        let refused = {
            let mut state = self.state.lock();
            state.refused.insert(function, error.clone());
            state.lanes.remove(|waiter| waiter.demand.functions.contains(&function))
        };
        answer_all(refused, &error);
    }

    /// Takes calls of a function again.
    pub fn accept(&self, function: u32) {
        self.state.lock().refused.remove(&function);
    }

    /// Refuses all calls from now on, and those that wait.
    pub fn close(&self, error: Error) {
        let refused = {
            let mut state = self.state.lock();
            state.closed = Some(error.clone());
            state.lanes.remove(|_| true)
        };
        answer_all(refused, &error);
    }

    /// Calls that interpreters hold now.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.state.lock().members.iter().map(|member| member.seat.len()).sum()
    }

    /// Those that serve a function.
    #[must_use]
    pub fn interpreters(&self, function: u32) -> Vec<Interpreter> {
        let state = self.state.lock();
        let serving = state.members.iter().filter(|member| member.interpreter.serves(&[function]));
        serving.map(|member| member.interpreter.clone()).collect()
    }

    /// What its interpreters are doing, and what waits for them.
    #[must_use]
    pub fn load(&self) -> PoolLoad {
        let (state, now) = (self.state.lock(), Instant::now());
        let mut held: Vec<LongCall> = state.members.iter().filter_map(|member| state.long_call(member, now)).collect();
        held.sort_by_key(|call| std::cmp::Reverse(call.running));
        PoolLoad {
            interpreters: state.members.len(),
            idle: state.members.iter().filter(|member| member.seat.is_idle()).count(),
            held,
            queues: state.lanes.queues(now),
            computing_percent: if state.work.0 > 0.0 { (state.work.1 / state.work.0 * 100.0) as u32 } else { 0 },
        }
    }

    /// Waits for a credit at the least loaded interpreter that serves the call's functions.
    ///
    /// # Errors
    /// The reason for which the pool was closed or a function refused; [`ErrorCode::NoCapacity`] when too many wait.
    pub async fn acquire(self: &Arc<Self>, demand: &Demand) -> Result<Credit, Error> {
        self.wait(demand, None).await
    }

    /// A credit as for [`Pool::acquire`], where there is one now.
    pub fn try_acquire(self: &Arc<Self>, demand: &Demand) -> Option<Credit> {
        let granted = {
            let mut state = self.state.lock();
            if state.refusal(demand).is_some() {
                return None;
            }
            state.grant(demand, None, Instant::now())?
        };
        Some(self.credit(granted))
    }

    /// Waits for a credit at one interpreter, for what only it can do. One that is gone gives it at once: a call there
    /// tells how it ended.
    ///
    /// # Errors
    /// As for [`Pool::acquire`].
    pub async fn acquire_at(self: &Arc<Self>, demand: &Demand, interpreter: &Interpreter) -> Result<Credit, Error> {
        self.wait(demand, Some(interpreter)).await
    }

    fn credit(self: &Arc<Self>, granted: Granted) -> Credit {
        Credit { pool: Arc::clone(self), granted, measured: None }
    }

    async fn wait(self: &Arc<Self>, demand: &Demand, at: Option<&Interpreter>) -> Result<Credit, Error> {
        let (in_line, given) = {
            let (mut state, now) = (self.state.lock(), Instant::now());
            if let Some(error) = state.refusal(demand) {
                return Err(error.clone());
            }
            if let Some(granted) = state.grant(demand, at, now) {
                return Ok(self.credit(granted));
            }
            if state.lanes.waiting() >= MAX_WAITING {
                let message = format!("{MAX_WAITING} batches already wait for this environment's interpreters");
                return Err(Error::new(ErrorCode::NoCapacity, message).hint("try again later, or add executors"));
            }
            let (give, given) = oneshot::channel();
            let waiter = Waiter { demand: demand.clone(), at: at.cloned(), give };
            let ticket = state.lanes.wait(demand.lane, &demand.name, now, at.is_some(), waiter);
            (InLine { pool: self, lane: demand.lane, ticket }, given)
        };
        let answer = given.await;
        drop(in_line);
        answer.unwrap_or_else(|_| Err(Error::internal("the pool of interpreters is gone")))
    }

    fn release(self: &Arc<Self>, granted: &Granted, measured: Option<Measured>) {
        {
            let (mut state, now) = (self.state.lock(), Instant::now());
            // A replaced interpreter is no member any more, and its credits are gone with it.
            if !state.end(granted, measured, now) || state.lanes.waiting() == 0 {
                return;
            }
        }
        self.serve_waiters();
    }

    /// Gives free credits to those who wait.
    fn serve_waiters(self: &Arc<Self>) {
        loop {
            let Some((waiter, granted)) = self.state.lock().serve_next(Instant::now()) else { return };
            // A waiter that has gone away drops the credit, which comes back through `release`.
            let _ = waiter.give.send(Ok(self.credit(granted)));
        }
    }
}

fn answer_all(waiters: Vec<Waiter>, error: &Error) {
    for waiter in waiters {
        // One that has gone away needs no answer.
        let _ = waiter.give.send(Err(error.clone()));
    }
}

impl PoolState {
    fn refusal(&self, demand: &Demand) -> Option<&Error> {
        let refused = || demand.functions.iter().find_map(|function| self.refused.get(function));
        self.closed.as_ref().or_else(refused)
    }

    fn remove(&mut self, pid: u32, now: Instant) {
        let Some(index) = self.members.iter().position(|member| member.interpreter.pid() == pid) else { return };
        let mut seat = self.members.remove(index).seat;
        while let Some((call, _)) = seat.running(now) {
            if let Some((call, occupied)) = seat.end(call.id, now) {
                self.lanes.end(call.lane, now, call.charged, occupied, None);
            }
        }
    }

    fn long_call(&self, member: &Member, now: Instant) -> Option<LongCall> {
        let (call, running) = member.seat.running(now).filter(|_| member.seat.is_held_for_long(now))?;
        Some(LongCall { name: Arc::clone(self.lanes.name(call.lane)?), running })
    }

    /// Takes a credit for a call that has just come, where there is one and no other call is ahead of it.
    fn grant(&mut self, demand: &Demand, at: Option<&Interpreter>, now: Instant) -> Option<Granted> {
        if at.is_none() && self.lanes.has_queue(demand.lane) {
            return None;
        }
        let turn = self.lanes.turn(demand.lane, now);
        let place = find(&self.members, demand, at, turn, now)?;
        Some(self.begin(place, demand, now))
    }

    fn serve_next(&mut self, now: Instant) -> Option<(Waiter, Granted)> {
        let Self { members, lanes, .. } = self;
        let (waiter, place) =
            lanes.next(now, |turn, waiter| find(members, &waiter.demand, waiter.at.as_ref(), turn, now))?;
        let granted = self.begin(place, &waiter.demand, now);
        Some((waiter, granted))
    }

    fn begin(&mut self, place: CallTarget, demand: &Demand, now: Instant) -> Granted {
        self.last_call += 1;
        let call = self.last_call;
        match place {
            CallTarget::Gone(interpreter) => Granted { interpreter, call },
            CallTarget::Member(index) => {
                let pace = self.lanes.turn(demand.lane, now).pace;
                let charged = self.lanes.begin(demand.lane, &demand.name, now);
                let member = &mut self.members[index];
                member.seat.begin(SeatedCall { id: call, lane: demand.lane, charged, pace }, now);
                Granted { interpreter: member.interpreter.clone(), call }
            }
        }
    }

    /// True where the call was counted at an interpreter of this pool.
    fn end(&mut self, granted: &Granted, measured: Option<Measured>, now: Instant) -> bool {
        let pid = granted.interpreter.pid();
        let Some(member) = self.members.iter_mut().find(|member| member.interpreter.pid() == pid) else { return false };
        let Some((call, occupied)) = member.seat.end(granted.call, now) else { return false };
        self.lanes.end(call.lane, now, call.charged, occupied, measured.map(|measured| measured.took));
        if let Some(Measured { took, cpu }) = measured {
            let fade = 0.9;
            self.work.0 = self.work.0 * fade + took.as_nanos() as f64;
            self.work.1 = self.work.1 * fade + cpu.as_nanos() as f64;
        }
        true
    }
}

/// Where a call goes.
enum CallTarget {
    /// To a member of the pool, by its index.
    Member(usize),
    /// To an interpreter that has ended: the call learns how.
    Gone(Interpreter),
}

fn find(members: &[Member], demand: &Demand, at: Option<&Interpreter>, turn: Turn, now: Instant) -> Option<CallTarget> {
    let usable = |member: &Member| member.interpreter.alive() && member.interpreter.serves(&demand.functions);
    if let Some(wanted) = at {
        let index = members.iter().position(|member| member.interpreter.pid() == wanted.pid());
        let Some(index) = index.filter(|_| wanted.alive()) else { return Some(CallTarget::Gone(wanted.clone())) };
        let member = &members[index];
        return (usable(member) && member.seat.has_room(turn.pace, now)).then_some(CallTarget::Member(index));
    }
    let seats = members.iter().enumerate().filter(|(_, member)| !member.retiring && usable(member));
    let seats = seats.map(|(index, member)| (index, &member.seat));
    let kept = |index: usize| if demand.keeps { members[index].interpreter.kept() } else { 0 };
    choose(seats, kept, turn, now).map(CallTarget::Member)
}
