//! Binds expressions: they become nodes of a graph.

use std::sync::Arc;

use udfleet_proto::error::Error;
use udfleet_proto::v1::{Expression, expression};

use super::aggregate::Grouping;
use super::error::{invalid, located};
use super::graph::{FunctionId, Graph, Kind, NodeId, Traits};
use super::library::Library;
use super::limits;
use super::scope::Scope;
use super::types;
use crate::registry::Function;

/// The functions of a plan, each once.
pub(super) struct Functions<'a> {
    library: &'a dyn Library,
    pub all: Vec<Arc<Function>>,
}

impl<'a> Functions<'a> {
    pub fn new(library: &'a dyn Library) -> Self {
        Self { library, all: Vec::new() }
    }

    /// Looks one up.
    pub fn find(&mut self, name: &str, text: &str) -> Result<FunctionId, Error> {
        let parsed = udfleet_proto::name::FunctionRef::parse(name).map_err(|e| invalid(text, e))?;
        let function = self.library.function(&parsed).map_err(|e| located(e, text))?;
        if let Some(known) = self.all.iter().position(|other| other.name == function.name) {
            return Ok(known);
        }
        if self.all.len() >= limits::FUNCTIONS {
            return Err(limits::exceeded("functions", limits::FUNCTIONS));
        }
        self.all.push(function);
        Ok(self.all.len() - 1)
    }

    /// The registered version that a name means.
    pub fn lookup(&self, name: &udfleet_proto::name::FunctionRef) -> Result<Arc<Function>, Error> {
        self.library.function(name)
    }

    pub fn get(&self, id: FunctionId) -> &Arc<Function> {
        &self.all[id]
    }
}

/// Binds expressions at one place of a plan.
pub(super) struct Binder<'a, 'l> {
    pub graph: &'a mut Graph,
    pub scope: &'a Scope,
    /// Table functions joined so far.
    pub level: usize,
    pub functions: &'a mut Functions<'l>,
    /// Behind a grouping: what stood before it.
    pub grouping: Option<&'a mut Grouping>,
    /// A condition: what is bound counts for rows for which it is true.
    pub guard: Option<NodeId>,
    /// Values of the bindings around what is bound, outermost first.
    pub bound: Vec<NodeId>,
}

impl Binder<'_, '_> {
    /// The value of an expression.
    ///
    /// # Errors
    /// `INVALID_PLAN` naming the part at fault.
    pub fn bind(&mut self, expression: &Expression) -> Result<NodeId, Error> {
        if let Some(key) = self.grouping.as_ref().and_then(|grouping| grouping.key(expression)) {
            return Ok(key);
        }
        let outer = self.bound.len();
        for binding in &expression.bindings {
            let id = self.bind(binding)?;
            self.bound.push(id);
        }
        let id = self.kind(expression);
        self.bound.truncate(outer);
        id
    }

    fn kind(&mut self, expression: &Expression) -> Result<NodeId, Error> {
        let text = shown(expression);
        match &expression.kind {
            None => Err(invalid(&text, "an expression is empty")),
            Some(expression::Kind::Column(name)) => match &self.grouping {
                None => self.scope.find(name, &text),
                Some(grouping) => grouping.column(name, self.scope, &text),
            },
            Some(expression::Kind::Literal(literal)) => {
                let literal = types::normalise(literal).map_err(|why| invalid(&text, why))?;
                let data_type = literal.r#type.clone().unwrap_or_default();
                Ok(self.graph.add(Kind::Literal(literal), data_type, &text, self.level, Traits::PLAIN))
            }
            Some(expression::Kind::Call(call)) => self.call(call, &text),
            Some(expression::Kind::Operation(operation)) => self.operation(operation, &text),
            Some(expression::Kind::Bound(position)) => {
                let known = usize::try_from(*position).ok().and_then(|position| self.bound.get(position));
                known.copied().ok_or_else(|| invalid(&text, "it names a binding that no expression around it has"))
            }
        }
    }
}

/// What stands for an expression in messages.
pub(super) fn shown(expression: &Expression) -> String {
    match &expression.kind {
        _ if !expression.text.is_empty() => expression.text.clone(),
        Some(expression::Kind::Column(name)) => name.clone(),
        Some(expression::Kind::Literal(literal)) => {
            literal.value.as_ref().map_or_else(|| "NULL".to_owned(), types::show)
        }
        Some(expression::Kind::Call(call)) => {
            let arguments: Vec<String> = call.arguments.iter().map(shown).collect();
            format!("{}({})", call.function, if call.takes_row { "*".to_owned() } else { arguments.join(", ") })
        }
        Some(expression::Kind::Operation(operation)) => super::operation::show(operation),
        Some(expression::Kind::Bound(position)) => format!("binding {position}"),
        None => String::new(),
    }
}
