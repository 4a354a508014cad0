//! TRY_CAST: what CAST refuses is null.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, new_null_array};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::DataType as Arrow;
use arrow_select::concat::concat;
use arrow_select::nullif::nullif;
use udfleet_proto::error::Error;
use udfleet_proto::types::arrow_type;
use udfleet_proto::v1::{DataType, ErrorCode};

use crate::{Value, cast, unexpected};

/// The value in another type, which takes nulls: null where it can't be cast.
///
/// # Errors
/// [`ErrorCode::InvalidPlan`] where no cast between the types exists.
pub fn try_cast(value: &Value, to: &DataType) -> Result<Value, Error> {
    match cast(value, to) {
        Err(error) if error.code() == ErrorCode::InvalidInput => {}
        done => return done,
    }
    let wanted = arrow_type(to);
    let mut pieces = Vec::new();
    in_pieces(&without_unreadable(value.array(), &wanted), to, &wanted, &mut pieces)?;
    let pieces: Vec<&dyn Array> = pieces.iter().map(AsRef::as_ref).collect();
    Ok(value.with(concat(&pieces).map_err(unexpected)?))
}

/// Null where Arrow's own cast of texts fails, so that many of those cost no search.
fn without_unreadable(array: &ArrayRef, wanted: &Arrow) -> ArrayRef {
    let timed = matches!(wanted, Arrow::Timestamp(..) | Arrow::Time32(_) | Arrow::Time64(_));
    // Of times CAST takes more than Arrow does.
    if array.as_string_opt::<i32>().is_none() || timed {
        return array.clone();
    }
    let lenient = CastOptions { safe: true, ..CastOptions::default() };
    let failed = cast_with_options(array, wanted, &lenient).and_then(|cast| arrow_arith::boolean::is_null(&cast));
    failed.and_then(|failed| nullif(array, &failed)).unwrap_or_else(|_| array.clone())
}

/// The rows as far as they can be cast, halved where they can't.
fn in_pieces(array: &ArrayRef, to: &DataType, wanted: &Arrow, pieces: &mut Vec<ArrayRef>) -> Result<(), Error> {
    match cast(&Value::Column(array.clone()), to) {
        Ok(done) => pieces.push(done.array().clone()),
        Err(error) if error.code() != ErrorCode::InvalidInput => return Err(error),
        Err(_) if array.len() <= 1 => pieces.push(new_null_array(wanted, array.len())),
        Err(_) => {
            let half = array.len() / 2;
            in_pieces(&array.slice(0, half), to, wanted, pieces)?;
            in_pieces(&array.slice(half, array.len() - half), to, wanted, pieces)?;
        }
    }
    Ok(())
}
