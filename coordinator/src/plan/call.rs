//! Calls of functions: kind, number and types of the arguments.

use udfleet_proto::error::Error;
use udfleet_proto::types::sql;
use udfleet_proto::v1::operation::Operator;
use udfleet_proto::v1::{Call, DataType, FunctionKind, TypeRoot};

use super::bind::Binder;
use super::error::{invalid, type_list};
use super::graph::{FunctionId, Invoke, Kind, NodeId, Traits};
use super::types::{self, Fit};
use crate::registry::Function;

/// What a kind is called, and where such a function is called.
fn place(kind: FunctionKind) -> (&'static str, &'static str) {
    match kind {
        FunctionKind::Table => ("a table function", "call it in join_lateral, left_outer_join_lateral or flat_map"),
        FunctionKind::Aggregate => ("an aggregate function", "call it behind group_by, or in aggregate"),
        FunctionKind::TableAggregate => ("a table aggregate function", "call it in flat_aggregate"),
        FunctionKind::Scalar | FunctionKind::Unspecified => {
            ("a scalar function", "call it in select, where, map or inside of another expression")
        }
    }
}

impl Binder<'_, '_> {
    /// The value of a call in an expression.
    pub(super) fn call(&mut self, call: &Call, text: &str) -> Result<NodeId, Error> {
        if let Some(builtin) = self.builtin(call, text)? {
            return self.builtin_call(builtin, call, text);
        }
        let function = self.functions.find(&call.function, text)?;
        if self.grouping.is_some() && self.functions.get(function).definition.kind() == FunctionKind::Aggregate {
            return self.aggregate(function, call, text);
        }
        self.expect_kind(function, FunctionKind::Scalar, text)?;
        if call.distinct || call.filter.is_some() {
            return Err(invalid(text, "DISTINCT and FILTER belong to calls of aggregate functions"));
        }
        if call.takes_row && self.grouping.is_some() {
            return Err(invalid(text, "a whole row can't be passed behind a grouping").hint("name the columns"));
        }
        let invoke = self.invocation(function, call, text)?;
        let definition = &self.functions.get(function).definition;
        let result = result_type(definition);
        let traits = Traits { deterministic: definition.deterministic, fallible: true };
        Ok(self.graph.add(Kind::Invoke(invoke), result, text, self.level, traits))
    }

    /// Refuses a function of another kind than the place takes.
    pub(super) fn expect_kind(&self, function: FunctionId, kind: FunctionKind, text: &str) -> Result<(), Error> {
        let function = self.functions.get(function);
        let given = function.definition.kind();
        if given == kind {
            return Ok(());
        }
        let ((is, hint), (wanted, _)) = (place(given), place(kind));
        let message = format!("{} is {is}, and {wanted} is needed here", function.name);
        Err(invalid(text, message).hint(hint).function(function.name.as_str()))
    }

    /// The arguments in the declared types.
    pub(super) fn invocation(&mut self, function: FunctionId, call: &Call, text: &str) -> Result<Invoke, Error> {
        if call.takes_row {
            return self.whole_row(function, call, text);
        }
        let given = call.arguments.iter().map(|e| self.bind(e)).collect::<Result<Vec<_>, _>>()?;
        let arguments = self.arguments(function, given, text)?;
        Ok(Invoke { function, arguments, row: Vec::new() })
    }

    fn arguments(&mut self, function: FunctionId, given: Vec<NodeId>, text: &str) -> Result<Vec<NodeId>, Error> {
        let function = std::sync::Arc::clone(self.functions.get(function));
        if !function.definition.input_typed {
            return Ok(given);
        }
        let wanted = &function.definition.input_types;
        if given.len() != wanted.len() {
            let message = format!("{} takes {} arguments, given {}", signature(&function), wanted.len(), given.len());
            return Err(invalid(text, message).function(function.name.as_str()));
        }
        let all = given.into_iter().zip(wanted).enumerate();
        all.map(|(index, (id, wanted))| self.argument(&function, index, id, wanted, text)).collect()
    }

    fn argument(
        &mut self,
        function: &Function,
        index: usize,
        id: NodeId,
        wanted: &DataType,
        text: &str,
    ) -> Result<NodeId, Error> {
        if let Some(literal) = self.adapted(id, wanted) {
            return Ok(literal);
        }
        let node = self.graph.node(id);
        match types::fit(&node.data_type, wanted) {
            Fit::Same => Ok(id),
            Fit::Widened => {
                let result = types::with_nulls(wanted, !node.data_type.not_null);
                let text = node.text.clone();
                let kind = Kind::Compute { operator: Operator::Cast, operands: vec![id], field: 0 };
                Ok(self.graph.add(kind, result, &text, self.level, Traits::PLAIN))
            }
            Fit::No => {
                let (given, target) = (type_list([&node.data_type]), sql(&types::with_nulls(wanted, true)));
                let message = format!(
                    "argument {} of {} is {} of type {given}, which does not go into {target} without loss",
                    index + 1,
                    signature(function),
                    node.text
                );
                let error = invalid(text, message).hint(format!("write CAST({} AS {target})", node.text));
                Err(error.function(function.name.as_str()))
            }
        }
    }

    /// All columns as one row.
    fn whole_row(&mut self, function: FunctionId, call: &Call, text: &str) -> Result<Invoke, Error> {
        if !call.arguments.is_empty() {
            return Err(invalid(text, "a call over the whole row has no other arguments"));
        }
        let (row, columns): (Vec<String>, Vec<NodeId>) = self.scope.columns.iter().cloned().unzip();
        let definition = &self.functions.get(function).definition;
        let declared = match &definition.input_types[..] {
            _ if !definition.input_typed => return Ok(Invoke { function, arguments: columns, row }),
            [one] if one.root() == TypeRoot::Row => {
                one.fields.iter().map(|field| field.r#type.clone().unwrap_or_default()).collect()
            }
            several => several.to_vec(),
        };
        let function_of = std::sync::Arc::clone(self.functions.get(function));
        if declared.len() != columns.len() {
            let message = format!(
                "{} takes {} columns, and the row has {}: {}",
                signature(&function_of),
                declared.len(),
                columns.len(),
                row.join(", ")
            );
            return Err(invalid(text, message).function(function_of.name.as_str()));
        }
        let all = columns.into_iter().zip(&declared).enumerate();
        let arguments = all.map(|(index, (id, wanted))| self.argument(&function_of, index, id, wanted, text));
        Ok(Invoke { function, arguments: arguments.collect::<Result<_, _>>()?, row })
    }
}

/// `add@3(BIGINT, BIGINT)`.
fn signature(function: &Function) -> String {
    let inputs: Vec<String> = function.definition.input_types.iter().map(sql).collect();
    format!("{}({})", function.name, inputs.join(", "))
}

/// The declared type; a row that fails may become null.
pub(super) fn result_type(definition: &udfleet_proto::v1::FunctionDefinition) -> DataType {
    definition.result_type.clone().unwrap_or_default()
}

/// The columns that a table function, or a table aggregate function, gives: the fields of a ROW, else one.
pub(super) fn columns(
    function: &Function,
    names: &[String],
    outer: bool,
    text: &str,
) -> Result<Vec<(String, DataType)>, Error> {
    let result = result_type(&function.definition);
    let nullable = |data_type: &DataType| if outer { types::with_nulls(data_type, true) } else { data_type.clone() };
    let own: Vec<(String, DataType)> = match result.root() {
        TypeRoot::Row => {
            let field = |field: &udfleet_proto::v1::Field| {
                (field.name.clone(), nullable(&field.r#type.clone().unwrap_or_default()))
            };
            result.fields.iter().map(field).collect()
        }
        _ => vec![("f0".to_owned(), nullable(&result))],
    };
    if names.is_empty() {
        return Ok(own);
    }
    if names.len() != own.len() {
        let message = format!("{} gives {} columns, and {} names are given", function.name, own.len(), names.len());
        let columns: Vec<String> = own.iter().map(|(name, t)| format!("{name} {}", sql(t))).collect();
        return Err(invalid(text, message).hint(format!("its columns are {}", columns.join(", "))));
    }
    Ok(names.iter().cloned().zip(own.into_iter().map(|(_, data_type)| data_type)).collect())
}
