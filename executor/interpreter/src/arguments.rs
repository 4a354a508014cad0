//! Converts the columns of a batch to the declared input types, by the same rules as results: values that fit are
//! converted, others are refused with row and value.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType as Arrow, Field, FieldRef};
use udfleet_proto::error::Error;
use udfleet_proto::types::{arrow_type, sql};
use udfleet_proto::v1::{DataType, ErrorCode};

use udfleet_kernels::{Value, find_misfit, shown};

/// A declared input type.
pub struct Declared {
    data_type: DataType,
    arrow: Arrow,
}

impl Declared {
    /// The type.
    pub fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// The Arrow type that carries it.
    pub fn arrow(&self) -> &Arrow {
        &self.arrow
    }

    /// With the Arrow type that carries it.
    pub fn new(data_type: &DataType) -> Self {
        Self { data_type: data_type.clone(), arrow: arrow_type(data_type) }
    }
}

/// The columns in the declared types; the executor has checked that the casts exist. `None` takes them as they are.
pub fn columns(batch: &RecordBatch, declared: Option<&[Declared]>) -> Result<Vec<ArrayRef>, Error> {
    let Some(declared) = declared else {
        return Ok(batch.columns().to_vec());
    };
    let columns = batch.columns().iter().zip(declared).enumerate();
    columns.map(|(index, (column, declared))| accept(index, column, declared)).collect()
}

/// Registers of a stage in the declared types of a function's arguments.
pub fn registers(values: Vec<Value>, declared: Option<&[Declared]>) -> Result<Vec<Value>, Error> {
    let Some(declared) = declared else { return Ok(values) };
    if values.len() != declared.len() {
        let message = format!("{} arguments in place of {}", values.len(), declared.len());
        return Err(Error::new(ErrorCode::InvalidPlan, message));
    }
    let values = values.into_iter().zip(declared).enumerate();
    values
        .map(|(index, (value, declared))| accept(index, value.array(), declared).map(|array| value.with(array)))
        .collect()
}

fn accept(index: usize, column: &ArrayRef, declared: &Declared) -> Result<ArrayRef, Error> {
    let converted =
        if column.data_type() == &declared.arrow { Arc::clone(column) } else { convert(index, column, declared)? };
    match find_misfit(&converted, &declared.data_type) {
        Some((row, why)) => Err(misfit(index, column, row, declared, &why)),
        None => Ok(converted),
    }
}

fn convert(index: usize, column: &ArrayRef, declared: &Declared) -> Result<ArrayRef, Error> {
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let refuse = |e| {
        let message = format!("column {index} as {}: {e}", sql(&declared.data_type));
        Error::new(ErrorCode::InvalidInput, message)
    };
    let cast = cast_with_options(column, &declared.arrow, &strict)
        .map_err(|e| first_misfit(index, column, declared, &strict).unwrap_or_else(|| refuse(e)))?;
    if !may_change(column.data_type(), &declared.arrow) {
        return Ok(cast);
    }
    // Text may say the same number in many ways: what comes of both is compared where no digit is lost.
    let wide = if has_text_for_decimal(column.data_type(), &declared.arrow) {
        with_wide_decimals(&declared.arrow)
    } else {
        column.data_type().clone()
    };
    let (given, back) = (cast_with_options(column, &wide, &strict), cast_with_options(&cast, &wide, &strict));
    let (given, back) = (given.map_err(refuse)?, back.map_err(refuse)?);
    if back.as_ref() == given.as_ref() {
        return Ok(cast);
    }
    let changed = (0..column.len()).find(|row| back.slice(*row, 1) != given.slice(*row, 1)).unwrap_or(0);
    Err(misfit(index, column, changed, declared, "it would change"))
}

/// The row for which Arrow's cast of all rows has failed: it does not say.
fn first_misfit(index: usize, column: &ArrayRef, declared: &Declared, strict: &CastOptions<'_>) -> Option<Error> {
    let fails = |row: &usize| cast_with_options(&column.slice(*row, 1), &declared.arrow, strict).is_err();
    let row = (0..column.len()).find(fails)?;
    Some(misfit(index, column, row, declared, "it can't be converted"))
}

/// True where Arrow's cast rounds or cuts off: units of time, and scales.
fn may_change(from: &Arrow, to: &Arrow) -> bool {
    let parts = |a: &Field, b: &Field| may_change(a.data_type(), b.data_type());
    match (from, to) {
        (from, to) if from == to || *from == Arrow::Null => false,
        (Arrow::Dictionary(_, values), to) => may_change(values, to),
        (
            Arrow::List(a)
            | Arrow::LargeList(a)
            | Arrow::FixedSizeList(a, _)
            | Arrow::ListView(a)
            | Arrow::LargeListView(a),
            Arrow::List(b) | Arrow::LargeList(b) | Arrow::FixedSizeList(b, _),
        )
        | (Arrow::Map(a, _), Arrow::Map(b, _)) => parts(a, b),
        (Arrow::Struct(a), Arrow::Struct(b)) => a.iter().zip(b).any(|(a, b)| parts(a, b)),
        (Arrow::Timestamp(a, _), Arrow::Timestamp(b, _)) | (Arrow::Duration(a), Arrow::Duration(b)) => a != b,
        (from, to) => from.is_temporal() || to.is_temporal() || from.is_decimal() || to.is_decimal(),
    }
}

fn has_text_for_decimal(from: &Arrow, to: &Arrow) -> bool {
    let parts = |a: &Field, b: &Field| has_text_for_decimal(a.data_type(), b.data_type());
    match (from, to) {
        (Arrow::Dictionary(_, values), to) => has_text_for_decimal(values, to),
        (
            Arrow::List(a)
            | Arrow::LargeList(a)
            | Arrow::FixedSizeList(a, _)
            | Arrow::ListView(a)
            | Arrow::LargeListView(a),
            Arrow::List(b),
        )
        | (Arrow::Map(a, _), Arrow::Map(b, _)) => parts(a, b),
        (Arrow::Struct(a), Arrow::Struct(b)) => a.iter().zip(b).any(|(a, b)| parts(a, b)),
        (Arrow::Utf8 | Arrow::LargeUtf8 | Arrow::Utf8View, to) => to.is_decimal(),
        _ => false,
    }
}

/// The type with decimals that have room for any number of digits that engines send.
fn with_wide_decimals(data_type: &Arrow) -> Arrow {
    let part =
        |field: &FieldRef| Arc::new(field.as_ref().clone().with_data_type(with_wide_decimals(field.data_type())));
    match data_type {
        data_type if data_type.is_decimal() => Arrow::Decimal256(76, 38),
        Arrow::List(item) => Arrow::List(part(item)),
        Arrow::Map(entries, sorted) => Arrow::Map(part(entries), *sorted),
        Arrow::Struct(fields) => Arrow::Struct(fields.iter().map(part).collect()),
        other => other.clone(),
    }
}

fn misfit(index: usize, column: &ArrayRef, row: usize, declared: &Declared, why: &str) -> Error {
    let shown = shown(column, row);
    let message = format!("column {index} holds {shown}, which does not fit {}: {why}", sql(&declared.data_type));
    Error::new(ErrorCode::InvalidInput, message).with(|info| {
        info.row = Some(row as u64);
        info.value = shown;
    })
}
