//! `udfleet certs`: certificates for fleets that have no CA of their own.

mod command;
mod create;
mod folder;
mod show;

pub use command::{CertsCommand, run};
