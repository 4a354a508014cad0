//! SQL's built-in functions by name. A registered function of the same name takes precedence.

use udfleet_proto::error::Error;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::types::simple;
use udfleet_proto::v1::aggregate_call::Builtin as Aggregate;
use udfleet_proto::v1::compute::DatePart;
use udfleet_proto::v1::operation::Operator;
use udfleet_proto::v1::{Call, ErrorCode, Expression, Literal, TypeRoot};

use super::bind::Binder;
use super::error::{invalid, located};
use super::graph::{Kind, NodeId, Traits};

/// What a name means where no function of that name is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Builtin {
    /// A function of the operator's own arguments.
    Scalar(Operator),
    /// A part of a time.
    Part(DatePart),
    /// The first argument that is not null.
    Coalesce,
    /// Null where both are equal, else the first.
    NullIf,
    /// A condition and two values.
    If,
    /// The greatest, or the least, of values; null where any is.
    Extreme(Operator),
    Aggregate(Aggregate),
}

/// The built-in function of this name; names are not case-sensitive.
pub(super) fn find(name: &str) -> Option<Builtin> {
    use Builtin::{Coalesce, Extreme, If, NullIf, Part, Scalar};
    Some(match name.to_ascii_lowercase().as_str() {
        "upper" => Scalar(Operator::Upper),
        "lower" => Scalar(Operator::Lower),
        "trim" | "btrim" => Scalar(Operator::Trim),
        "ltrim" => Scalar(Operator::Ltrim),
        "rtrim" => Scalar(Operator::Rtrim),
        "char_length" | "character_length" => Scalar(Operator::CharLength),
        "substring" | "substr" => Scalar(Operator::Substring),
        "concat" => Scalar(Operator::Concat),
        "replace" => Scalar(Operator::Replace),
        "position" => Scalar(Operator::Position),
        "reverse" => Scalar(Operator::Reverse),
        "repeat" => Scalar(Operator::Repeat),
        "lpad" => Scalar(Operator::Lpad),
        "rpad" => Scalar(Operator::Rpad),
        "starts_with" | "startswith" => Scalar(Operator::StartsWith),
        "ends_with" | "endswith" => Scalar(Operator::EndsWith),
        "like" => Scalar(Operator::Like),
        "abs" => Scalar(Operator::Abs),
        "ceil" | "ceiling" => Scalar(Operator::Ceil),
        "floor" => Scalar(Operator::Floor),
        "round" => Scalar(Operator::Round),
        "sign" => Scalar(Operator::Sign),
        "sqrt" => Scalar(Operator::Sqrt),
        "power" => Scalar(Operator::Power),
        "exp" => Scalar(Operator::Exp),
        "ln" => Scalar(Operator::Ln),
        "log10" => Scalar(Operator::Log10),
        "sin" => Scalar(Operator::Sin),
        "cos" => Scalar(Operator::Cos),
        "tan" => Scalar(Operator::Tan),
        "asin" => Scalar(Operator::Asin),
        "acos" => Scalar(Operator::Acos),
        "atan" => Scalar(Operator::Atan),
        "atan2" => Scalar(Operator::Atan2),
        "sinh" => Scalar(Operator::Sinh),
        "cosh" => Scalar(Operator::Cosh),
        "tanh" => Scalar(Operator::Tanh),
        "mod" => Scalar(Operator::Modulo),
        "year" => Part(DatePart::Year),
        "quarter" => Part(DatePart::Quarter),
        "month" => Part(DatePart::Month),
        "week" => Part(DatePart::Week),
        "dayofmonth" => Part(DatePart::Day),
        "dayofweek" => Part(DatePart::Dow),
        "dayofyear" => Part(DatePart::Doy),
        "hour" => Part(DatePart::Hour),
        "minute" => Part(DatePart::Minute),
        "second" => Part(DatePart::Second),
        "coalesce" | "ifnull" => Coalesce,
        "nullif" => NullIf,
        "if" => If,
        "greatest" => Extreme(Operator::Greater),
        "least" => Extreme(Operator::Less),
        other => return aggregate(other).map(Builtin::Aggregate),
    })
}

fn aggregate(name: &str) -> Option<Aggregate> {
    Some(match name {
        "count" => Aggregate::Count,
        "sum" => Aggregate::Sum,
        "avg" => Aggregate::Avg,
        "min" => Aggregate::Min,
        "max" => Aggregate::Max,
        "stddev_pop" => Aggregate::StddevPop,
        "stddev_samp" | "stddev" => Aggregate::StddevSamp,
        "var_pop" => Aggregate::VarPop,
        "var_samp" | "variance" => Aggregate::VarSamp,
        _ => return None,
    })
}

impl Binder<'_, '_> {
    /// The built-in function that a call means, if no function of its name is registered.
    pub(super) fn builtin(&self, call: &Call, text: &str) -> Result<Option<Builtin>, Error> {
        let name = FunctionRef::parse(&call.function).map_err(|e| invalid(text, e))?;
        match self.functions.lookup(&name) {
            Err(error) if error.code() == ErrorCode::FunctionNotFound && name.version.is_none() => {
                find(&call.function).map(Some).ok_or_else(|| located(error, text))
            }
            _ => Ok(None),
        }
    }

    /// The value of a built-in function.
    pub(super) fn builtin_call(&mut self, builtin: Builtin, call: &Call, text: &str) -> Result<NodeId, Error> {
        if let Builtin::Aggregate(aggregate) = builtin {
            return self.builtin_aggregate(aggregate, call, text);
        }
        if call.distinct || call.filter.is_some() {
            return Err(invalid(text, "DISTINCT and FILTER belong to calls of aggregate functions"));
        }
        if call.takes_row {
            return Err(invalid(text, format_args!("{} does not take a whole row", call.function)));
        }
        let arguments = &call.arguments[..];
        let takes = |wanted: &str| invalid(text, format_args!("{} takes {wanted}", call.function.to_uppercase()));
        match (builtin, arguments) {
            (Builtin::Scalar(operator), _) => {
                let operands = self.bind_all(arguments)?;
                self.apply(operator, operands, None, 0, text)
            }
            (Builtin::Part(part), [one]) => {
                let operand = self.bind(one)?;
                self.apply(Operator::Extract, vec![operand], None, part as u32, text)
            }
            (Builtin::If, [condition, then, otherwise]) => self.choose(condition, then, otherwise, text),
            (Builtin::NullIf, [value, other]) => {
                let (value, other) = (self.bind(value)?, self.bind(other)?);
                let same = self.apply(Operator::Equal, vec![value, other], None, 0, text)?;
                let null = self.null();
                self.apply(Operator::If, vec![same, null, value], None, 0, text)
            }
            (Builtin::Coalesce, [first, rest @ ..]) => self.coalesce(first, rest, text),
            (Builtin::Extreme(better), [_, ..]) => {
                let values = self.bind_all(arguments)?;
                self.extreme(better, &values, text)
            }
            (Builtin::Part(_), _) => Err(takes("one time")),
            (Builtin::If, _) => Err(takes("a condition and two values")),
            (Builtin::NullIf, _) => Err(takes("two values")),
            (Builtin::Coalesce | Builtin::Extreme(_), []) => Err(takes("one value or more")),
            (Builtin::Aggregate(_), _) => Err(takes("its arguments in a grouping")),
        }
    }

    fn bind_all(&mut self, expressions: &[Expression]) -> Result<Vec<NodeId>, Error> {
        expressions.iter().map(|expression| self.bind(expression)).collect()
    }

    fn coalesce(&mut self, first: &Expression, rest: &[Expression], text: &str) -> Result<NodeId, Error> {
        let value = self.bind(first)?;
        let [next, rest @ ..] = rest else { return Ok(value) };
        let there = self.apply(Operator::IsNotNull, vec![value], None, 0, text)?;
        let missing = self.apply(Operator::IsNull, vec![value], None, 0, text)?;
        let otherwise = self.guarded(missing, |binder| binder.coalesce(next, rest, text))?;
        self.apply(Operator::If, vec![there, value, otherwise], None, 0, text)
    }

    /// The one of the values that no other is `better` than; null where any is null.
    fn extreme(&mut self, better: Operator, values: &[NodeId], text: &str) -> Result<NodeId, Error> {
        let [first, rest @ ..] = values else { return Ok(self.null()) };
        let mut best = *first;
        for value in rest {
            let is_better = self.apply(better, vec![*value, best], None, 0, text)?;
            best = self.apply(Operator::If, vec![is_better, *value, best], None, 0, text)?;
        }
        let mut missing = None;
        for value in values.iter().copied() {
            if self.graph.node(value).data_type.not_null {
                continue;
            }
            let is_null = self.apply(Operator::IsNull, vec![value], None, 0, text)?;
            missing = Some(match missing {
                None => is_null,
                Some(missing) => self.apply(Operator::Or, vec![missing, is_null], None, 0, text)?,
            });
        }
        let Some(missing) = missing else { return Ok(best) };
        let null = self.null();
        self.apply(Operator::If, vec![missing, null, best], None, 0, text)
    }

    fn null(&mut self) -> NodeId {
        let data_type = simple(TypeRoot::Null);
        let null = Literal { r#type: Some(data_type.clone()), value: None };
        self.graph.add(Kind::Literal(null), data_type, "NULL", self.level, Traits::PLAIN)
    }
}

#[cfg(test)]
mod tests;
