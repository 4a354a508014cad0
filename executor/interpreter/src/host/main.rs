//! Starts every process that users may have a say in: interpreters, uv and what it builds, Pythons out of archives. It
//! contains itself first, and then becomes the interpreter; for a program it makes a child that does, and ends it and all that
//! it starts when the executor ends.
//!
//! Usage: `udfleet-interpreter [OPTION VALUE]... python MODULE LIBPYTHON PYTHON`, with the control socket on descriptor 3;
//! `udfleet-interpreter [OPTION VALUE]... run PROGRAM [ARGUMENT]...`; `udfleet-interpreter check` prints what of the
//! containment this machine has. Options are in `options.rs`.

mod calls;
mod check;
mod contain;
#[path = "../descendants.rs"]
mod descendants;
mod embed;
mod files;
mod options;
mod privileges;
mod supervise;

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::process::ExitCode;

use options::Task;

fn main() -> ExitCode {
    match run(std::env::args_os().skip(1).collect()) {
        Ok(status) => ExitCode::from(u8::try_from(status).unwrap_or(1)),
        Err(message) => {
            eprintln!("udfleet-interpreter: {message}");
            ExitCode::from(120)
        }
    }
}

fn run(arguments: Vec<OsString>) -> Result<i32, String> {
    let (containment, task) = options::parse(arguments)?;
    match task {
        Task::Check => {
            println!("{}", check::level(&containment));
            Ok(0)
        }
        Task::Python { module, libpython, python } => {
            contain::contain(&containment)?;
            embed::enter(&module, &libpython, &python)
        }
        Task::Run { program, arguments } => supervise::run(|| match contain::contain(&containment) {
            Ok(()) => become_program(&program, &arguments),
            Err(message) => message,
        }),
    }
}

fn become_program(program: &OsStr, arguments: &[OsString]) -> String {
    let error = std::process::Command::new(program).args(arguments).exec();
    format!("{}: can't be run: {error}", program.display())
}
