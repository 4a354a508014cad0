//! The columns that expressions can name.

use udfleet_proto::error::Error;
use udfleet_proto::v1::Field;

use super::error::{invalid, suggest};
use super::graph::{Graph, Kind, NodeId, Traits};
use super::limits;

/// Named columns, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    pub columns: Vec<(String, NodeId)>,
}

impl Scope {
    /// The columns of a pipeline's input.
    pub fn of_inputs(graph: &mut Graph, inputs: &[Field]) -> Result<Self, Error> {
        let mut scope = Self::default();
        for (index, field) in inputs.iter().enumerate() {
            let data_type = field.r#type.clone().unwrap_or_default();
            let id = graph.add(Kind::Input(index), data_type, &field.name, 0, Traits::PLAIN);
            scope.push(field.name.clone(), id, &field.name)?;
        }
        Ok(scope)
    }

    /// Adds a column.
    pub fn push(&mut self, name: String, id: NodeId, expression: &str) -> Result<(), Error> {
        if self.columns.iter().any(|(other, _)| *other == name) {
            return Err(invalid(expression, format_args!("a column named {name:?} is already there"))
                .hint("give one of them another name (`... as name`)"));
        }
        if self.columns.len() >= limits::COLUMNS {
            return Err(limits::exceeded("columns", limits::COLUMNS));
        }
        self.columns.push((name, id));
        Ok(())
    }

    /// The column of this name.
    pub fn find(&self, name: &str, expression: &str) -> Result<NodeId, Error> {
        let found = self.columns.iter().find(|(column, _)| column == name);
        found.map(|(_, id)| *id).ok_or_else(|| {
            suggest(invalid(expression, format_args!("there is no column {name:?}")), name, self.names())
        })
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.columns.iter().map(|(name, _)| name.as_str())
    }
}
