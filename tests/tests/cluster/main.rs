//! The fleet as its clients and its operators meet it: real processes, raw clients, and bad luck.

// clippy.toml frees test functions only; here every helper is a test's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod framing;
mod info;
mod malformed;
mod unusual;
