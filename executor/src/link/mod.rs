//! The executor's side of its interpreters: processes, shared memory, control messages, and the pool that calls pick
//! an interpreter from. The hot path goes straight from a stream to an interpreter, past every mailbox.

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
mod watchdog;

pub use call::{CallFailure, Caller, Input};
pub use connection::{Held, Observer};
pub use interpreter::{Interpreter, InterpreterSpec};
pub use invoke::{Output, Rest};
pub use pool::{Credit, Demand, LongCall, Pool, PoolLoad, WaitingLane};
