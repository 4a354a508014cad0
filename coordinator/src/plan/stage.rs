//! Turns actions into stages: a stage ends where another environment is needed.

use udfleet_proto::error::Error;
use udfleet_proto::v1::{ErrorCode, FuncType, Stage};

use super::graph::{Kind, NodeId};
use super::library::Library;
use super::order::{Action, actions};
use super::pipeline::{End, Group, Logical, Pipeline};
use super::write::Writer;

/// An action, with its pipeline and the environment that it needs.
struct PlacedAction<'a> {
    pipeline: usize,
    action: Action,
    environment: Option<&'a str>,
}

/// The stages of a bound plan, and what each does as lines for people.
///
/// # Errors
/// [`ErrorCode::NoCapacity`] where no function says which environment to use, and none is there.
pub(super) fn stages(logical: &Logical, library: &dyn Library) -> Result<(Vec<Stage>, Vec<Vec<String>>), Error> {
    let actions = placed_actions(logical);
    let mut writer = Writer::new(logical);
    for (position, now) in actions.iter().enumerate() {
        let pipeline = &logical.pipelines[now.pipeline];
        let strategy = match (now.action, &pipeline.end) {
            (Action::End, End::Group(group)) => Some(GroupingStrategy::of(logical, pipeline, group, library)),
            _ => None,
        };
        let begins_stage = |strategy: GroupingStrategy| {
            writer.has_aggregation() || (matches!(strategy, GroupingStrategy::ByKey { .. }) && writer.has_steps())
        };
        if !writer.takes(now.environment) || strategy.is_some_and(begins_stage) {
            if writer.takes(now.environment) {
                writer.run_in(now.environment);
            }
            let rest = actions[position..].iter().take_while(|later| later.pipeline == now.pipeline);
            writer.cut(rest.flat_map(|later| uses(pipeline, later.action)).collect());
        }
        writer.run_in(now.environment);
        match (now.action, &pipeline.end, strategy) {
            (_, End::Group(group), Some(GroupingStrategy::TwoPhases)) => writer.group_in_two_phases(group),
            (_, End::Group(group), Some(GroupingStrategy::ByKey { interpreters })) => writer.group(group, interpreters),
            (_, End::Group(group), Some(GroupingStrategy::InOne)) => writer.group(group, 1),
            (action, ..) => writer.act(action),
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

fn placed_actions(logical: &Logical) -> Vec<PlacedAction<'_>> {
    let (mut placed, mut environment) = (Vec::new(), None);
    for (number, pipeline) in logical.pipelines.iter().enumerate() {
        for action in actions(logical, pipeline, &mut environment) {
            placed.push(PlacedAction { pipeline: number, action, environment: needs(logical, pipeline, action) });
        }
    }
    placed
}

/// The environment that an action needs.
fn needs<'a>(logical: &'a Logical, pipeline: &Pipeline, action: Action) -> Option<&'a str> {
    let function = match action {
        Action::Compute(id) => match &pipeline.graph.node(id).kind {
            Kind::Invoke(invoke) => Some(invoke.function),
            _ => None,
        },
        Action::Filter(_) => None,
        Action::Unnest(position) => Some(pipeline.unnests[position].call.function),
        Action::End => pipeline.end_function(),
    };
    function.map(|function| logical.functions[function].environment.as_str())
}

/// The values that an action works on.
fn uses(pipeline: &Pipeline, action: Action) -> Vec<usize> {
    match action {
        Action::Compute(id) => pipeline.graph.operands(id).to_vec(),
        Action::Filter(position) => vec![pipeline.filters[position].predicate],
        Action::Unnest(position) => pipeline.unnests[position].call.arguments.clone(),
        Action::End => pipeline.roots(),
    }
}

/// Where the groups of a grouping are aggregated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GroupingStrategy {
    /// Batch by batch, in any interpreter; then the accumulators are merged in one.
    TwoPhases,
    /// Those of each key in one of so many interpreters.
    ByKey { interpreters: u32 },
    /// All in one interpreter.
    InOne,
}

impl GroupingStrategy {
    fn of(logical: &Logical, pipeline: &Pipeline, group: &Group, library: &dyn Library) -> Self {
        if in_two_phases(logical, group) {
            return Self::TwoPhases;
        }
        let is_column = |key: &NodeId| !matches!(pipeline.graph.node(*key).kind, Kind::Literal(_));
        if !group.keys.iter().any(is_column) {
            return Self::InOne;
        }
        let functions = group.calls.iter().filter_map(|call| call.function.registered());
        let functions: Vec<&str> = functions.map(|function| logical.functions[function].name.as_str()).collect();
        match library.interpreters(&functions, &library.environment().unwrap_or_default()) {
            0 | 1 => Self::InOne,
            interpreters => Self::ByKey { interpreters },
        }
    }
}

/// True where each batch can be aggregated by itself, in any interpreter, and the accumulators merged.
fn in_two_phases(logical: &Logical, group: &Group) -> bool {
    let mergeable = |call: &super::pipeline::AggregateExpression| {
        let mergeable = call.function.registered().is_none_or(|function| {
            let definition = &logical.functions[function].definition;
            definition.merges && definition.func_type() == FuncType::General
        });
        mergeable && !call.distinct
    };
    !group.calls.is_empty() && group.calls.iter().all(mergeable)
}
