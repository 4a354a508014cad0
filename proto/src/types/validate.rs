//! Validates types, within PyFlink's bounds.

use super::{MAX_LENGTH, sql};
use crate::error::Error;
use crate::v1::{DataType, ErrorCode, TypeRoot};

/// Nesting beyond this is refused.
const MAX_DEPTH: usize = 64;

/// Checks a type and all its parts.
///
/// # Errors
/// [`ErrorCode::InvalidDefinition`] naming the type and the bound.
pub fn validate(data_type: &DataType) -> Result<(), Error> {
    check(data_type, 0)
}

fn bad(data_type: &DataType, why: &str) -> Error {
    Error::new(ErrorCode::InvalidDefinition, format!("type {}: {why}", sql(data_type)))
}

fn check(data_type: &DataType, depth: usize) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(Error::new(
            ErrorCode::InvalidDefinition,
            format!("a type is nested deeper than {MAX_DEPTH} levels"),
        ));
    }
    let range = |what: &str, value: u32, min: u32, max: u32| {
        if (min..=max).contains(&value) {
            Ok(())
        } else {
            Err(bad(data_type, &format!("{what} must be from {min} to {max}")))
        }
    };
    match data_type.root() {
        TypeRoot::Unspecified => return Err(Error::new(ErrorCode::InvalidDefinition, "a type has no root")),
        TypeRoot::Char | TypeRoot::Varchar | TypeRoot::Binary | TypeRoot::Varbinary => {
            range("length", data_type.length, 1, MAX_LENGTH)?;
        }
        TypeRoot::Decimal => {
            range("precision", data_type.precision, 1, 38)?;
            range("scale", data_type.scale, 0, data_type.precision)?;
        }
        TypeRoot::Time | TypeRoot::Timestamp | TypeRoot::TimestampLtz => range("precision", data_type.precision, 0, 9)?,
        _ => {}
    }
    let needs = |part: &Option<Box<DataType>>, what: &str| match part {
        Some(part) => check(part, depth + 1),
        None => Err(bad(data_type, &format!("has no {what} type"))),
    };
    match data_type.root() {
        TypeRoot::Array | TypeRoot::Multiset => needs(&data_type.element, "element"),
        TypeRoot::Map => {
            needs(&data_type.key, "key")?;
            needs(&data_type.element, "value")
        }
        TypeRoot::Row => {
            for (index, field) in data_type.fields.iter().enumerate() {
                if data_type.fields[..index].iter().any(|earlier| earlier.name == field.name) {
                    return Err(bad(data_type, &format!("has two fields named {:?}", field.name)));
                }
                let inner = field.r#type.as_ref().ok_or_else(|| bad(data_type, "has a field without a type"))?;
                check(inner, depth + 1)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::simple;

    #[test]
    fn bounds_are_checked_at_any_depth() {
        let decimal = DataType { precision: 39, ..simple(TypeRoot::Decimal) };
        let array = DataType { element: Some(Box::new(decimal)), ..simple(TypeRoot::Array) };
        let error = validate(&array).unwrap_err();
        assert!(error.info().message.contains("precision must be from 1 to 38"), "{error}");
        assert!(validate(&simple(TypeRoot::Bigint)).is_ok());
        assert!(validate(&simple(TypeRoot::Array)).is_err());
        assert!(validate(&DataType::default()).is_err());
    }

    #[test]
    fn endless_nesting_is_refused() {
        let mut deep = simple(TypeRoot::Int);
        for _ in 0..100 {
            deep = DataType { element: Some(Box::new(deep)), ..simple(TypeRoot::Array) };
        }
        assert!(validate(&deep).unwrap_err().info().message.contains("deeper"));
    }
}
