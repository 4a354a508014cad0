//! Stages are written: actions become steps over registers, and a stage ends where another environment is needed.

use udfleet_proto::error::Error;
use udfleet_proto::v1::{ErrorCode, FuncType, Stage};

use super::library::Library;
use super::order::{Action, actions};
use super::pipeline::{End, Group, Logical, Pipeline};
use super::write::Writer;

/// An action with where it happens.
struct Work<'a> {
    pipeline: usize,
    action: Action,
    environment: Option<&'a str>,
}

/// The stages of a bound plan, and what each does as lines for people.
///
/// # Errors
/// [`ErrorCode::NoCapacity`] where no function says which environment to use, and none is there.
pub(super) fn stages(logical: &Logical, library: &dyn Library) -> Result<(Vec<Stage>, Vec<Vec<String>>), Error> {
    let work = work(logical);
    let mut writer = Writer::new(logical);
    for (position, now) in work.iter().enumerate() {
        let pipeline = &logical.pipelines[now.pipeline];
        let grouping = matches!((now.action, &pipeline.end), (Action::End, End::Group(_)));
        if !writer.takes(now.environment) || (grouping && writer.has_gather()) {
            let rest = work[position..].iter().take_while(|later| later.pipeline == now.pipeline);
            writer.cut(rest.flat_map(|later| uses(pipeline, later.action)).collect());
        }
        writer.run_in(now.environment);
        match (now.action, &pipeline.end) {
            (Action::End, End::Group(group)) if in_parts(logical, group) => writer.group_in_parts(group),
            (Action::End, End::Group(group)) => writer.group(group),
            (action, _) => writer.act(action),
        }
    }
    let (mut stages, notes) = writer.finish();
    for stage in stages.iter_mut().filter(|stage| stage.environment.is_empty()) {
        stage.environment = library.environment().ok_or_else(|| {
            Error::new(ErrorCode::NoCapacity, "the plan calls no function, and the fleet runs no interpreter for it")
                .hint("register a function: its interpreters run such plans too")
        })?;
    }
    Ok((stages, notes))
}

fn work(logical: &Logical) -> Vec<Work<'_>> {
    let (mut work, mut environment) = (Vec::new(), None);
    for (number, pipeline) in logical.pipelines.iter().enumerate() {
        for action in actions(logical, pipeline, &mut environment) {
            work.push(Work { pipeline: number, action, environment: needs(logical, pipeline, action) });
        }
    }
    work
}

/// The environment that an action needs.
fn needs<'a>(logical: &'a Logical, pipeline: &Pipeline, action: Action) -> Option<&'a str> {
    let function = match action {
        Action::Compute(id) => match &pipeline.graph.node(id).kind {
            super::graph::Kind::Invoke(invoke) => Some(invoke.function),
            _ => None,
        },
        Action::Filter(_) => None,
        Action::Explode(position) => Some(pipeline.explodes[position].call.function),
        Action::End => pipeline.end_function(),
    };
    function.map(|function| logical.functions[function].environment.as_str())
}

/// The values that an action works on.
fn uses(pipeline: &Pipeline, action: Action) -> Vec<usize> {
    match action {
        Action::Compute(id) => pipeline.graph.operands(id).to_vec(),
        Action::Filter(position) => vec![pipeline.filters[position].predicate],
        Action::Explode(position) => pipeline.explodes[position].call.arguments.clone(),
        Action::End => pipeline.roots(),
    }
}

/// True where groups are aggregated batch by batch, anywhere, and then merged.
fn in_parts(logical: &Logical, group: &Group) -> bool {
    let mergeable = |call: &super::pipeline::Aggregation| {
        let mergeable = call.call.function().is_none_or(|function| {
            let definition = &logical.functions[function].definition;
            definition.merges && definition.func_type() == FuncType::General
        });
        mergeable && !call.distinct
    };
    !group.calls.is_empty() && group.calls.iter().all(mergeable)
}
