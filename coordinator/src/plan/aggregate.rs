//! Groupings: what follows one sees its keys and its aggregates, nothing else.

use udfleet_proto::error::Error;
use udfleet_proto::v1::aggregate_call::Builtin;
use udfleet_proto::v1::{Call, DataType, Expression, Field, FunctionKind, TypeRoot, expression};

use super::bind::{Binder, Functions, shown};
use super::call::result_type;
use super::error::{invalid, suggest, type_list};
use super::graph::{FunctionId, Graph, Kind, NodeId, Traits};
use super::pipeline::{AggregateExpression, AggregateFunction};
use super::scope::Scope;
use super::types;

/// A grouping whose items are being bound.
pub(super) struct Grouping {
    /// The pipeline that the grouping ends.
    pub graph: Graph,
    pub scope: Scope,
    pub level: usize,
    pub keys: Vec<Key>,
    pub calls: Vec<AggregateExpression>,
    /// Keys, then results.
    pub outputs: Vec<Field>,
}

/// One key.
pub(super) struct Key {
    /// Without texts, for comparison with items.
    expression: Expression,
    pub name: String,
    /// Before the grouping.
    pub before: NodeId,
    /// After the grouping.
    pub after: NodeId,
}

/// The expression without its text.
fn plain(expression: &Expression) -> Expression {
    let mut plain = expression.clone();
    plain.text.clear();
    plain.bindings = plain.bindings.iter().map(self::plain).collect();
    match &mut plain.kind {
        Some(expression::Kind::Call(call)) => {
            call.arguments = call.arguments.iter().map(self::plain).collect();
            call.filter = call.filter.as_ref().map(|filter| Box::new(self::plain(filter)));
        }
        Some(expression::Kind::Operation(operation)) => {
            operation.operands = operation.operands.iter().map(self::plain).collect();
        }
        Some(expression::Kind::Column(_) | expression::Kind::Literal(_) | expression::Kind::Bound(_)) | None => {}
    }
    plain
}

impl Grouping {
    /// A grouping of what a scope holds.
    pub fn new(graph: Graph, scope: Scope, level: usize) -> Self {
        Self { graph, scope, level, keys: Vec::new(), calls: Vec::new(), outputs: Vec::new() }
    }

    /// Adds a key; `after` is the graph of the next pipeline.
    pub fn add_key(
        &mut self,
        expression: &Expression,
        name: String,
        functions: &mut Functions<'_>,
        after: &mut Graph,
    ) -> Result<(), Error> {
        let text = shown(expression);
        if self.keys.iter().any(|key| key.name == name) {
            return Err(invalid(&text, format_args!("two group keys are named {name:?}")).hint("rename one of them"));
        }
        let before = self.before(functions).bind(expression)?;
        let data_type = self.graph.node(before).data_type.clone();
        if matches!(data_type.root(), TypeRoot::Map | TypeRoot::Multiset) {
            return Err(invalid(&text, "a MAP or MULTISET can't be a group key"));
        }
        let key = after.add(Kind::Input(self.outputs.len()), data_type.clone(), &text, 0, Traits::PLAIN);
        self.outputs.push(Field { name: format!("k{}", self.keys.len()), r#type: Some(data_type) });
        self.keys.push(Key { expression: plain(expression), name, before, after: key });
        Ok(())
    }

    /// The key that this expression is.
    pub fn key(&self, expression: &Expression) -> Option<NodeId> {
        let plain = plain(expression);
        self.keys.iter().find(|key| key.expression == plain).map(|key| key.after)
    }

    /// The key of this name.
    pub fn column(&self, name: &str, _: &Scope, text: &str) -> Result<NodeId, Error> {
        if let Some(key) = self.keys.iter().find(|key| key.name == name) {
            return Ok(key.after);
        }
        if self.scope.names().any(|column| column == name) {
            let message = format!("column {name:?} is neither a group key nor inside of an aggregate function");
            return Err(invalid(text, message).hint("add it to group_by, or aggregate it"));
        }
        let keys = self.keys.iter().map(|key| key.name.as_str());
        Err(suggest(invalid(text, format_args!("there is no column {name:?}")), name, keys.chain(self.scope.names())))
    }

    /// Binds keys and the arguments of aggregate functions.
    pub fn before<'a, 'l>(&'a mut self, functions: &'a mut Functions<'l>) -> Binder<'a, 'l> {
        let (graph, scope, level) = (&mut self.graph, &self.scope, self.level);
        Binder { graph, scope, level, functions, grouping: None, guard: None, bound: Vec::new() }
    }

    /// Adds the call of an aggregate function, unless an equal deterministic one is there; its position.
    pub fn add_call(
        &mut self,
        function: FunctionId,
        call: &Call,
        text: &str,
        functions: &mut Functions<'_>,
    ) -> Result<usize, Error> {
        let invoke = self.before(functions).invocation(function, call, text)?;
        if let Some(first) = self.calls.iter().find_map(|call| call.function.registered()) {
            let (first, this) = (functions.get(first), functions.get(function));
            if first.environment != this.environment {
                let message = format!("{} and {} have different environments", first.name, this.name);
                return Err(invalid(text, message).hint(
                    "the aggregate functions of one group_by run in one interpreter: register them with one environment",
                ));
            }
        }
        let deterministic = functions.get(function).definition.deterministic;
        self.add(AggregateFunction::Registered(invoke), deterministic, call, text, functions)
    }

    /// As [`Grouping::add_call`], of a built-in aggregate; with the type of its result.
    pub fn add_builtin(
        &mut self,
        builtin: Builtin,
        call: &Call,
        text: &str,
        functions: &mut Functions<'_>,
    ) -> Result<(usize, DataType), Error> {
        let mut before = self.before(functions);
        let arguments = call.arguments.iter().map(|e| before.bind(e)).collect::<Result<Vec<_>, _>>()?;
        let given: Vec<&DataType> = arguments.iter().map(|id| &before.graph.node(*id).data_type).collect();
        let all_rows = call.takes_row && builtin == Builtin::Count && !call.distinct;
        let result = match builtin {
            _ if call.takes_row && !all_rows => Err("takes one column"),
            _ => types::aggregate_type(builtin, &given, all_rows),
        };
        let result = result.map_err(|wanted| {
            let name = call.function.to_uppercase();
            invalid(text, format_args!("{name} {wanted}, given {}", type_list(given.iter().copied())))
        })?;
        let aggregate = AggregateFunction::Builtin { builtin, arguments, result: result.clone() };
        Ok((self.add(aggregate, true, call, text, functions)?, result))
    }

    fn add(
        &mut self,
        function: AggregateFunction,
        deterministic: bool,
        call: &Call,
        text: &str,
        functions: &mut Functions<'_>,
    ) -> Result<usize, Error> {
        let filter = call.filter.as_deref().map(|filter| self.before(functions).predicate(filter)).transpose()?;
        let aggregate = AggregateExpression { function, distinct: call.distinct, filter, text: text.to_owned() };
        let known = self.calls.iter().position(|other| other.same(&aggregate)).filter(|_| deterministic);
        Ok(known.unwrap_or_else(|| {
            self.calls.push(aggregate);
            self.calls.len() - 1
        }))
    }

    /// Appends an output.
    pub fn output(&mut self, data_type: DataType) -> usize {
        self.outputs.push(Field { name: format!("r{}", self.outputs.len()), r#type: Some(data_type) });
        self.outputs.len() - 1
    }
}

impl Binder<'_, '_> {
    /// The result of an aggregate function for each group.
    pub(super) fn aggregate(&mut self, function: FunctionId, call: &Call, text: &str) -> Result<NodeId, Error> {
        self.expect_kind(function, FunctionKind::Aggregate, text)?;
        let result = result_type(&self.functions.get(function).definition);
        let Some(grouping) = self.grouping.as_mut() else {
            return Err(invalid(text, "an aggregate function outside of a grouping"));
        };
        let position = grouping.add_call(function, call, text, self.functions)?;
        Ok(self.aggregated(position, result, text))
    }

    /// The result of a built-in aggregate for each group.
    pub(super) fn builtin_aggregate(&mut self, builtin: Builtin, call: &Call, text: &str) -> Result<NodeId, Error> {
        let Some(grouping) = self.grouping.as_mut() else {
            let message = format!("{} is an aggregate function, and a scalar one is needed here", call.function);
            return Err(invalid(text, message).hint("call it behind group_by, or in a select of aggregates only"));
        };
        let (position, result) = grouping.add_builtin(builtin, call, text, self.functions)?;
        Ok(self.aggregated(position, result, text))
    }

    /// What an aggregate gives, as a column after the grouping.
    fn aggregated(&mut self, position: usize, result: DataType, text: &str) -> NodeId {
        let mut index = position;
        if let Some(grouping) = self.grouping.as_mut() {
            index += grouping.keys.len();
            if index == grouping.outputs.len() {
                grouping.output(result.clone());
            }
        }
        self.graph.add(Kind::Input(index), result, text, 0, Traits::PLAIN)
    }

    /// An expression that is true or false.
    pub(super) fn predicate(&mut self, expression: &Expression) -> Result<NodeId, Error> {
        let id = self.bind(expression)?;
        let data_type = &self.graph.node(id).data_type;
        if matches!(data_type.root(), TypeRoot::Boolean | TypeRoot::Null) {
            return Ok(id);
        }
        let given = super::error::type_list([data_type]);
        let message = format!("a condition is needed, and this is of type {given}");
        Err(invalid(&shown(expression), message).hint("compare it with something"))
    }
}
