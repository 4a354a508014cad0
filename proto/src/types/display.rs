//! Types as SQL text, as PyFlink prints them.

use super::MAX_LENGTH;
use crate::v1::{DataType, TypeRoot};

/// `ARRAY<DECIMAL(10, 2) NOT NULL>`.
#[must_use]
pub fn sql(data_type: &DataType) -> String {
    let inner = |part: &Option<Box<DataType>>| part.as_deref().map_or_else(|| "?".to_owned(), sql);
    let base = match data_type.root() {
        TypeRoot::Unspecified => "?".to_owned(),
        TypeRoot::Varchar if data_type.length == MAX_LENGTH => "STRING".to_owned(),
        TypeRoot::Varbinary if data_type.length == MAX_LENGTH => "BYTES".to_owned(),
        root @ (TypeRoot::Char | TypeRoot::Varchar | TypeRoot::Binary | TypeRoot::Varbinary) => {
            format!("{}({})", root.as_str_name(), data_type.length)
        }
        TypeRoot::Decimal => format!("DECIMAL({}, {})", data_type.precision, data_type.scale),
        root @ (TypeRoot::Time | TypeRoot::Timestamp | TypeRoot::TimestampLtz) => {
            format!("{}({})", root.as_str_name(), data_type.precision)
        }
        TypeRoot::Array => format!("ARRAY<{}>", inner(&data_type.element)),
        TypeRoot::Multiset => format!("MULTISET<{}>", inner(&data_type.element)),
        TypeRoot::Map => format!("MAP<{}, {}>", inner(&data_type.key), inner(&data_type.element)),
        TypeRoot::Row => {
            let field =
                |f: &crate::v1::Field| format!("{} {}", f.name, f.r#type.as_ref().map_or_else(|| "?".to_owned(), sql));
            format!("ROW<{}>", data_type.fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
        TypeRoot::IntervalYearMonth => "INTERVAL YEAR TO MONTH".to_owned(),
        TypeRoot::IntervalDayTime => "INTERVAL DAY TO SECOND".to_owned(),
        root => root.as_str_name().to_owned(),
    };
    if data_type.not_null { base + " NOT NULL" } else { base }
}
