//! Type rules of plans: pure functions over logical types. docs/plans.md shows them as tables.

mod aggregate;
mod arithmetic;
mod assign;
mod builtin;
mod cast;
mod compare;
mod decimal;
mod literal;
mod operation;

use udfleet_proto::v1::{DataType, TypeRoot};

pub(super) use aggregate::aggregate_type;
pub(super) use assign::{Fit, fit};
pub(super) use literal::{adapt, normalise, show};
pub(super) use operation::{Operand, result_type};

/// The integers, from narrow to wide.
const INTEGERS: [TypeRoot; 4] = [TypeRoot::Tinyint, TypeRoot::Smallint, TypeRoot::Int, TypeRoot::Bigint];

/// A type that takes nulls, or doesn't.
pub(super) fn with_nulls(data_type: &DataType, nullable: bool) -> DataType {
    DataType { not_null: !nullable, ..data_type.clone() }
}

/// A type without parameters.
fn of(root: TypeRoot, nullable: bool) -> DataType {
    DataType { root: root as i32, not_null: !nullable, ..DataType::default() }
}

/// 0 for TINYINT to 3 for BIGINT.
fn integer_rank(root: TypeRoot) -> Option<usize> {
    INTEGERS.iter().position(|integer| *integer == root)
}

fn is_integer(root: TypeRoot) -> bool {
    integer_rank(root).is_some()
}

fn is_exact(root: TypeRoot) -> bool {
    is_integer(root) || root == TypeRoot::Decimal
}

fn is_floating(root: TypeRoot) -> bool {
    matches!(root, TypeRoot::Float | TypeRoot::Double)
}

fn is_numeric(root: TypeRoot) -> bool {
    is_exact(root) || is_floating(root)
}

fn is_text(root: TypeRoot) -> bool {
    matches!(root, TypeRoot::Char | TypeRoot::Varchar)
}

fn is_bytes(root: TypeRoot) -> bool {
    matches!(root, TypeRoot::Binary | TypeRoot::Varbinary)
}

fn is_nested(root: TypeRoot) -> bool {
    matches!(root, TypeRoot::Array | TypeRoot::Map | TypeRoot::Multiset | TypeRoot::Row)
}

/// The same type at every depth, whatever takes nulls.
fn same_ignoring_nulls(a: &DataType, b: &DataType) -> bool {
    let part = |a: &Option<Box<DataType>>, b: &Option<Box<DataType>>| match (a, b) {
        (Some(a), Some(b)) => same_ignoring_nulls(a, b),
        (a, b) => a.is_none() && b.is_none(),
    };
    let field = |(a, b): (&udfleet_proto::v1::Field, &udfleet_proto::v1::Field)| match (&a.r#type, &b.r#type) {
        (Some(x), Some(y)) => a.name == b.name && same_ignoring_nulls(x, y),
        _ => false,
    };
    (a.root, a.length, a.precision, a.scale) == (b.root, b.length, b.precision, b.scale)
        && part(&a.element, &b.element)
        && part(&a.key, &b.key)
        && a.fields.len() == b.fields.len()
        && a.fields.iter().zip(&b.fields).all(field)
}
