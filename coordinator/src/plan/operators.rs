//! Binds the operators of a plan, one after the other.

use udfleet_proto::error::Error;
use udfleet_proto::v1::operation::Operator as Operation;
use udfleet_proto::v1::operator::Kind as OperatorKind;
use udfleet_proto::v1::{
    Aggregate, Call, Correlate, Expression, Field, FunctionKind, Item, Plan, Project, TypeRoot, expression,
};

use super::aggregate::Grouping;
use super::bind::{Binder, Functions, shown};
use super::call::columns;
use super::error::invalid;
use super::graph::{Graph, Kind, NodeId, Traits};
use super::library::Library;
use super::pipeline::{End, Filter, Group, Logical, Pipeline, Unnest};
use super::scope::Scope;

/// Resolves all names and types of a plan.
///
/// # Errors
/// Names the expression at fault.
pub(super) fn bind(plan: &Plan, library: &dyn Library) -> Result<Logical, Error> {
    let source = source(plan)?;
    let mut functions = Functions::new(library);
    let mut builder = PipelineBuilder::new(source)?;
    for operator in &plan.operators {
        match &operator.kind {
            None => return Err(invalid("", "an operator of the plan is empty, or of a newer udfleet")),
            Some(OperatorKind::Project(project)) => builder.project(project, &mut functions)?,
            Some(OperatorKind::Filter(filter)) => {
                let predicate = filter.predicate.as_ref();
                let predicate = predicate.ok_or_else(|| invalid("", "a filter has no predicate"))?;
                builder.filter(predicate, &mut functions)?;
            }
            Some(OperatorKind::Correlate(correlate)) => builder.correlate(correlate, &mut functions)?,
            Some(OperatorKind::Aggregate(aggregate)) => builder = builder.aggregate(aggregate, &mut functions)?,
        }
    }
    Ok(Logical { pipelines: builder.finish()?, functions: functions.all })
}

fn source(plan: &Plan) -> Result<Vec<Field>, Error> {
    if plan.source.is_empty() {
        return Err(invalid("", "the plan's source has no columns"));
    }
    for field in &plan.source {
        let data_type = field.r#type.as_ref();
        let data_type = data_type.ok_or_else(|| invalid(&field.name, "the source's column has no type"))?;
        udfleet_proto::types::validate(data_type).map_err(|e| invalid(&field.name, &e.info().message))?;
    }
    Ok(plan.source.clone())
}

/// The pipeline that is being built, and those before it.
struct PipelineBuilder {
    before: Vec<Pipeline>,
    inputs: Vec<Field>,
    graph: Graph,
    scope: Scope,
    unnests: Vec<Unnest>,
    filters: Vec<Filter>,
}

impl PipelineBuilder {
    fn new(inputs: Vec<Field>) -> Result<Self, Error> {
        let mut graph = Graph::default();
        let scope = Scope::of_inputs(&mut graph, &inputs)?;
        Ok(Self { before: Vec::new(), inputs, graph, scope, unnests: Vec::new(), filters: Vec::new() })
    }

    fn binder<'a, 'l>(&'a mut self, functions: &'a mut Functions<'l>) -> Binder<'a, 'l> {
        let level = self.unnests.len();
        let (graph, scope) = (&mut self.graph, &self.scope);
        Binder { graph, scope, level, functions, grouping: None, guard: None, bound: Vec::new() }
    }

    fn project(&mut self, project: &Project, functions: &mut Functions<'_>) -> Result<(), Error> {
        let mut scope = Scope::default();
        let mut binder = self.binder(functions);
        add_items(&mut binder, &project.items, &mut scope)?;
        self.scope = scope;
        Ok(())
    }

    /// Conditions joined by AND are filters of their own: each runs as early as it can.
    fn filter(&mut self, predicate: &Expression, functions: &mut Functions<'_>) -> Result<(), Error> {
        if let Some(expression::Kind::Operation(operation)) = &predicate.kind
            && operation.operator() == Operation::And
            && predicate.bindings.is_empty()
        {
            return operation.operands.iter().try_for_each(|part| self.filter(part, functions));
        }
        let id = self.binder(functions).predicate(predicate)?;
        let node = self.graph.node(id);
        // What may fail for rows that an earlier filter takes out must not overtake it.
        let earlier = self.filters.iter().map(|filter| filter.level).max().unwrap_or(0);
        let level = match (node.volatile, node.fallible) {
            (true, _) => self.unnests.len(),
            (false, true) => node.level.max(earlier),
            (false, false) => node.level,
        };
        self.filters.push(Filter { predicate: id, level, text: shown(predicate) });
        Ok(())
    }

    fn correlate(&mut self, correlate: &Correlate, functions: &mut Functions<'_>) -> Result<(), Error> {
        let call = correlate.call.as_ref().ok_or_else(|| invalid("", "a lateral join names no table function"))?;
        let text = call_text(call);
        let function = functions.find(&call.function, &text)?;
        let mut binder = self.binder(functions);
        binder.expect_kind(function, FunctionKind::Table, &text)?;
        plain_call(call, &text)?;
        let invoke = binder.invocation(function, call, &text)?;
        let columns = columns(functions.get(function), &correlate.names, correlate.outer, &text)?;
        let unnest = self.unnests.len();
        if correlate.replaces {
            self.scope = Scope::default();
        }
        let mut ids = Vec::new();
        for (column, (name, data_type)) in columns.into_iter().enumerate() {
            let kind = Kind::Unnested { unnest, column };
            let id = self.graph.add(kind, data_type, &name, unnest + 1, Traits::PLAIN);
            self.scope.push(name, id, &text)?;
            ids.push(id);
        }
        self.unnests.push(Unnest { call: invoke, outer: correlate.outer, text, columns: ids });
        Ok(())
    }

    fn aggregate(self, aggregate: &Aggregate, functions: &mut Functions<'_>) -> Result<Self, Error> {
        let mut after = Graph::default();
        let mut grouping = Grouping::new(self.graph, self.scope, self.unnests.len());
        for (index, item) in aggregate.keys.iter().enumerate() {
            let expression = expression_of(item)?;
            if item.flatten {
                return Err(invalid(&shown(expression), "a group key can't be flattened"));
            }
            grouping.add_key(expression, item_name(item, expression, index), functions, &mut after)?;
        }
        let scope = match &aggregate.table {
            Some(call) if aggregate.items.is_empty() => {
                table_items(call, &aggregate.names, &mut grouping, functions, &mut after)?
            }
            Some(call) => {
                let text = call_text(call);
                return Err(invalid(&text, "a grouping has items or one table aggregate function, not both"));
            }
            None => {
                let mut scope = Scope::default();
                let empty = Scope::default();
                let grouping = Some(&mut grouping);
                let (graph, scope_before) = (&mut after, &empty);
                let mut binder = Binder {
                    graph,
                    scope: scope_before,
                    level: 0,
                    functions,
                    grouping,
                    guard: None,
                    bound: Vec::new(),
                };
                add_items(&mut binder, &aggregate.items, &mut scope)?;
                scope
            }
        };
        let keys = grouping.keys.iter().map(|key| key.before).collect();
        let text = grouping.keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>().join(", ");
        let group = Group { keys, calls: grouping.calls, outputs: grouping.outputs.clone(), text };
        let mut before = self.before;
        before.push(Pipeline {
            inputs: self.inputs,
            graph: grouping.graph,
            unnests: self.unnests,
            filters: self.filters,
            end: End::Group(group),
        });
        let inputs = grouping.outputs;
        Ok(Self { before, inputs, graph: after, scope, unnests: Vec::new(), filters: Vec::new() })
    }

    fn finish(mut self) -> Result<Vec<Pipeline>, Error> {
        if self.scope.columns.is_empty() {
            return Err(invalid("", "the plan gives no columns"));
        }
        self.before.push(Pipeline {
            inputs: self.inputs,
            graph: self.graph,
            unnests: self.unnests,
            filters: self.filters,
            end: End::Output(self.scope.columns),
        });
        Ok(self.before)
    }
}

fn call_text(call: &Call) -> String {
    shown(&Expression { kind: Some(expression::Kind::Call(Box::new(call.clone()))), ..Expression::default() })
}

fn plain_call(call: &Call, text: &str) -> Result<(), Error> {
    if call.distinct || call.filter.is_some() {
        return Err(invalid(text, "DISTINCT and FILTER belong to calls of aggregate functions"));
    }
    Ok(())
}

fn expression_of(item: &Item) -> Result<&Expression, Error> {
    item.expression.as_ref().ok_or_else(|| invalid(&item.name, "a column of the plan has no expression"))
}

fn item_name(item: &Item, expression: &Expression, index: usize) -> String {
    match &expression.kind {
        _ if !item.name.is_empty() => item.name.clone(),
        Some(expression::Kind::Column(name)) => name.clone(),
        _ => format!("_c{index}"),
    }
}

fn add_items(binder: &mut Binder<'_, '_>, items: &[Item], scope: &mut Scope) -> Result<(), Error> {
    if items.is_empty() {
        return Err(invalid("", "a projection or grouping without columns"));
    }
    for (index, item) in items.iter().enumerate() {
        let expression = expression_of(item)?;
        let (id, text) = (binder.bind(expression)?, shown(expression));
        if item.flatten {
            add_fields(binder, item, id, &text, scope)?;
        } else {
            scope.push(item_name(item, expression, index), id, &text)?;
        }
    }
    Ok(())
}

/// The fields of a ROW; what is no ROW is one column.
fn add_fields(
    binder: &mut Binder<'_, '_>,
    item: &Item,
    id: NodeId,
    text: &str,
    scope: &mut Scope,
) -> Result<(), Error> {
    let data_type = binder.graph.node(id).data_type.clone();
    let own: Vec<String> = match data_type.root() {
        TypeRoot::Row => data_type.fields.iter().map(|field| field.name.clone()).collect(),
        _ if item.name.is_empty() => vec!["f0".to_owned()],
        _ => vec![item.name.clone()],
    };
    let names = if item.names.is_empty() { &own } else { &item.names };
    if names.len() != own.len() {
        let message = format!("it has {} columns ({}), and {} names are given", own.len(), own.join(", "), names.len());
        return Err(invalid(text, message));
    }
    for (position, name) in names.iter().enumerate() {
        let column = match data_type.root() {
            TypeRoot::Row => binder.field_at(id, &data_type, position, text),
            _ => id,
        };
        scope.push(name.clone(), column, text)?;
    }
    Ok(())
}

/// Keys, then the columns of a table aggregate function.
fn table_items(
    call: &Call,
    names: &[String],
    grouping: &mut Grouping,
    functions: &mut Functions<'_>,
    after: &mut Graph,
) -> Result<Scope, Error> {
    let text = call_text(call);
    let function = functions.find(&call.function, &text)?;
    grouping.before(functions).expect_kind(function, FunctionKind::TableAggregate, &text)?;
    grouping.add_call(function, call, &text, functions)?;
    let mut scope = Scope::default();
    for key in &grouping.keys {
        scope.push(key.name.clone(), key.after, &text)?;
    }
    for (name, data_type) in columns(functions.get(function), names, false, &text)? {
        let index = grouping.output(data_type.clone());
        let id = after.add(Kind::Input(index), data_type, &name, 0, Traits::PLAIN);
        scope.push(name, id, &text)?;
    }
    Ok(scope)
}
