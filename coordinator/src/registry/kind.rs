//! Which kinds of functions may have which func_types, and other rules per kind.

use udfleet_proto::error::Error;
use udfleet_proto::types::sql;
use udfleet_proto::v1::{ErrorCode, FuncType, FunctionDefinition, FunctionKind, OnError};

fn bad(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::InvalidDefinition, message)
}

/// Checks what depends on the function's kind.
///
/// # Errors
/// [`ErrorCode::InvalidDefinition`] naming kind and rule.
pub(super) fn check(definition: &FunctionDefinition) -> Result<(), Error> {
    let (kind, what) = match definition.kind() {
        FunctionKind::Unspecified => return Err(bad("the definition names no kind")),
        kind @ FunctionKind::Scalar => (kind, "a scalar function"),
        kind @ FunctionKind::Table => (kind, "a table function"),
        kind @ FunctionKind::Aggregate => (kind, "an aggregate function"),
        kind @ FunctionKind::TableAggregate => (kind, "a table aggregate function"),
    };
    let general = definition.func_type() == FuncType::General;
    if matches!(kind, FunctionKind::Table | FunctionKind::TableAggregate) && !general {
        let func_type = definition.func_type().as_str_name().to_lowercase();
        let error = bad(format!("{what} can't have func_type {func_type}"));
        return Err(error.hint("leave func_type out: it is general"));
    }
    if definition.asynchronous && !(kind == FunctionKind::Scalar && general) {
        return Err(bad(format!("{what} of this func_type can't be asynchronous"))
            .hint("only general scalar functions can be coroutine functions"));
    }
    let aggregates = matches!(kind, FunctionKind::Aggregate | FunctionKind::TableAggregate);
    if !aggregates && (definition.accumulator_type.is_some() || definition.merges) {
        return Err(bad(format!("{what} has no accumulator")).hint("accumulators belong to aggregate functions"));
    }
    if definition.merges && !general {
        return Err(bad("pandas and arrow aggregate functions see whole groups: they can't merge accumulators"));
    }
    on_error(definition, what, aggregates)
}

fn on_error(definition: &FunctionDefinition, what: &str, aggregates: bool) -> Result<(), Error> {
    let on_error = definition.on_error();
    if on_error == OnError::Column {
        return Err(bad("on_error can only be fail, null or skip"));
    }
    let rows = definition.func_type() == FuncType::General;
    if aggregates && (on_error == OnError::Null || on_error == OnError::Skip && !rows) {
        let others = if rows { "fail or skip" } else { "fail" };
        return Err(bad(format!("{what} has no results of single rows: on_error can only be {others}")));
    }
    if on_error == OnError::Null { null_result_refused(definition) } else { Ok(()) }
}

/// Says why a failed row's result can't be null where that is asked for.
///
/// # Errors
/// [`ErrorCode::InvalidDefinition`] where the function's result type takes no nulls.
pub fn null_result_refused(definition: &FunctionDefinition) -> Result<(), Error> {
    match &definition.result_type {
        Some(result) if result.not_null => {
            let message = format!("on_error is null, but the result type {} takes no nulls", sql(result));
            Err(bad(message).hint("declare a nullable result type, or use on_error=\"skip\""))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use udfleet_proto::types::simple;
    use udfleet_proto::v1::{DataType, TypeRoot};

    use super::*;

    fn of(kind: FunctionKind, func_type: FuncType) -> FunctionDefinition {
        FunctionDefinition {
            kind: kind as i32,
            func_type: func_type as i32,
            result_type: Some(simple(TypeRoot::Bigint)),
            ..Default::default()
        }
    }

    #[test]
    fn kinds_and_func_types_that_go_together() {
        use FuncType::{Arrow, General, Pandas};
        use FunctionKind::{Aggregate, Scalar, Table, TableAggregate};
        for func_type in [General, Pandas, Arrow] {
            check(&of(Scalar, func_type)).unwrap();
            check(&of(Aggregate, func_type)).unwrap();
            for kind in [Table, TableAggregate] {
                assert_eq!(check(&of(kind, func_type)).is_ok(), func_type == General, "{kind:?} {func_type:?}");
            }
        }
        let refused = |definition: FunctionDefinition| check(&definition).unwrap_err().to_string();
        assert!(refused(of(Table, Pandas)).contains("a table function can't have func_type pandas"));
        assert!(refused(FunctionDefinition { asynchronous: true, ..of(Scalar, Pandas) }).contains("asynchronous"));
        assert!(refused(FunctionDefinition { asynchronous: true, ..of(Aggregate, General) }).contains("asynchronous"));
        check(&FunctionDefinition { asynchronous: true, ..of(Scalar, General) }).unwrap();
        assert!(refused(FunctionDefinition { merges: true, ..of(Scalar, General) }).contains("accumulator"));
        assert!(refused(FunctionDefinition { merges: true, ..of(Aggregate, Pandas) }).contains("merge"));
        check(&FunctionDefinition { merges: true, ..of(TableAggregate, General) }).unwrap();
    }

    #[test]
    fn null_in_place_of_a_result_needs_a_type_that_takes_it() {
        let mut definition = of(FunctionKind::Scalar, FuncType::General);
        definition.on_error = OnError::Null as i32;
        check(&definition).unwrap();
        definition.result_type = Some(DataType { not_null: true, ..simple(TypeRoot::Bigint) });
        assert!(check(&definition).unwrap_err().to_string().contains("takes no nulls"));
        definition.on_error = OnError::Skip as i32;
        check(&definition).unwrap();
        definition.kind = FunctionKind::Aggregate as i32;
        check(&definition).unwrap();
        definition.func_type = FuncType::Arrow as i32;
        assert!(check(&definition).unwrap_err().to_string().ends_with("only be fail"));
        definition.func_type = FuncType::General as i32;
        definition.on_error = OnError::Null as i32;
        assert!(check(&definition).unwrap_err().to_string().ends_with("only be fail or skip"));
    }
}
