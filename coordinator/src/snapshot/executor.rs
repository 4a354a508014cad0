//! One executor: its hello, and its last report.

use std::sync::Arc;
use std::time::Instant;

use udfleet_proto::v1::{ExecutorInfo, ExecutorState, FunctionStatus, HeldDevice, Hello, SandboxStatus};

use super::Map;

/// See the module.
#[derive(Debug, Clone)]
pub struct ExecutorEntry {
    /// Of its attachment.
    pub hello: Arc<Hello>,
    /// Attached, and if not, why.
    pub state: ExecutorState,
    /// Of its attachment.
    pub epoch: u64,
    /// Interpreters that run.
    pub interpreters: u32,
    /// Their private memory.
    pub rss_bytes: u64,
    /// When its TLS certificate ends, in seconds since 1970; 0: it has none.
    pub certificate_ends_unix: u64,
    /// Batches accepted and not yet answered.
    pub in_flight: u32,
    /// Devices that its interpreters hold.
    pub devices: Vec<HeldDevice>,
    /// What it reports of functions, by `add@3`.
    pub functions: Map<Arc<FunctionStatus>>,
    /// When its last report came.
    pub heard: Instant,
    /// Where the other coordinators are that it is attached to.
    pub attached_to: Vec<String>,
}

impl ExecutorEntry {
    /// How old its last report is.
    #[must_use]
    pub fn report_age_ms(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.heard).as_millis()).unwrap_or(u64::MAX)
    }

    /// How far it contains user code.
    #[must_use]
    pub fn sandbox(&self) -> SandboxStatus {
        self.hello.sandbox.clone().unwrap_or_default()
    }

    /// As the Fleet service tells it.
    #[must_use]
    pub fn info(&self, now: Instant) -> ExecutorInfo {
        ExecutorInfo {
            hello: Some(Hello::clone(&self.hello)),
            state: self.state as i32,
            epoch: self.epoch,
            interpreters: self.interpreters,
            rss_bytes: self.rss_bytes,
            certificate_ends_unix: self.certificate_ends_unix,
            in_flight: self.in_flight,
            functions: self.functions.values().map(|status| FunctionStatus::clone(status)).collect(),
            report_age_ms: self.report_age_ms(now),
            devices: self.devices.clone(),
            attached_to: self.attached_to.clone(),
        }
    }
}
