//! The columns of a function, as an engine sees them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, FieldRef, Fields};

use super::Engine;
use udfleet_proto::flight_info::result_fields;
use udfleet_proto::types::arrow_field;
use udfleet_proto::v1::{FunctionDefinition, FunctionKind, TypeRoot};

/// Metadata of a field: what its values are beyond their Arrow type.
pub const EXTENSION: &str = "ARROW:extension:name";
/// Decimals of any size as text in plain notation: RisingWave's.
pub const DECIMAL_TEXT: &str = "arrowudf.decimal";
/// What RisingWave calls it.
const UTC: &str = "+00:00";
/// The declared inputs: of functions that take any columns, none.
#[must_use]
pub(super) fn described_inputs(definition: &FunctionDefinition, engine: Engine) -> Vec<Field> {
    let inputs = definition.input_types.iter().enumerate();
    inputs.map(|(index, input)| spoken(arrow_field(&format!("arg{}", index + 1), input), engine)).collect()
}

/// What a call gives back. To clients of arrow-udf the value has the function's name, as its servers have it.
#[must_use]
pub(super) fn described_outputs(definition: &FunctionDefinition, engine: Engine) -> Vec<Field> {
    let mut fields = result_fields(definition);
    match engine {
        Engine::ArrowUdf if is_table(definition) && is_row(definition) => {
            let columns: Fields = fields.split_off(1).into();
            fields.push(Field::new(&definition.name, DataType::Struct(columns), true));
        }
        Engine::ArrowUdf if is_table(definition) || is_scalar(definition) => {
            fields = fields.split_last().map_or_else(Vec::new, |(value, before)| {
                before.iter().cloned().chain([value.clone().with_name(&definition.name)]).collect()
            });
        }
        Engine::Databend if is_table(definition) => drop(fields.remove(0)),
        _ => {}
    }
    fields.into_iter().map(|field| spoken(field, engine)).collect()
}

pub(super) fn is_table(definition: &FunctionDefinition) -> bool {
    definition.kind() == FunctionKind::Table
}

pub(super) fn is_scalar(definition: &FunctionDefinition) -> bool {
    matches!(definition.kind(), FunctionKind::Scalar | FunctionKind::Unspecified)
}

pub(super) fn is_row(definition: &FunctionDefinition) -> bool {
    definition.result_type.as_ref().is_some_and(|result| result.root() == TypeRoot::Row)
}

fn spoken(field: Field, engine: Engine) -> Field {
    if engine == Engine::ArrowUdf { of_arrow_udf(&field) } else { field }
}

fn of_arrow_udf(field: &Field) -> Field {
    let inner = |field: &FieldRef| Arc::new(of_arrow_udf(field));
    let data_type = match field.data_type() {
        DataType::Decimal128(..) => {
            let metadata = HashMap::from([(EXTENSION.to_owned(), DECIMAL_TEXT.to_owned())]);
            return Field::new(field.name(), DataType::Utf8, field.is_nullable()).with_metadata(metadata);
        }
        // RisingWave compares the zone of its TIMESTAMPTZ by name.
        DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, Some(UTC.into())),
        DataType::List(item) => DataType::List(inner(item)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        DataType::Map(entries, sorted) => DataType::Map(inner(entries), *sorted),
        other => other.clone(),
    };
    field.clone().with_data_type(data_type)
}

#[cfg(test)]
mod tests {
    use super::*;
    use udfleet_proto::types::simple;
    use udfleet_proto::v1;

    fn decimal() -> v1::DataType {
        v1::DataType { precision: 10, scale: 2, ..simple(TypeRoot::Decimal) }
    }

    fn row() -> v1::DataType {
        let field = |name: &str, inner: v1::DataType| v1::Field { name: name.to_owned(), r#type: Some(inner) };
        v1::DataType {
            fields: vec![field("w", simple(TypeRoot::Varchar)), field("d", decimal())],
            ..simple(TypeRoot::Row)
        }
    }

    fn columns(kind: FunctionKind, result: v1::DataType, engine: Engine) -> Vec<(String, DataType)> {
        let definition = FunctionDefinition {
            name: "f".to_owned(),
            kind: kind as i32,
            input_types: vec![decimal()],
            result_type: Some(result),
            ..Default::default()
        };
        let outputs = described_outputs(&definition, engine);
        outputs.iter().map(|field| (field.name().clone(), field.data_type().clone())).collect()
    }

    #[test]
    fn tables_follow_the_engine() {
        let names = |engine, result| {
            columns(FunctionKind::Table, result, engine).into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(names(Engine::Other, row()), ["row", "w", "d"]);
        assert_eq!(names(Engine::Databend, row()), ["w", "d"]);
        assert_eq!(names(Engine::ArrowUdf, row()), ["row", "f"]);
        assert_eq!(names(Engine::ArrowUdf, decimal()), ["row", "f"]);
        assert_eq!(names(Engine::Databend, decimal()), ["result"]);
    }

    #[test]
    fn decimals_are_text_for_arrow_udf_at_any_depth() {
        let list = v1::DataType { element: Some(Box::new(row())), ..simple(TypeRoot::Array) };
        let [(name, spoken)] = &columns(FunctionKind::Scalar, list.clone(), Engine::ArrowUdf)[..] else { panic!() };
        assert_eq!(name, "f");
        let DataType::List(item) = spoken else { panic!("{spoken}") };
        let DataType::Struct(fields) = item.data_type() else { panic!("{item}") };
        assert_eq!((fields[1].data_type(), fields[1].metadata()[EXTENSION].as_str()), (&DataType::Utf8, DECIMAL_TEXT));
        let [(_, other)] = &columns(FunctionKind::Scalar, list, Engine::Databend)[..] else { panic!() };
        assert!(other.to_string().contains("Decimal128(10, 2)"), "{other}");
    }
}
