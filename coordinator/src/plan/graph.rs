//! Values of a plan as a graph: equal deterministic ones are one node.

use std::collections::{BTreeSet, HashMap};

use prost::Message as _;
use udfleet_proto::v1::operation::Operator;
use udfleet_proto::v1::{DataType, Literal};

/// A node's number. Operands have smaller numbers than what uses them.
pub(super) type NodeId = usize;
/// A function's position in the plan's list of functions.
pub(super) type FunctionId = usize;

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// A column of the pipeline's input.
    Input(usize),
    /// A column of the n-th table function that is joined.
    Unnested {
        unnest: usize,
        column: usize,
    },
    Literal(Literal),
    Compute {
        operator: Operator,
        operands: Vec<NodeId>,
        field: u32,
    },
    Invoke(Invoke),
}

/// A call of a function over columns.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Invoke {
    pub function: FunctionId,
    pub arguments: Vec<NodeId>,
    /// Field names where the arguments are one row.
    pub row: Vec<String>,
}

/// A value for each row.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub kind: Kind,
    pub data_type: DataType,
    /// As the user wrote it.
    pub text: String,
    /// Table functions that have to run before it can be computed.
    pub level: usize,
    /// Table functions that come before it as the plan is written.
    pub born: usize,
    /// It differs from one computation to the next.
    pub volatile: bool,
    /// It calls a function, or may be refused for some values.
    pub fallible: bool,
}

/// The values of one pipeline.
#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: Vec<Node>,
    /// By what they are, and their encoded types.
    known: HashMap<(Key, Vec<u8>), NodeId>,
}

/// What makes two values of one type equal. Operands are nodes: equal expressions have equal operands.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Key {
    Input(usize),
    Unnested(usize, usize),
    /// Encoded: 0.0 and -0.0 are two literals, which functions can tell apart.
    Literal(Vec<u8>),
    Compute(Operator, Vec<NodeId>, u32),
    Invoke(FunctionId, Vec<NodeId>, Vec<String>),
}

impl Key {
    fn of(kind: &Kind) -> Self {
        match kind {
            Kind::Input(position) => Self::Input(*position),
            Kind::Unnested { unnest, column } => Self::Unnested(*unnest, *column),
            Kind::Literal(literal) => Self::Literal(literal.encode_to_vec()),
            Kind::Compute { operator, operands, field } => Self::Compute(*operator, operands.clone(), *field),
            Kind::Invoke(invoke) => Self::Invoke(invoke.function, invoke.arguments.clone(), invoke.row.clone()),
        }
    }
}

impl Graph {
    /// A node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }

    /// What the node is computed from.
    pub fn operands(&self, id: NodeId) -> &[NodeId] {
        match &self.node(id).kind {
            Kind::Compute { operands, .. } => operands,
            Kind::Invoke(invoke) => &invoke.arguments,
            Kind::Input(_) | Kind::Unnested { .. } | Kind::Literal(_) => &[],
        }
    }

    /// Adds a value that is written where `born` table functions have been joined, or finds an equal one.
    pub fn add(&mut self, kind: Kind, data_type: DataType, text: &str, born: usize, traits: Traits) -> NodeId {
        let key = (Key::of(&kind), data_type.encode_to_vec());
        if traits.deterministic
            && let Some(known) = self.known.get(&key)
        {
            return *known;
        }
        let mut node = Node {
            level: if let Kind::Unnested { unnest, .. } = kind { unnest + 1 } else { 0 },
            kind,
            data_type,
            text: text.to_owned(),
            born,
            volatile: !traits.deterministic,
            fallible: traits.fallible,
        };
        let id = self.nodes.len();
        self.nodes.push(node.clone());
        for operand in self.operands(id) {
            let operand = self.node(*operand);
            node.level = node.level.max(operand.level);
            node.volatile |= operand.volatile;
            node.fallible |= operand.fallible;
        }
        self.nodes[id] = node;
        if traits.deterministic {
            self.known.insert(key, id);
        }
        id
    }

    /// The columns of the input that anything names, with their positions.
    pub fn inputs(&self) -> impl Iterator<Item = (NodeId, usize)> + '_ {
        self.nodes.iter().enumerate().filter_map(|(id, node)| match node.kind {
            Kind::Input(position) => Some((id, position)),
            _ => None,
        })
    }

    /// These nodes and all that they are computed from.
    pub fn closure(&self, roots: impl IntoIterator<Item = NodeId>) -> BTreeSet<NodeId> {
        let mut seen = BTreeSet::new();
        let mut open: Vec<NodeId> = roots.into_iter().collect();
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                open.extend(self.operands(id));
            }
        }
        seen
    }
}

/// What is known of a new value by itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Traits {
    pub deterministic: bool,
    pub fallible: bool,
}

impl Traits {
    /// Of columns and literals.
    pub const PLAIN: Self = Self { deterministic: true, fallible: false };
}
