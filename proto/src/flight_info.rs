//! The columns of a function, as all processes and Flight clients know them.

use arrow_schema::{DataType, Field};

use crate::types::arrow_field;
use crate::v1::{FunctionDefinition, FunctionKind, TypeRoot};

/// Of a plain call of a table function: the row of the input batch, from 0.
pub const ROW_COLUMN: &str = "row";

/// Metadata of the schema: the kind of the function, as in `FunctionKind`.
pub const KIND_METADATA: &str = "x-udfleet-kind";

/// Metadata of the schema: what the caller shows to executors, as the bearer of a call's authorization.
pub const TICKET_METADATA: &str = "x-udfleet-ticket";

/// Metadata of the schema, of functions that may have side effects: how often a batch may run. Others may run as often as one
/// likes.
pub const MAX_ATTEMPTS_METADATA: &str = "x-udfleet-max-attempts";

/// Metadata of the schema, as coordinators tell it: where all of them can be reached, `host:port` with commas between them.
pub const COORDINATORS_METADATA: &str = "x-udfleet-coordinators";

/// The columns that a plain call of the function gives back: `result`; of table functions `row`, the row of the input
/// batch that they belong to, then the columns of the result; of table aggregate functions the columns alone.
#[must_use]
pub fn result_fields(definition: &FunctionDefinition) -> Vec<Field> {
    let Some(result) = &definition.result_type else { return Vec::new() };
    let columns = || match result.root() {
        TypeRoot::Row => {
            let fields = result.fields.iter();
            fields.filter_map(|field| Some(arrow_field(&field.name, field.r#type.as_ref()?))).collect()
        }
        _ => vec![arrow_field("result", result)],
    };
    match definition.kind() {
        FunctionKind::Table => {
            let row = Field::new(ROW_COLUMN, DataType::Int32, false);
            std::iter::once(row).chain(columns()).collect()
        }
        FunctionKind::TableAggregate => columns(),
        FunctionKind::Unspecified | FunctionKind::Scalar | FunctionKind::Aggregate => {
            vec![arrow_field("result", result)]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::simple;
    use crate::v1;

    #[test]
    fn columns_of_a_plain_call_follow_the_kind() {
        let row = v1::DataType {
            fields: vec![
                v1::Field { name: "w".to_owned(), r#type: Some(simple(TypeRoot::Varchar)) },
                v1::Field { name: "n".to_owned(), r#type: Some(simple(TypeRoot::Int)) },
            ],
            ..simple(TypeRoot::Row)
        };
        let names = |kind: FunctionKind, result: &v1::DataType| {
            let definition =
                FunctionDefinition { kind: kind as i32, result_type: Some(result.clone()), ..Default::default() };
            result_fields(&definition).iter().map(|field| field.name().clone()).collect::<Vec<_>>()
        };
        assert_eq!(names(FunctionKind::Scalar, &row), ["result"]);
        assert_eq!(names(FunctionKind::Table, &row), ["row", "w", "n"]);
        assert_eq!(names(FunctionKind::Table, &simple(TypeRoot::Int)), ["row", "result"]);
        assert_eq!(names(FunctionKind::Aggregate, &simple(TypeRoot::Int)), ["result"]);
        assert_eq!(names(FunctionKind::TableAggregate, &row), ["w", "n"]);
    }
}
