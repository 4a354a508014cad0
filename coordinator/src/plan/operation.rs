//! Binds operators: types of their operands, and branches of conditions.

use udfleet_proto::error::Error;
use udfleet_proto::types::sql;
use udfleet_proto::v1::compute::DatePart;
use udfleet_proto::v1::operation::Operator;
use udfleet_proto::v1::{DataType, Expression, Literal, Operation, TypeRoot, literal};

use super::bind::{Binder, shown};
use super::error::{invalid, suggest, type_list};
use super::graph::{Kind, NodeId, Traits};
use super::types::{self, Operand};

impl Binder<'_, '_> {
    /// The value of an operation.
    pub(super) fn operation(&mut self, operation: &Operation, text: &str) -> Result<NodeId, Error> {
        let operator = operation.operator();
        if let (Operator::If, [condition, then, otherwise]) = (operator, &operation.operands[..]) {
            return self.choose(condition, then, otherwise, text);
        }
        let operands = operation.operands.iter().map(|e| self.bind(e)).collect::<Result<Vec<_>, _>>()?;
        match (operator, &operands[..]) {
            (Operator::Get, [row]) => return self.field(*row, operation, text),
            (Operator::Get, _) => return Err(invalid(text, "GET takes one ROW")),
            _ => {}
        }
        if let Some(target) = &operation.r#type {
            udfleet_proto::types::validate(target).map_err(|e| invalid(text, &e.info().message))?;
        }
        if operator == Operator::Cast
            && let (Some(target), [only]) = (&operation.r#type, &operands[..])
            && let Some(literal) = self.adapted(*only, target)
        {
            return Ok(literal);
        }
        let part = match (operator, DatePart::from_str_name(&operation.field)) {
            (Operator::Extract, Some(part)) => part as u32,
            (Operator::Extract, None) => {
                return Err(invalid(text, format_args!("there is no part {:?} of a time", operation.field)));
            }
            _ => 0,
        };
        self.apply(operator, operands, operation.r#type.as_ref(), part, text)
    }

    /// An operator over values, of all but GET. `target` is CAST's, `part` EXTRACT's.
    pub(super) fn apply(
        &mut self,
        operator: Operator,
        mut operands: Vec<NodeId>,
        target: Option<&DataType>,
        part: u32,
        text: &str,
    ) -> Result<NodeId, Error> {
        let given: Vec<Operand<'_>> = operands.iter().map(|id| self.operand(*id)).collect();
        let result = types::result_type(operator, &given, target).map_err(|wanted| {
            let target = target.filter(|_| matches!(operator, Operator::Cast | Operator::TryCast));
            let target = target.map_or_else(String::new, |t| format!(" to {}", sql(t)));
            let types = type_list(given.iter().map(|operand| operand.data_type));
            let error = invalid(text, format_args!("{} {wanted}, given {types}{target}", name(operator)));
            error.hint("CAST brings a value to another type")
        })?;
        let fallible = fallible(operator, &result);
        let mut result = result;
        if let (Some(guard), true) = (self.guard, fallible && operator != Operator::If) {
            operands = operands.into_iter().map(|id| self.behind_guard(guard, id)).collect::<Result<_, _>>()?;
            result = types::with_nulls(&result, true);
        }
        let traits = Traits { deterministic: true, fallible };
        let kind = Kind::Compute { operator, operands, field: part };
        Ok(self.graph.add(kind, result, text, self.level, traits))
    }

    /// `then` where the condition is true, else `otherwise`. Operators that refuse values see those of their own rows
    /// only: `CASE WHEN b <> 0 THEN a / b END` never divides by zero.
    pub(super) fn choose(
        &mut self,
        condition: &Expression,
        then: &Expression,
        otherwise: &Expression,
        text: &str,
    ) -> Result<NodeId, Error> {
        let condition = self.bind(condition)?;
        if !matches!(self.graph.node(condition).data_type.root(), TypeRoot::Boolean | TypeRoot::Null) {
            // Says so, with the types.
            return self.apply(Operator::If, vec![condition; 3], None, 0, text);
        }
        let then = self.guarded(condition, |binder| binder.bind(then))?;
        let (no, yes) = (self.truth(false), self.truth(true));
        let is_not_true = self.apply(Operator::If, vec![condition, no, yes], None, 0, text)?;
        let otherwise = self.guarded(is_not_true, |binder| binder.bind(otherwise))?;
        self.apply(Operator::If, vec![condition, then, otherwise], None, 0, text)
    }

    /// Binds for rows for which the condition is true, as well as what guards this place already.
    pub(super) fn guarded<T>(
        &mut self,
        condition: NodeId,
        bind: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let outer = self.guard;
        let both = match outer {
            Some(outer) => self.apply(Operator::And, vec![outer, condition], None, 0, "")?,
            None => condition,
        };
        self.guard = Some(both);
        let bound = bind(self);
        self.guard = outer;
        bound
    }

    /// The value where the guard is true, else null: operators give null for it and refuse nothing.
    fn behind_guard(&mut self, guard: NodeId, id: NodeId) -> Result<NodeId, Error> {
        let node = self.graph.node(id);
        if matches!(node.kind, Kind::Literal(_)) {
            return Ok(id);
        }
        let (data_type, text) = (types::with_nulls(&node.data_type, true), node.text.clone());
        let null = Literal { r#type: Some(data_type.clone()), value: None };
        let null = self.graph.add(Kind::Literal(null), data_type.clone(), "NULL", self.level, Traits::PLAIN);
        let kind = Kind::Compute { operator: Operator::If, operands: vec![guard, id, null], field: 0 };
        Ok(self.graph.add(kind, data_type, &text, self.level, Traits::PLAIN))
    }

    fn truth(&mut self, value: bool) -> NodeId {
        let data_type = DataType { not_null: true, ..udfleet_proto::types::simple(TypeRoot::Boolean) };
        let literal = Literal { r#type: Some(data_type.clone()), value: Some(literal::Value::Boolean(value)) };
        let text = if value { "TRUE" } else { "FALSE" };
        self.graph.add(Kind::Literal(literal), data_type, text, self.level, Traits::PLAIN)
    }

    fn operand(&self, id: NodeId) -> Operand<'_> {
        let node = self.graph.node(id);
        let literal = if let Kind::Literal(literal) = &node.kind { Some(literal) } else { None };
        Operand { data_type: &node.data_type, literal }
    }

    /// The literal as one of another type, where the node is a literal that fits.
    pub(super) fn adapted(&mut self, id: NodeId, wanted: &DataType) -> Option<NodeId> {
        let node = self.graph.node(id);
        let Kind::Literal(literal) = &node.kind else { return None };
        let (literal, text) = (types::adapt(literal, wanted)?, node.text.clone());
        let data_type = literal.r#type.clone().unwrap_or_default();
        Some(self.graph.add(Kind::Literal(literal), data_type, &text, self.level, Traits::PLAIN))
    }

    /// A field of a ROW, named or by its position.
    fn field(&mut self, row: NodeId, operation: &Operation, text: &str) -> Result<NodeId, Error> {
        let data_type = self.graph.node(row).data_type.clone();
        if data_type.root() != TypeRoot::Row {
            return Err(invalid(text, format_args!("only a ROW has fields, given {}", type_list([&data_type]))));
        }
        let position = match operation.position {
            Some(position) if (position as usize) < data_type.fields.len() => position as usize,
            Some(position) => {
                let count = data_type.fields.len();
                return Err(invalid(text, format_args!("the ROW has {count} fields: there is no field {position}")));
            }
            None => named_field(&data_type, &operation.field, text)?,
        };
        Ok(self.field_at(row, &data_type, position, text))
    }

    /// The field at a position that exists.
    pub(super) fn field_at(&mut self, row: NodeId, data_type: &DataType, position: usize, text: &str) -> NodeId {
        let field = data_type.fields[position].r#type.clone().unwrap_or_default();
        let nullable = !(field.not_null && data_type.not_null);
        let kind = Kind::Compute { operator: Operator::Get, operands: vec![row], field: position as u32 };
        self.graph.add(kind, types::with_nulls(&field, nullable), text, self.level, Traits::PLAIN)
    }
}

fn named_field(row: &DataType, name: &str, text: &str) -> Result<usize, Error> {
    row.fields.iter().position(|field| field.name == name).ok_or_else(|| {
        let names = row.fields.iter().map(|field| field.name.as_str());
        suggest(invalid(text, format_args!("the ROW has no field {name:?}")), name, names)
    })
}

/// Whether the kernel may refuse a value.
fn fallible(operator: Operator, result: &DataType) -> bool {
    match operator {
        Operator::Plus | Operator::Minus | Operator::Times | Operator::Negate => {
            !matches!(result.root(), TypeRoot::Float | TypeRoot::Double)
        }
        Operator::Divide | Operator::Modulo | Operator::Cast | Operator::If => true,
        Operator::Abs => !matches!(result.root(), TypeRoot::Float | TypeRoot::Double),
        // Texts may grow too large for a column.
        Operator::Concat | Operator::Replace | Operator::Repeat | Operator::Lpad | Operator::Rpad => true,
        _ => false,
    }
}

fn name(operator: Operator) -> &'static str {
    symbol(operator).unwrap_or_else(|| operator.as_str_name())
}

fn symbol(operator: Operator) -> Option<&'static str> {
    Some(match operator {
        Operator::Plus => "+",
        Operator::Minus | Operator::Negate => "-",
        Operator::Times => "*",
        Operator::Divide => "/",
        Operator::Modulo => "%",
        Operator::Equal => "=",
        Operator::NotEqual => "<>",
        Operator::Less => "<",
        Operator::LessOrEqual => "<=",
        Operator::Greater => ">",
        Operator::GreaterOrEqual => ">=",
        Operator::And => "AND",
        Operator::Or => "OR",
        Operator::Not => "NOT",
        _ => return None,
    })
}

/// An operation whose text the client left out, as SQL.
pub(super) fn show(operation: &Operation) -> String {
    let operator = operation.operator();
    let operands: Vec<String> = operation.operands.iter().map(shown).collect();
    match (operator, symbol(operator), &operands[..]) {
        (Operator::Not, _, [one]) => format!("NOT ({one})"),
        (_, Some(symbol), [one]) => format!("{symbol}({one})"),
        (_, Some(symbol), [left, right]) => format!("({left} {symbol} {right})"),
        (Operator::IsNull, _, [one]) => format!("{one} IS NULL"),
        (Operator::IsNotNull, _, [one]) => format!("{one} IS NOT NULL"),
        (Operator::Cast | Operator::TryCast, _, [one]) => {
            let target = operation.r#type.as_ref().map_or_else(|| "?".to_owned(), sql);
            format!("{}({one} AS {target})", operator.as_str_name())
        }
        (Operator::Get, _, [one]) => match operation.position {
            Some(position) => format!("{one}[{position}]"),
            None => format!("{one}.{}", operation.field),
        },
        (Operator::Extract, _, [one]) => format!("{}({one})", operation.field),
        (Operator::Like, _, [value, pattern]) => format!("{value} LIKE {pattern}"),
        _ => format!("{}({})", operator.as_str_name(), operands.join(", ")),
    }
}
