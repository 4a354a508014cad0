//! Starts an interpreter's process: its folders, what it may reach, and its variables.

use std::sync::Arc;

use ractor::ActorRef;
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

use super::{Arguments, InterpreterMessage};
use crate::disk;
use crate::link::{Interpreter, InterpreterSpec};
use crate::node::folders::InterpreterFolders;
use crate::sandbox::{Policy, UserLease, for_interpreter};

/// No lower bound for single files, bytes: batches lie in files in memory.
const LEAST_FILE: u64 = 2 << 30;

/// Starts the process; returns its folders.
pub(super) fn start(arguments: &Arguments, myself: ActorRef<InterpreterMessage>) -> Result<InterpreterFolders, Error> {
    let parent = &arguments.context.temporary;
    let failed = |error: std::io::Error| {
        let what = format!("an interpreter's folder in {}", parent.display());
        disk::refused(ErrorCode::EnvironmentFailed, &what, &error)
    };
    // Both may have been deleted: functions may write to their working folder, and people clean up.
    std::fs::create_dir_all(parent).map_err(failed)?;
    if arguments.held.built.no_archives {
        std::fs::create_dir_all(&arguments.held.built.working_dir).map_err(failed)?;
    }
    let network = &arguments.network;
    if !network.enforced_by(&arguments.context.sandbox.level().status()) {
        let message = format!("this executor can't enforce udfleet.network = {network}");
        return Err(Error::new(ErrorCode::LoadFailed, message)
            .hint("`udfleet status` says what its sandbox lacks; or register the function for all of the network"));
    }
    let user = arguments.held.user.as_ref().map(UserLease::user);
    let folders = InterpreterFolders::make(parent, &arguments.held.built.working_dir, user).map_err(failed)?;
    let secrets = arguments.variables.secrets(&arguments.context.secrets, &folders.secrets(), user)?;
    let spec = InterpreterSpec { secrets, ..spec(arguments, &folders) };
    let logs = Arc::clone(&arguments.context.logs);
    tokio::spawn(async move {
        let started = Interpreter::start(spec, logs).await;
        let handle = started.as_ref().ok().cloned();
        if myself.send_message(InterpreterMessage::Started(started)).is_err()
            && let Some(interpreter) = handle
        {
            // Stopped while it was starting: only this task knows the process.
            interpreter.kill();
        }
    });
    Ok(folders)
}

fn spec(arguments: &Arguments, folders: &InterpreterFolders) -> InterpreterSpec {
    let (context, built) = (&arguments.context, &arguments.held.built);
    let temporary = folders.temporary();
    let policy = Policy::with(arguments.network.clone())
        .user(arguments.held.user.as_ref().map(UserLease::user))
        .python(&built.python)
        .read(arguments.held.folder())
        .read(&context.sdk)
        .read(&context.programs.host)
        .read(&context.programs.module)
        .read(folders.loads())
        .read(folders.secrets())
        .write(folders.working())
        .write(&temporary)
        .largest_file(context.disk_share().max(LEAST_FILE));
    let policy = built.libpython.iter().filter_map(|library| library.parent()).fold(policy, Policy::read);
    InterpreterSpec {
        host: context.programs.host.clone(),
        module: context.programs.module.clone(),
        python: built.python.clone(),
        libpython: built.libpython.clone(),
        sys_path: built.sys_path.iter().chain([&context.sdk]).cloned().collect(),
        containment: context.sandbox.options(&policy),
        working_dir: folders.working(),
        env: for_interpreter(&built.python, &temporary, |name| std::env::var(name).ok())
            .into_iter()
            .chain(arguments.variables.plain(&folders.secrets()))
            // Last: a function's own variables don't take devices that others hold.
            .chain(arguments.devices.variables())
            .collect(),
        secrets: Vec::new(),
        executor: context.executor.clone(),
        bundles: Arc::clone(&context.partitions.bundles),
    }
}
