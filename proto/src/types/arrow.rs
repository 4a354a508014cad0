//! The Arrow type that carries each logical type. The SDK has the same table in Python.

use std::sync::Arc;

use arrow_schema::{DataType as Arrow, Field, Fields, IntervalUnit, TimeUnit};

use crate::v1::{DataType, TypeRoot};

/// The Arrow field of a column of this type.
#[must_use]
pub fn arrow_field(name: &str, data_type: &DataType) -> Field {
    Field::new(name, arrow_type(data_type), !data_type.not_null)
}

fn unit(precision: u32) -> TimeUnit {
    match precision {
        0 => TimeUnit::Second,
        1..=3 => TimeUnit::Millisecond,
        4..=6 => TimeUnit::Microsecond,
        _ => TimeUnit::Nanosecond,
    }
}

fn map_of(key: Arrow, value: Field) -> Arrow {
    let entries = Fields::from(vec![Field::new("key", key, false), value.with_name("value")]);
    Arrow::Map(Arc::new(Field::new("entries", Arrow::Struct(entries), false)), false)
}

/// The Arrow type. A missing part of a malformed type is taken as NULL.
#[must_use]
pub fn arrow_type(data_type: &DataType) -> Arrow {
    let part = |part: &Option<Box<DataType>>, name: &str| match part {
        Some(part) => arrow_field(name, part),
        None => Field::new(name, Arrow::Null, true),
    };
    match data_type.root() {
        TypeRoot::Unspecified | TypeRoot::Null => Arrow::Null,
        TypeRoot::Char | TypeRoot::Varchar => Arrow::Utf8,
        TypeRoot::Boolean => Arrow::Boolean,
        TypeRoot::Binary => Arrow::FixedSizeBinary(i32::try_from(data_type.length).unwrap_or(i32::MAX)),
        TypeRoot::Varbinary => Arrow::Binary,
        TypeRoot::Decimal => {
            // Checked at registration: precision and scale are at most 38.
            Arrow::Decimal128(data_type.precision as u8, data_type.scale as i8)
        }
        TypeRoot::Tinyint => Arrow::Int8,
        TypeRoot::Smallint => Arrow::Int16,
        TypeRoot::Int => Arrow::Int32,
        TypeRoot::Bigint => Arrow::Int64,
        TypeRoot::Float => Arrow::Float32,
        TypeRoot::Double => Arrow::Float64,
        TypeRoot::Date => Arrow::Date32,
        TypeRoot::Time => match unit(data_type.precision) {
            unit @ (TimeUnit::Second | TimeUnit::Millisecond) => Arrow::Time32(unit),
            unit => Arrow::Time64(unit),
        },
        TypeRoot::Timestamp => Arrow::Timestamp(unit(data_type.precision), None),
        TypeRoot::TimestampLtz => Arrow::Timestamp(unit(data_type.precision), Some("UTC".into())),
        TypeRoot::Array => Arrow::List(Arc::new(part(&data_type.element, "item"))),
        TypeRoot::Map => map_of(part(&data_type.key, "key").data_type().clone(), part(&data_type.element, "value")),
        TypeRoot::Multiset => {
            map_of(part(&data_type.element, "key").data_type().clone(), Field::new("value", Arrow::Int32, false))
        }
        TypeRoot::Row => {
            let field = |f: &crate::v1::Field| match &f.r#type {
                Some(inner) => arrow_field(&f.name, inner),
                None => Field::new(&f.name, Arrow::Null, true),
            };
            Arrow::Struct(data_type.fields.iter().map(field).collect())
        }
        TypeRoot::IntervalYearMonth => Arrow::Interval(IntervalUnit::MonthDayNano),
        TypeRoot::IntervalDayTime => Arrow::Duration(TimeUnit::Microsecond),
    }
}
