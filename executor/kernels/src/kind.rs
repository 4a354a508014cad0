//! Which Arrow types hold values of one kind, and intermediate types for casts between them.

use std::sync::Arc;

use arrow_schema::{DataType as Arrow, Field, FieldRef, Fields};

/// Where an array comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The function made it.
    Arrow,
    /// A Series: pandas has no dates of its own, so that midnights stand for them.
    Pandas,
}

/// The type with nulls allowed at any depth, but for the keys of maps.
pub fn nullable(arrow: &Arrow) -> Arrow {
    let part = |field: &FieldRef| -> FieldRef { Arc::new(Field::new(field.name(), nullable(field.data_type()), true)) };
    match arrow {
        Arrow::List(element) => Arrow::List(part(element)),
        Arrow::Struct(fields) => Arrow::Struct(fields.iter().map(part).collect::<Vec<_>>().into()),
        Arrow::Map(entries, sorted) => match entries.data_type() {
            Arrow::Struct(pair) if pair.len() == 2 => {
                let key = nullable(pair[0].data_type());
                let pair = vec![Arc::new(Field::new(pair[0].name(), key, false)), part(&pair[1])];
                let entries = entries.as_ref().clone().with_data_type(Arrow::Struct(pair.into()));
                Arrow::Map(Arc::new(entries), *sorted)
            }
            _ => arrow.clone(),
        },
        other => other.clone(),
    }
}

/// `given`, with the type that is wanted wherever it has none, plain values in place of dictionaries, and fields of the
/// same names in the order that is wanted: Arrow's cast goes by name then.
pub fn typed(given: &Arrow, wanted: &Arrow) -> Arrow {
    let child = |given: &FieldRef, wanted: &FieldRef| -> FieldRef {
        Arc::new(given.as_ref().clone().with_data_type(typed(given.data_type(), wanted.data_type())))
    };
    match (given, wanted) {
        (Arrow::Null, wanted) => wanted.clone(),
        (Arrow::Dictionary(_, values), wanted) => typed(values, wanted),
        (Arrow::BinaryView, Arrow::FixedSizeBinary(_)) => Arrow::Binary,
        (Arrow::List(a), Arrow::List(b)) => Arrow::List(child(a, b)),
        (Arrow::LargeList(a), Arrow::List(b)) => Arrow::LargeList(child(a, b)),
        (Arrow::FixedSizeList(a, size), Arrow::List(b)) => Arrow::FixedSizeList(child(a, b), *size),
        (Arrow::Map(a, sorted), Arrow::Map(b, _)) => Arrow::Map(child(a, b), *sorted),
        (Arrow::Struct(a), Arrow::Struct(b)) if a.len() == b.len() => {
            Arrow::Struct(in_order(a, b).into_iter().zip(b).map(|(a, b)| child(a, b)).collect::<Vec<_>>().into())
        }
        (given, _) => given.clone(),
    }
}

/// The fields in the order of those that are wanted, where they have the same names.
fn in_order<'a>(given: &'a Fields, wanted: &Fields) -> Vec<&'a FieldRef> {
    let named = |wanted: &FieldRef| given.iter().find(|given| given.name() == wanted.name());
    let by_name: Option<Vec<_>> = wanted.iter().map(named).collect();
    by_name.filter(|_| !is_entries(wanted)).unwrap_or_else(|| given.iter().collect())
}

/// `wanted`, in double precision wherever that is what is given.
pub fn widened(given: &Arrow, wanted: &Arrow) -> Arrow {
    let child = |given: &FieldRef, wanted: &FieldRef| -> FieldRef {
        let inner = widened(given.data_type(), wanted.data_type());
        Arc::new(Field::new(wanted.name(), inner, wanted.is_nullable()))
    };
    match (given, wanted) {
        (Arrow::Float64, Arrow::Float32) => Arrow::Float64,
        (Arrow::List(a) | Arrow::LargeList(a) | Arrow::FixedSizeList(a, _), Arrow::List(b)) => Arrow::List(child(a, b)),
        (Arrow::Map(a, _), Arrow::Map(b, sorted)) => Arrow::Map(child(a, b), *sorted),
        (Arrow::Struct(a), Arrow::Struct(b)) => {
            Arrow::Struct(a.iter().zip(b).map(|(a, b)| child(a, b)).collect::<Vec<_>>().into())
        }
        (_, wanted) => wanted.clone(),
    }
}

/// Casts between kinds (text to number, number to boolean) would be unexpected conversions.
pub fn same_kind(from: &Arrow, to: &Arrow, source: Source) -> bool {
    let parts = |a: &FieldRef, b: &FieldRef| same_kind(a.data_type(), b.data_type(), source);
    let text = |t: &Arrow| matches!(t, Arrow::Utf8 | Arrow::LargeUtf8 | Arrow::Utf8View);
    let binary =
        |t: &Arrow| matches!(t, Arrow::Binary | Arrow::LargeBinary | Arrow::BinaryView | Arrow::FixedSizeBinary(_));
    match (from, to) {
        (Arrow::Null, _) => true,
        // As in Python, a truth value is an integer.
        (Arrow::Boolean, to) => *to == Arrow::Boolean || to.is_integer() || to.is_floating(),
        (from, to) if from.is_decimal() => to.is_decimal(),
        (from, to) if to.is_decimal() => from.is_integer(),
        (from, to) if from.is_numeric() => to.is_numeric(),
        (from, to) if text(from) => text(to),
        (from, to) if binary(from) => binary(to),
        (Arrow::Date32 | Arrow::Date64, to) => *to == Arrow::Date32,
        (Arrow::Time32(_) | Arrow::Time64(_), to) => matches!(to, Arrow::Time32(_) | Arrow::Time64(_)),
        (Arrow::Timestamp(_, None), Arrow::Date32) => source == Source::Pandas,
        (Arrow::Timestamp(_, a), Arrow::Timestamp(_, b)) => a.is_some() == b.is_some(),
        (Arrow::Duration(_), to) => matches!(to, Arrow::Duration(_)),
        (Arrow::List(a) | Arrow::LargeList(a) | Arrow::FixedSizeList(a, _), Arrow::List(b)) => parts(a, b),
        (Arrow::Map(a, _), Arrow::Map(b, _)) => parts(a, b),
        (Arrow::Struct(a), Arrow::Struct(b)) => {
            let named = |(a, b): (&FieldRef, &FieldRef)| (a.name() == b.name()) && parts(a, b);
            let entries = |(a, b): (&FieldRef, &FieldRef)| parts(a, b);
            a.len() == b.len() && (a.iter().zip(b).all(named) || (is_entries(b) && a.iter().zip(b).all(entries)))
        }
        _ => false,
    }
}

/// The entries of a map: their names mean nothing.
fn is_entries(fields: &Fields) -> bool {
    matches!(fields.as_ref(), [key, value] if key.name() == "key" && value.name() == "value" && !key.is_nullable())
}
