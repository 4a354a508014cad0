//! Flight streams through this executor's functions.

mod batch;
mod dictionary;
mod frame;
mod frontend;
mod input;
mod schema;
mod served;
mod stream;

pub use frontend::FlightFrontend;
pub use served::{FunctionTable, ServedFunction};
