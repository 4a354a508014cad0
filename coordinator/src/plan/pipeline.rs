//! A bound plan: one pipeline for each run of operators between groupings.

use std::sync::Arc;

use udfleet_proto::v1::aggregate_call::Builtin;
use udfleet_proto::v1::{DataType, Field};

use super::graph::{FunctionId, Graph, Invoke, NodeId};
use crate::registry::Function;

/// A plan with all names resolved and all types known.
pub(super) struct Logical {
    /// Never empty. The inputs of each are what the one before it ends with.
    pub pipelines: Vec<Pipeline>,
    pub functions: Vec<Arc<Function>>,
}

/// From input to a grouping, or to the end.
pub(super) struct Pipeline {
    pub inputs: Vec<Field>,
    pub graph: Graph,
    pub unnests: Vec<Unnest>,
    pub filters: Vec<Filter>,
    pub end: End,
}

/// The call of a table function for each row.
pub(super) struct Unnest {
    pub call: Invoke,
    pub outer: bool,
    pub text: String,
    /// One for each of its columns.
    pub columns: Vec<NodeId>,
}

/// Keeps the rows for which the predicate is true.
pub(super) struct Filter {
    pub predicate: NodeId,
    /// Runs once so many table functions have been joined.
    pub level: usize,
    pub text: String,
}

/// What a pipeline is for.
pub(super) enum End {
    Output(Vec<(String, NodeId)>),
    Group(Group),
}

/// A grouping.
pub(super) struct Group {
    pub keys: Vec<NodeId>,
    pub calls: Vec<AggregateExpression>,
    /// Of keys, then results: what the next pipeline takes in.
    pub outputs: Vec<Field>,
    pub text: String,
}

/// A call of an aggregate function over the rows of a group.
#[derive(Debug, Clone)]
pub(super) struct AggregateExpression {
    pub function: AggregateFunction,
    pub distinct: bool,
    pub filter: Option<NodeId>,
    pub text: String,
}

/// The function of an aggregate expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum AggregateFunction {
    /// A registered function.
    Registered(Invoke),
    /// A built-in one, with at most one argument, and the type of its result.
    Builtin { builtin: Builtin, arguments: Vec<NodeId>, result: DataType },
}

impl AggregateFunction {
    /// What it aggregates.
    pub fn arguments(&self) -> &[NodeId] {
        match self {
            Self::Registered(invoke) => &invoke.arguments,
            Self::Builtin { arguments, .. } => arguments,
        }
    }

    /// The registered function.
    pub fn registered(&self) -> Option<FunctionId> {
        match self {
            Self::Registered(invoke) => Some(invoke.function),
            Self::Builtin { .. } => None,
        }
    }
}

impl AggregateExpression {
    /// True where both give the same result.
    pub fn same(&self, other: &Self) -> bool {
        (&self.function, self.distinct, self.filter) == (&other.function, other.distinct, other.filter)
    }
}

impl Pipeline {
    /// What the end needs.
    pub fn roots(&self) -> Vec<NodeId> {
        match &self.end {
            End::Output(columns) => columns.iter().map(|(_, id)| *id).collect(),
            End::Group(group) => {
                let calls = group.calls.iter();
                let needed = calls.flat_map(|call| call.function.arguments().iter().chain(&call.filter));
                group.keys.iter().chain(needed).copied().collect()
            }
        }
    }

    /// The function that the end has to be in the environment of.
    pub fn end_function(&self) -> Option<FunctionId> {
        match &self.end {
            End::Output(_) => None,
            End::Group(group) => group.calls.iter().find_map(|call| call.function.registered()),
        }
    }
}
