//! The command loop.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use prost::Message;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use udfleet_proto::error::Error;
use udfleet_proto::v1::{Command, Done, ErrorCode, Invoke, Reply, Slice, command, reply};

use udfleet_proto::limits::SYS_PATH_VARIABLE;

use crate::arguments::columns;
use crate::channel::Channel;
use crate::eval;
use crate::input::Schemas;
use crate::load::Function;
use crate::region::{Mapping, Regions};
use crate::stdio::Stdio;

/// Everything an interpreter holds between commands.
pub struct Session {
    channel: Channel,
    regions: Regions,
    functions: HashMap<u32, Function>,
    schemas: Schemas,
    stdio: Stdio,
}

impl Session {
    /// Says that the interpreter is ready.
    pub fn start(py: Python<'_>) -> PyResult<Self> {
        crate::orphan::watch();
        let sys = py.import("sys")?;
        extend_path(py)?;
        let stdio = Stdio::start(py)?;
        // A crash leaves its Python stack in the function's log.
        py.import("faulthandler")?.call_method0("enable")?;
        let ready = udfleet_proto::v1::Ready {
            python_version: sys.getattr("version")?.extract()?,
            prefix: sys.getattr("prefix")?.extract()?,
        };
        let channel = Channel::inherited();
        channel.send(&Reply { kind: Some(reply::Kind::Ready(ready)), ..Reply::default() })?;
        Ok(Self { channel, regions: Regions::default(), functions: HashMap::new(), schemas: Schemas::default(), stdio })
    }

    /// Serves commands until told to stop, or until the executor is gone.
    pub fn run(mut self, py: Python<'_>) -> PyResult<()> {
        loop {
            let received = py.detach(|| self.channel.receive()).map_err(PyOSError::new_err)?;
            let Some((command, file)) = received else { return Ok(()) };
            let stop = matches!(command.kind, Some(command::Kind::Shutdown(_)));
            if let Some(reply) = self.answer(py, command, file) {
                self.channel.send(&reply).map_err(PyOSError::new_err)?;
            }
            if stop {
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
            command::Kind::Forget(_) => {
                self.regions.close(region);
                return None;
            }
            command::Kind::Cancel(_) => return None,
            command::Kind::Resume(resume) => self
                .open(region, region_size, file)
                .and_then(|_| Err(Error::internal(format!("command {} has nothing left to give", resume.call)))),
            command::Kind::Profile(profile) => self
                .open(region, region_size, file)
                .and_then(|_| Err(Error::internal(format!("function {} is not profiled", profile.function)))),
            command::Kind::Unload(unload) => {
                self.unload(py, unload.function);
                // Later commands name the region without its descriptor: it is kept though nothing is read from it.
                self.open(region, region_size, file).map(|_| reply::Kind::Unloaded(udfleet_proto::v1::Unloaded {}))
            }
            command::Kind::Shutdown(_) => {
                let numbers: Vec<u32> = self.functions.keys().copied().collect();
                numbers.into_iter().for_each(|number| self.unload(py, number));
                Ok(reply::Kind::Stopped(udfleet_proto::v1::Stopped {}))
            }
            command::Kind::Load(load) => {
                let spec = load.spec.unwrap_or_default();
                self.open(region, region_size, file).and_then(|mapping| self.load(py, &mapping, &spec))
            }
            command::Kind::Invoke(invoke) => {
                self.open(region, region_size, file).and_then(|mapping| self.invoke(py, region, mapping, &invoke))
            }
        };
        let kind = outcome.unwrap_or_else(|error| self.write_error(region, free_from, error));
        Some(Reply {
            id,
            kind: Some(kind),
            region_size: self.regions.size(region),
            region_retained: self.regions.retained(region),
        })
    }

    fn open(&mut self, region: u32, size: u64, file: Option<File>) -> Result<Arc<Mapping>, Error> {
        self.regions.open(region, size, file).map_err(shared_memory)
    }

    /// Errors may be long (tracebacks): they go into the region, from `offset`.
    fn write_error(&mut self, region: u32, offset: u64, error: Error) -> reply::Kind {
        let bytes = error.into_info().encode_to_vec();
        let length = bytes.len() as u64;
        match self.regions.write(region, offset, &[&bytes]) {
            Ok(()) => reply::Kind::Failed(Slice { offset, length }),
            // No region to write to: an empty slice says that there is no detail.
            Err(_) => reply::Kind::Failed(Slice::default()),
        }
    }

    fn load(&mut self, py: Python<'_>, mapping: &Mapping, spec: &Slice) -> Result<reply::Kind, Error> {
        let bytes = mapping.bytes(spec).map_err(shared_memory)?.to_vec();
        if let Some(number) = peek_number(&bytes) {
            self.stdio.switch_to(py, number);
        }
        let loaded = Function::load(py, &bytes);
        self.stdio.flush(py);
        let (number, function) = loaded?;
        self.functions.insert(number, function);
        Ok(reply::Kind::Loaded(udfleet_proto::v1::Loaded {}))
    }

    /// A failing `close()` must not keep the function loaded: its traceback goes to the function's log.
    fn unload(&mut self, py: Python<'_>, number: u32) {
        if let Some(function) = self.functions.remove(&number) {
            self.stdio.switch_to(py, number);
            if let Err(error) = function.close(py) {
                error.print(py);
            }
            self.stdio.flush(py);
        }
    }

    fn invoke(
        &mut self,
        py: Python<'_>,
        region: u32,
        mapping: Arc<Mapping>,
        invoke: &Invoke,
    ) -> Result<reply::Kind, Error> {
        let function = self
            .functions
            .get_mut(&invoke.function)
            .ok_or_else(|| Error::internal(format!("function {} is not loaded here", invoke.function)))?;
        if !self.schemas.knows(invoke) {
            return Ok(reply::Kind::SchemaUnknown(udfleet_proto::v1::SchemaUnknown {}));
        }
        self.stdio.switch_to(py, invoke.function);
        let started = Instant::now();
        let cpu = cpu_ns();
        let batch = self.schemas.read(&mapping, invoke)?;
        drop(mapping);
        let arguments = columns(&batch, function.inputs.as_deref()).map_err(|e| e.function(&function.name))?;
        let mut run_ns = 0;
        let result = eval::evaluate(py, function, &arguments, batch.num_rows(), &mut run_ns);
        let result = result.map_err(|e| e.function(&function.name))?;
        let encoded = function.encoder.encode(result).map_err(|e| Error::internal(format!("result: {e}")))?;
        // Neither input nor arguments are needed now: what still refers to the region is the user's.
        let rows = batch.num_rows() as u64;
        drop((arguments, batch));
        if encoded.length() > invoke.output_limit {
            let message = format!(
                "a result of {} bytes exceeds the frame limit of {} bytes",
                encoded.length(),
                invoke.output_limit
            );
            return Err(Error::new(ErrorCode::LimitExceeded, message)
                .hint("send smaller batches")
                .function(&function.name));
        }
        let start = encoded.start(invoke.output_offset);
        let (parts, header, body) = encoded.layout(start);
        self.regions.write(region, start, &parts).map_err(shared_memory)?;
        Ok(reply::Kind::Done(Done {
            rows,
            header: Some(header),
            body: Some(body),
            convert_ns: (started.elapsed().as_nanos() as u64).saturating_sub(run_ns),
            run_ns,
            cpu_ns: cpu_ns().saturating_sub(cpu),
            ..Done::default()
        }))
    }
}

/// Puts what the executor names in front of `sys.path`. Isolated mode ignores PYTHONPATH, and processes that user code
/// starts should not inherit it.
fn extend_path(py: Python<'_>) -> PyResult<()> {
    let environment = py.import("os")?.getattr("environ")?;
    let folders: String = environment.call_method1("pop", (SYS_PATH_VARIABLE, ""))?.extract()?;
    let path = py.import("sys")?.getattr("path")?;
    for folder in folders.split(':').filter(|folder| !folder.is_empty()).rev() {
        path.call_method1("insert", (0, folder))?;
    }
    Ok(())
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
