//! PyFlink's logical types: checks, names and their Arrow counterparts.

mod arrow;
mod display;
mod validate;

pub use arrow::{arrow_field, arrow_type};
pub use display::sql;
pub use validate::validate;

use crate::v1::{DataType, TypeRoot};

/// Length of STRING and BYTES.
pub const MAX_LENGTH: u32 = i32::MAX as u32;

/// A nullable type without parameters.
#[must_use]
pub fn simple(root: TypeRoot) -> DataType {
    DataType { root: root as i32, ..DataType::default() }
}
