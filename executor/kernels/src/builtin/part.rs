//! Parts of dates and times.

use std::sync::Arc;

use arrow_arith::temporal::{DatePart, date_part};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{ArrayRef, Int64Array};
use udfleet_proto::error::Error;
use udfleet_proto::v1::compute::DatePart as Part;
use udfleet_proto::v1::operation::Operator;

use super::{columns, unknown};
use crate::unexpected;
use crate::value::Value;

/// EXTRACT: a BIGINT. TIMESTAMP_LTZ is taken in UTC.
pub fn extract(operands: &[&Value], part: u32, rows: usize) -> Result<ArrayRef, Error> {
    let [operand] = operands else { return Err(unknown(Operator::Extract, operands)) };
    let part = i32::try_from(part).ok().and_then(|part| Part::try_from(part).ok()).unwrap_or_default();
    let (kernel, from_one) = match part {
        Part::Unspecified => return Err(unknown(Operator::Extract, operands)),
        Part::Year => (DatePart::Year, 0),
        Part::Quarter => (DatePart::Quarter, 0),
        Part::Month => (DatePart::Month, 0),
        Part::Week => (DatePart::Week, 0),
        Part::Day => (DatePart::Day, 0),
        // Arrow counts from 0 for Sunday.
        Part::Dow => (DatePart::DayOfWeekSunday0, 1),
        Part::Doy => (DatePart::DayOfYear, 0),
        Part::Hour => (DatePart::Hour, 0),
        Part::Minute => (DatePart::Minute, 0),
        Part::Second => (DatePart::Second, 0),
    };
    let column = columns(&[operand], rows)?;
    let parts = date_part(&column[0], kernel).map_err(unexpected)?;
    let wide: Int64Array =
        arrow_arith::arity::unary::<_, _, Int64Type>(parts.as_primitive::<Int32Type>(), |x| i64::from(x) + from_one);
    Ok(Arc::new(wide))
}
