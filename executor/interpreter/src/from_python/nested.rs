//! Arrays, maps, multisets and rows: the children of all rows are converted as one column.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, ListArray, MapArray, StructArray};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType as Arrow, Field, Fields};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyTuple};
use udfleet_proto::error::Error;
use udfleet_proto::types::{arrow_type, simple};
use udfleet_proto::v1::{DataType, TypeRoot};

use super::scalar::is_of_numpy;
use super::{Column, to_array as values_to_array};
use crate::failure::{class_name, repr};

pub fn to_array(column: &Column<'_>, data_type: &DataType) -> Result<ArrayRef, Error> {
    match data_type.root() {
        TypeRoot::Array => arrays(column, data_type),
        TypeRoot::Row => rows(column, data_type),
        _ => maps(column, data_type),
    }
}

fn part(part: &Option<Box<DataType>>) -> DataType {
    part.as_deref().cloned().unwrap_or_default()
}

/// The row that each child of a parent column belongs to.
fn rows_of<T>(column: &Column<'_>, groups: &[Option<Vec<T>>]) -> Vec<usize> {
    let expand = |(index, group): (usize, &Option<Vec<T>>)| {
        std::iter::repeat_n(column.row(index), group.as_ref().map_or(0, Vec::len))
    };
    groups.iter().enumerate().flat_map(expand).collect()
}

fn offsets_of<T>(groups: &[Option<Vec<T>>]) -> OffsetBuffer<i32> {
    OffsetBuffer::from_lengths(groups.iter().map(|group| group.as_ref().map_or(0, Vec::len)))
}

fn nulls_of<T>(groups: &[Option<T>]) -> Option<NullBuffer> {
    Some(groups.iter().map(Option::is_some).collect::<NullBuffer>()).filter(|nulls| nulls.null_count() > 0)
}

fn malformed(error: impl std::fmt::Display) -> Error {
    Error::internal(format!("building a nested result: {error}"))
}

/// Lists, tuples and one-dimensional numpy arrays.
fn items<'py>(item: &Bound<'py, PyAny>) -> Result<Vec<Bound<'py, PyAny>>, String> {
    static NDARRAY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let is_list = item.is_instance_of::<PyList>() || item.is_instance_of::<PyTuple>();
    if is_list || is_of_numpy(item, &NDARRAY, "ndarray") {
        let iterator = item.try_iter().map_err(|e| e.to_string())?;
        return iterator.collect::<PyResult<_>>().map_err(|e| e.to_string());
    }
    Err(format!("a {} is no list", class_name(item)))
}

fn arrays(column: &Column<'_>, data_type: &DataType) -> Result<ArrayRef, Error> {
    let element = part(&data_type.element);
    let groups = column.convert(data_type, items)?;
    let (offsets, nulls, rows) = (offsets_of(&groups), nulls_of(&groups), rows_of(column, &groups));
    let flat = Column { items: groups.into_iter().flatten().flatten().collect(), rows: Some(rows) };
    let values = values_to_array(&flat, &element)?;
    let field = Field::new("item", arrow_type(&element), !element.not_null);
    Ok(Arc::new(ListArray::try_new(Arc::new(field), offsets, values, nulls).map_err(malformed)?))
}

/// MAP<k, v> from a dict; MULTISET<t> from a dict of counts.
fn maps(column: &Column<'_>, data_type: &DataType) -> Result<ArrayRef, Error> {
    let (mut key, value) = match data_type.root() {
        TypeRoot::Multiset => (part(&data_type.element), DataType { not_null: true, ..simple(TypeRoot::Int) }),
        _ => (part(&data_type.key), part(&data_type.element)),
    };
    // Arrow's map keys are never null.
    key.not_null = true;
    let groups = column.convert(data_type, |item| {
        let dict = item.cast::<PyDict>().map_err(|_| format!("a {} is no dict", class_name(item)))?;
        Ok(dict.iter().collect::<Vec<_>>())
    })?;
    let (offsets, nulls, rows) = (offsets_of(&groups), nulls_of(&groups), rows_of(column, &groups));
    let (keys, values): (Vec<_>, Vec<_>) = groups.into_iter().flatten().flatten().unzip();
    let keys = values_to_array(&Column { items: keys, rows: Some(rows.clone()) }, &key)?;
    let values = values_to_array(&Column { items: values, rows: Some(rows) }, &value)?;
    let Arrow::Map(entries, sorted) = arrow_type(data_type) else { return Err(malformed("no map type")) };
    let Arrow::Struct(fields) = entries.data_type().clone() else { return Err(malformed("no entries")) };
    let structs = StructArray::try_new(fields, vec![keys, values], None).map_err(malformed)?;
    Ok(Arc::new(MapArray::try_new(entries, offsets, structs, nulls, sorted).map_err(malformed)?))
}

/// Tuples, lists and Rows without names by position; dicts, named Rows and named tuples by name. Every field must be
/// there, and no other.
fn rows(column: &Column<'_>, data_type: &DataType) -> Result<ArrayRef, Error> {
    let names: Vec<&str> = data_type.fields.iter().map(|field| field.name.as_str()).collect();
    let groups = column.convert(data_type, |item| fields_of(item, &names))?;
    let nulls = nulls_of(&groups);
    let mut columns = Vec::with_capacity(names.len());
    let mut fields = Vec::with_capacity(names.len());
    for (position, field) in data_type.fields.iter().enumerate() {
        let inner = field.r#type.clone().unwrap_or_default();
        // Under a null row a NOT NULL field holds nothing: such rows are left out of its check.
        let lenient = DataType { not_null: inner.not_null && nulls.is_none(), ..inner.clone() };
        let (mut items, mut row_numbers) = (Vec::with_capacity(groups.len()), Vec::with_capacity(groups.len()));
        for (index, group) in groups.iter().enumerate() {
            let none = || column.items[index].py().None().into_bound(column.items[index].py());
            items.push(group.as_ref().and_then(|values| values.get(position).cloned()).unwrap_or_else(none));
            row_numbers.push(column.row(index));
        }
        let child = Column { items, rows: Some(row_numbers) };
        let values = values_to_array(&child, &lenient)?;
        if let Some(nulls) = values.logical_nulls().filter(|_| inner.not_null) {
            let missing = (0..groups.len()).find(|index| groups[*index].is_some() && nulls.is_null(*index));
            if let Some(index) = missing {
                return Err(child.misfit(index, &inner, "null is not allowed"));
            }
        }
        columns.push(values);
        fields.push(Field::new(&field.name, arrow_type(&inner), !inner.not_null));
    }
    let array = if columns.is_empty() {
        StructArray::new_empty_fields(groups.len(), nulls)
    } else {
        StructArray::try_new(Fields::from(fields), columns, nulls).map_err(malformed)?
    };
    Ok(Arc::new(array))
}

fn fields_of<'py>(item: &Bound<'py, PyAny>, names: &[&str]) -> Result<Vec<Bound<'py, PyAny>>, String> {
    if let Ok(dict) = item.cast::<PyDict>() {
        return by_name(dict, names);
    }
    if class_name(item) == "Row" && item.getattr("_names").is_ok_and(|names| !names.is_none()) {
        let dict = item.call_method0("as_dict").map_err(|e| e.to_string())?;
        return by_name(dict.cast::<PyDict>().map_err(|e| e.to_string())?, names);
    }
    if let Some(names_of) = names_of_tuple(item) {
        let values = item.try_iter().and_then(Iterator::collect::<PyResult<Vec<_>>>).map_err(|e| e.to_string())?;
        let dict = PyDict::new(item.py());
        let filled = names_of.iter().zip(values).try_for_each(|(name, value)| dict.set_item(name, value));
        return filled.map_err(|e| e.to_string()).and_then(|()| by_name(&dict, names));
    }
    let is_sequence = item.is_instance_of::<PyTuple>() || item.is_instance_of::<PyList>() || class_name(item) == "Row";
    if !is_sequence {
        return Err(format!("a {} is no row", class_name(item)));
    }
    let values =
        item.try_iter().and_then(|iterator| iterator.collect::<PyResult<Vec<_>>>()).map_err(|e| e.to_string())?;
    if values.len() == names.len() { Ok(values) } else { Err(format!("it has {} fields", values.len())) }
}

/// The field names of a named tuple.
fn names_of_tuple<'py>(item: &Bound<'py, PyAny>) -> Option<Bound<'py, PyTuple>> {
    if !item.is_instance_of::<PyTuple>() || item.is_exact_instance_of::<PyTuple>() {
        return None;
    }
    let names = item.get_type().getattr("_fields").ok()?.cast_into::<PyTuple>().ok()?;
    (names.len() == item.len().ok()?).then_some(names)
}

fn by_name<'py>(dict: &Bound<'py, PyDict>, names: &[&str]) -> Result<Vec<Bound<'py, PyAny>>, String> {
    let value = |name: &&str| match dict.get_item(*name) {
        Ok(Some(value)) => Ok(value),
        _ => Err(format!("it has no field {name:?}, but {}", repr(dict.keys().as_any()))),
    };
    let values = names.iter().map(value).collect::<Result<Vec<_>, _>>()?;
    if dict.len() == names.len() {
        Ok(values)
    } else {
        Err(format!("it has {} fields in place of {}: {}", dict.len(), names.len(), repr(dict.keys().as_any())))
    }
}
