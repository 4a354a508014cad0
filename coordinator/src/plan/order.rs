//! When each value is computed: as late as filters allow, before rows are repeated, and once.

use std::collections::BTreeSet;

use super::environments;
use super::graph::{FunctionId, Graph, Kind, NodeId};
use super::pipeline::{Logical, Pipeline};

/// One thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Compute(NodeId),
    /// By position in the pipeline.
    Filter(usize),
    /// By position in the pipeline.
    Unnest(usize),
    /// The pipeline's end.
    End,
}

/// Values that are due, and what then happens to all rows.
struct Unit {
    nodes: BTreeSet<NodeId>,
    last: Action,
}

/// The actions of a pipeline in order. `environment` is the one that runs when it begins, and at its end the one that
/// runs then.
pub(super) fn actions(logical: &Logical, pipeline: &Pipeline, environment: &mut Option<String>) -> Vec<Action> {
    let mut actions = Vec::new();
    let mut done: BTreeSet<NodeId> = BTreeSet::new();
    let of = |function: FunctionId| logical.functions[function].environment.as_str();
    for unit in units(pipeline) {
        let graph = &pipeline.graph;
        let calls = unit.nodes.iter().filter(|id| !done.contains(id)).filter_map(|id| match &graph.node(*id).kind {
            Kind::Invoke(invoke) => Some((*id, of(invoke.function))),
            _ => None,
        });
        let last = match unit.last {
            Action::Unnest(position) => Some(pipeline.unnests[position].call.function),
            Action::End => pipeline.end_function(),
            Action::Compute(_) | Action::Filter(_) => None,
        };
        for call in environments::order(graph, &calls.collect::<Vec<_>>(), last.map(of), environment) {
            emit(graph, call, &mut done, &mut actions);
        }
        for id in unit.nodes {
            emit(graph, id, &mut done, &mut actions);
        }
        actions.push(unit.last);
    }
    actions
}

/// Computes a value after all that it needs. Literals cost nothing: they appear where they are used.
fn emit(graph: &Graph, id: NodeId, done: &mut BTreeSet<NodeId>, actions: &mut Vec<Action>) {
    let computed = matches!(graph.node(id).kind, Kind::Compute { .. } | Kind::Invoke(_));
    if !computed || !done.insert(id) {
        return;
    }
    for operand in graph.operands(id) {
        emit(graph, *operand, done, actions);
    }
    actions.push(Action::Compute(id));
}

fn units(pipeline: &Pipeline) -> Vec<Unit> {
    let levels = pipeline.unnests.len();
    let mut units = Vec::new();
    for level in 0..=levels {
        for position in filters(pipeline, level) {
            let nodes = pipeline.graph.closure([pipeline.filters[position].predicate]);
            units.push(Unit { nodes, last: Action::Filter(position) });
        }
        let unit = match pipeline.unnests.get(level) {
            Some(unnest) => {
                let mut nodes = pipeline.graph.closure(unnest.call.arguments.iter().copied());
                nodes.extend(written_before(pipeline, level));
                Unit { nodes, last: Action::Unnest(level) }
            }
            None => Unit { nodes: pipeline.graph.closure(pipeline.roots()), last: Action::End },
        };
        units.push(unit);
    }
    units
}

/// The filters of a level: first those that only look at columns, then the others as written.
fn filters(pipeline: &Pipeline, level: usize) -> Vec<usize> {
    let costly = |position: &usize| pipeline.graph.node(pipeline.filters[*position].predicate).fallible;
    let mut here: Vec<usize> =
        (0..pipeline.filters.len()).filter(|position| pipeline.filters[*position].level == level).collect();
    here.sort_by_key(costly);
    here
}

/// What is needed after the next table function, but written before it: computed here, before rows are repeated.
fn written_before(pipeline: &Pipeline, level: usize) -> Vec<NodeId> {
    let later_filters = pipeline.filters.iter().filter(|filter| filter.level > level).map(|filter| filter.predicate);
    let later_calls = pipeline.unnests[level + 1..].iter().flat_map(|unnest| unnest.call.arguments.iter().copied());
    let needed = pipeline.graph.closure(later_filters.chain(later_calls).chain(pipeline.roots()));
    needed.into_iter().filter(|id| pipeline.graph.node(*id).born <= level).collect()
}
