//! Loads one function into one interpreter.

use std::sync::Arc;
use std::time::Duration;

use udfleet_proto::config::{ARROW_BATCH_SIZE, BUNDLE_SIZE};
use udfleet_proto::error::Error;
use udfleet_proto::v1::{Artifact, ErrorCode, FunctionDefinition, LoadSpec, Subtask};

use super::context::Context;
use super::folders::InterpreterFolders;
use crate::artifact::FetchError;
use crate::link::Interpreter;

/// Between tries while the coordinator, which has the artifacts, can't be reached.
const PAUSE: Duration = Duration::from_secs(1);

/// How an operation on an interpreter has ended.
#[derive(Debug)]
pub enum LoadOutcome {
    /// The function can be called.
    Loaded,
    /// The function is gone.
    Unloaded,
    /// The function can't be loaded; the interpreter goes on.
    Refused(Error),
    /// Loading the function ended the interpreter.
    Died(Error),
    /// The interpreter ended for another reason.
    CutShort,
}

/// Fetches what the function is made of and loads it.
pub(super) async fn load(
    context: &Context,
    interpreter: &Interpreter,
    folders: &InterpreterFolders,
    number: u32,
    definition: &Arc<FunctionDefinition>,
    subtask: Subtask,
) -> LoadOutcome {
    let prepared = tokio::select! {
        prepared = prepare(context, folders, number, definition, subtask) => prepared,
        // It has died before it got to know of the function.
        _ = interpreter.exited() => return LoadOutcome::CutShort,
    };
    let loaded = match prepared {
        Ok(spec) => interpreter.load(spec).await,
        Err(error) => return LoadOutcome::Refused(error),
    };
    match loaded {
        Ok(()) => LoadOutcome::Loaded,
        Err(error) if died(&error) => LoadOutcome::Died(error),
        Err(error) => LoadOutcome::Refused(error),
    }
}

fn died(error: &Error) -> bool {
    matches!(error.code(), ErrorCode::InterpreterCrashed | ErrorCode::CallTimeout | ErrorCode::MemoryExceeded)
}

async fn prepare(
    context: &Context,
    folders: &InterpreterFolders,
    number: u32,
    definition: &Arc<FunctionDefinition>,
    subtask: Subtask,
) -> Result<LoadSpec, Error> {
    let payload = match &definition.payload {
        Some(payload) => fetch(context, folders, payload).await?,
        None => return Err(Error::new(ErrorCode::InvalidDefinition, "the definition has no payload")),
    };
    let pickle_support = match &definition.pickle_support {
        Some(artifact) => fetch(context, folders, artifact).await?,
        None => String::new(),
    };
    let mut part_paths = Vec::with_capacity(definition.parts.len());
    for part in &definition.parts {
        part_paths.push(fetch(context, folders, part).await?);
    }
    Ok(LoadSpec {
        function: number,
        definition: Some(FunctionDefinition::clone(definition)),
        payload_path: payload,
        pickle_support_path: pickle_support,
        max_rows: ARROW_BATCH_SIZE.integer(&definition.config).min(BUNDLE_SIZE.integer(&definition.config)),
        executor: context.executor.clone(),
        subtask: Some(subtask),
        part_paths,
    })
}

/// Waits for the coordinator where it is away: the function is wanted still.
async fn fetch(context: &Context, folders: &InterpreterFolders, artifact: &Artifact) -> Result<String, Error> {
    loop {
        match context.artifacts.fetch(artifact).await {
            Ok(path) => return folders.lay(&path).await,
            Err(FetchError::Away(error)) => {
                tracing::warn!("{error}");
                tokio::time::sleep(PAUSE).await;
            }
            Err(FetchError::Failed(error)) => return Err(error),
        }
    }
}
