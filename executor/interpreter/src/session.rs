//! The command loop.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use prost::Message;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};
use udfleet_proto::error::Error;
use udfleet_proto::limits::{MAX_REPORT_BYTES, SYS_PATH_VARIABLE};
use udfleet_proto::v1::{Command, Done, ErrorCode, Invoke, Reply, Resume, Slice, command, reply};

use crate::channel::Channel;
use crate::failure::log;
use crate::load;
use crate::mapping::Mapping;
use crate::output::Output;
use crate::profile::Profiler;
use crate::region::Regions;
use crate::runner::{BatchRunner, CommandInput, CommandResult, Finished};
use crate::stdio::Stdio;

/// Everything an interpreter holds between commands.
pub struct Session {
    channel: Channel,
    regions: Regions,
    runner: BatchRunner,
    output: Output,
    /// Why no further command can be served.
    unusable: Option<String>,
}

impl Session {
    /// Prepares Python and tells the executor that the interpreter is ready.
    pub fn start(py: Python<'_>) -> PyResult<Self> {
        crate::orphan::watch()?;
        crate::child::watch(py)?;
        let sys = py.import("sys")?;
        let stdio = Stdio::start(py)?;
        // A crash leaves its Python stack in the function's log.
        py.import("faulthandler")?.call_method0("enable")?;
        let ready = udfleet_proto::v1::Ready {
            python_version: sys.getattr("version")?.extract()?,
            // A file name need not be Unicode.
            prefix: sys.getattr("prefix")?.cast_into::<PyString>()?.to_string_lossy().into_owned(),
        };
        let channel = Channel::inherited();
        channel.send(&Reply { kind: Some(reply::Kind::Ready(ready)), ..Reply::default() })?;
        // Takes as long as starting Python does: the executor makes its first command meanwhile.
        crate::failure::prepare(py)?;
        extend_path(py)?;
        Ok(Self {
            channel,
            regions: Regions::default(),
            runner: BatchRunner::default(),
            output: Output { stdio, profiler: Profiler::default() },
            unusable: None,
        })
    }

    /// Serves commands until told to stop, or until the executor is gone.
    pub fn run(mut self, py: Python<'_>) -> PyResult<()> {
        loop {
            let received = py.detach(|| self.channel.receive()).map_err(PyOSError::new_err)?;
            let Some((command, file)) = received else {
                // What user code has started has nobody else to end it.
                crate::orphan::end_children();
                return Ok(());
            };
            let stop = matches!(command.kind, Some(command::Kind::Shutdown(_)));
            if command.region_attached && file.is_none() {
                // User code holds all descriptors that this process may have: the region can never be had again.
                self.unusable = Some(no_descriptors());
            }
            if let Some(reply) = self.answer(py, command, file) {
                self.channel.send(&reply).map_err(PyOSError::new_err)?;
            }
            if stop || self.unusable.is_some() {
                return Ok(());
            }
        }
    }

    fn answer(&mut self, py: Python<'_>, command: Command, file: Option<File>) -> Option<Reply> {
        let Command { id, region, region_size, kind, .. } = command;
        let kind = kind?;
        // A function may have kept its input: what is written about its failure lies behind it.
        let free_from = if let command::Kind::Invoke(invoke) = &kind { invoke.output_offset } else { 0 };
        let outcome = match kind {
            _ if self.unusable.is_some() => Err(Error::internal("")),
            command::Kind::Forget(_) => {
                self.regions.close(region);
                return None;
            }
            command::Kind::Cancel(cancel) => {
                self.runner.cancel(py, &mut self.output, &cancel);
                crate::child::end_if_child(py, None);
                return None;
            }
            command::Kind::Resume(resume) => {
                self.open(region, region_size, file).and_then(|_| self.resume(py, region, &resume))
            }
            command::Kind::Profile(profile) => {
                self.open(region, region_size, file).and_then(|_| self.profile(py, region, profile.function))
            }
            command::Kind::Unload(unload) => {
                self.unload(py, unload.function);
                // Later commands name the region without its descriptor: it is kept though nothing is read from it.
                self.open(region, region_size, file).map(|_| reply::Kind::Unloaded(udfleet_proto::v1::Unloaded {}))
            }
            command::Kind::Shutdown(_) => {
                self.runner.functions.numbers().into_iter().for_each(|number| self.unload(py, number));
                Ok(reply::Kind::Stopped(udfleet_proto::v1::Stopped {}))
            }
            command::Kind::Load(load) => {
                let spec = load.spec.unwrap_or_default();
                self.open(region, region_size, file).and_then(|mapping| self.load(py, &mapping, &spec))
            }
            command::Kind::Invoke(invoke) => {
                self.open(region, region_size, file).and_then(|mapping| self.invoke(py, id, region, mapping, &invoke))
            }
        };
        crate::child::end_if_child(py, None);
        self.output.profiler.leave(py);
        let kind = outcome.unwrap_or_else(|error| self.write_error(region, free_from, error));
        let kind = self.unusable.clone().map_or(kind, reply::Kind::Unusable);
        Some(Reply {
            id,
            kind: Some(kind),
            region_size: self.regions.size(region),
            region_retained: self.regions.end_command(region),
        })
    }

    fn open(&mut self, region: u32, size: u64, file: Option<File>) -> Result<Arc<Mapping>, Error> {
        self.regions.open(region, size, file).map_err(|error| {
            // Later commands would name the same region, and fail for ever.
            self.unusable = Some(format!("shared memory can't be mapped: {error}"));
            shared_memory(error)
        })
    }

    /// Writes an error into the region, from `offset`: it may be long (tracebacks).
    fn write_error(&mut self, region: u32, offset: u64, error: Error) -> reply::Kind {
        let mut bytes = error.info().encode_to_vec();
        if bytes.len() > MAX_REPORT_BYTES {
            bytes = error.with(|info| info.exception = None).into_info().encode_to_vec();
        }
        let length = bytes.len() as u64;
        match self.regions.write(region, offset, &[&bytes]) {
            Ok(()) => reply::Kind::Failed(Slice { offset, length }),
            Err(error) => reply::Kind::Unusable(format!("shared memory can't be written: {error}")),
        }
    }

    fn load(&mut self, py: Python<'_>, mapping: &Mapping, spec: &Slice) -> Result<reply::Kind, Error> {
        let bytes = mapping.bytes(spec).map_err(shared_memory)?.to_vec();
        if let Some(number) = peek_number(&bytes) {
            self.output.stdio.switch_to(py, number);
        }
        let loaded = load::load(py, &bytes);
        self.output.stdio.flush(py);
        self.runner.insert(py, &mut self.output, loaded?);
        Ok(reply::Kind::Loaded(udfleet_proto::v1::Loaded {}))
    }

    /// A failing `close()` must not keep the function loaded: its traceback goes to the function's log.
    fn unload(&mut self, py: Python<'_>, number: u32) {
        if let Some(function) = self.runner.remove(py, &mut self.output, number) {
            self.output.stdio.switch_to(py, number);
            if let Err(error) = load::close(py, &function) {
                log(py, &error);
            }
            self.output.stdio.flush(py);
            self.output.profiler.forget(py, number);
        }
    }

    fn invoke(
        &mut self,
        py: Python<'_>,
        id: u64,
        region: u32,
        mapping: Arc<Mapping>,
        invoke: &Invoke,
    ) -> Result<reply::Kind, Error> {
        let clock = Clock::start();
        let input = CommandInput { writable: self.regions.writable(region, &mapping), mapping };
        let result = self.runner.invoke(py, &mut self.output, id, input, invoke)?;
        self.finish(py, region, invoke.output_offset, invoke.output_limit, result, &clock)
    }

    fn resume(&mut self, py: Python<'_>, region: u32, resume: &Resume) -> Result<reply::Kind, Error> {
        let clock = Clock::start();
        let result = self.runner.resume(py, &mut self.output, resume.call)?;
        self.finish(py, region, 0, resume.output_limit, result, &clock)
    }

    /// Writes the result of a command: rows, then metrics and row errors.
    fn finish(
        &mut self,
        py: Python<'_>,
        region: u32,
        offset: u64,
        limit: u64,
        result: CommandResult,
        clock: &Clock,
    ) -> Result<reply::Kind, Error> {
        let Finished { encoded, rows, mut tally, more, errors_column, name } = match result {
            CommandResult::SchemaUnknown => return Ok(reply::Kind::SchemaUnknown(udfleet_proto::v1::SchemaUnknown {})),
            CommandResult::StageUnknown => return Ok(reply::Kind::StageUnknown(udfleet_proto::v1::StageUnknown {})),
            CommandResult::Finished(finished) => finished,
        };
        let mut done = Done { rows: rows as u64, more, errors_column, ..Done::default() };
        let mut end = offset;
        if let Some(encoded) = encoded {
            let length = encoded.length();
            if length > limit {
                let message = format!("a result of {length} bytes exceeds the frame limit of {limit} bytes");
                let error = Error::new(ErrorCode::LimitExceeded, message).hint("send smaller batches");
                return Err(error.function(&name));
            }
            let start = encoded.start(offset);
            let (parts, header, body) = encoded.layout(start);
            self.regions.write(region, start, &parts).map_err(shared_memory)?;
            end = body.offset + body.length;
            (done.header, done.body) = (Some(header), Some(body));
        }
        done.metrics = self.report(region, &mut end, tally.metrics(py))?;
        done.row_errors = self.report(region, &mut end, tally.row_errors())?;
        done.run_ns = tally.run_ns;
        done.runs = tally.runs;
        done.convert_ns = (clock.started.elapsed().as_nanos() as u64).saturating_sub(done.run_ns);
        done.cpu_ns = cpu_ns().saturating_sub(clock.cpu_ns);
        Ok(reply::Kind::Done(done))
    }

    fn profile(&mut self, py: Python<'_>, region: u32, function: u32) -> Result<reply::Kind, Error> {
        if !self.runner.functions.need(function)?.profiled {
            return Err(Error::internal(format!("function {function} is not profiled")));
        }
        let stacks = self.output.profiler.stacks(py, function);
        let stacks = stacks.map_err(|e| Error::internal(format!("the profile of function {function}: {e}")))?;
        let slice = self.append(region, &mut 0, Some(stacks))?;
        Ok(reply::Kind::Profiled(slice.unwrap_or_default()))
    }

    /// Writes metrics or row errors. Too many of them fail no call: the function's log says that they are dropped.
    fn report(&mut self, region: u32, end: &mut u64, message: Option<impl Message>) -> Result<Option<Slice>, Error> {
        let length = message.as_ref().map_or(0, Message::encoded_len);
        if length > MAX_REPORT_BYTES {
            eprintln!("udfleet: metrics or errors of rows of {length} bytes are dropped: at most {MAX_REPORT_BYTES}");
            return Ok(None);
        }
        self.append(region, end, message)
    }

    fn append(&mut self, region: u32, end: &mut u64, message: Option<impl Message>) -> Result<Option<Slice>, Error> {
        let Some(message) = message else { return Ok(None) };
        let bytes = message.encode_to_vec();
        let slice = Slice { offset: *end, length: bytes.len() as u64 };
        self.regions.write(region, slice.offset, &[&bytes]).map_err(shared_memory)?;
        *end += slice.length;
        Ok(Some(slice))
    }
}

/// When a command started.
struct Clock {
    started: Instant,
    cpu_ns: u64,
}

impl Clock {
    fn start() -> Self {
        Self { started: Instant::now(), cpu_ns: cpu_ns() }
    }
}

/// Puts what the executor names in front of `sys.path`. Isolated mode ignores PYTHONPATH, and processes that user code
/// starts should not inherit it.
fn extend_path(py: Python<'_>) -> PyResult<()> {
    let environment = py.import("os")?.getattr("environ")?;
    // Python's own texts: a file name need not be Unicode.
    let folders = environment.call_method1("pop", (SYS_PATH_VARIABLE, ""))?.call_method1("split", (":",))?;
    let path = py.import("sys")?.getattr("path")?.cast_into::<PyList>()?;
    let mut first = 0;
    for folder in folders.try_iter()? {
        let folder = folder?;
        if folder.is_truthy()? {
            path.insert(first, folder)?;
            first += 1;
        }
    }
    Ok(())
}

fn no_descriptors() -> String {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
    format!("its functions hold all file descriptors that it may have ({limit})")
}

fn shared_memory(error: io::Error) -> Error {
    Error::internal(format!("shared memory with the executor: {error}"))
}

fn peek_number(spec: &[u8]) -> Option<u32> {
    udfleet_proto::v1::LoadSpec::decode(spec).ok().map(|spec| spec.function)
}

/// CPU time of the whole process: user code may use threads.
fn cpu_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
