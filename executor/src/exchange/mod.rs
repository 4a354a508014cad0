//! Flight streams through this executor's functions.

mod aggregation;
mod batch;
mod bundle;
mod busy;
mod client_stream;
mod dictionary;
mod frontend;
mod input;
mod keyed;
mod merge;
mod parts;
mod progress;
mod queue;
mod schema;
mod served;
mod stage;
mod stages;
mod stream;
mod tally;
mod target;
mod watch;

pub use frontend::FunctionStreams;
pub use keyed::{BundleRows, KeyedInstance};
pub use served::{FunctionTable, ServedFunction};
