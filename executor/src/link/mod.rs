//! The executor's side of its interpreters: processes, shared memory, control messages, and the pool from which calls
//! take an interpreter. The hot path goes directly from a stream to an interpreter, without a mailbox.

mod call;
mod connection;
mod interpreter;
mod invoke;
mod output;
mod pool;
mod process;
mod region;
mod reply;
mod sent_ids;
mod socket;
mod state;
mod state_wire;
mod verify;
mod watchdog;

pub use call::{CallFailure, Caller, Input};
pub use connection::{Observer, RetainedState};
pub use interpreter::{Interpreter, InterpreterSpec};
pub use invoke::{Output, Rest};
pub use pool::{Credit, Demand, LongCall, Pool, PoolLoad, WaitingLane};
pub use state::{BundleState, RunningBundle, RunningBundles};
pub use state_wire::{Change, StateAnswer, StateRequest};
