//! Accumulators in one process and in several give the same.

use std::sync::Arc;

use arrow_array::types::Float64Type;
use arrow_array::{Decimal128Array, Float64Array, Int32Array, Int64Array, StringArray};
use udfleet_proto::types::{MAX_LENGTH, simple};
use udfleet_proto::v1::TypeRoot;

use super::*;

fn double() -> DataType {
    simple(TypeRoot::Double)
}

fn decimal(precision: u32, scale: u32) -> DataType {
    DataType { precision, scale, ..simple(TypeRoot::Decimal) }
}

/// The results over all rows, and over two halves that are merged: must be equal.
fn aggregate(builtin: Builtin, result: &DataType, column: &ArrayRef, groups: &[u32], count: usize) -> ArrayRef {
    let mut whole = BuiltinAggregate::new(builtin, result).unwrap();
    whole.update(Some(column), groups, count).unwrap();
    let all = whole.results(0..count, count).unwrap();
    let mut merged = BuiltinAggregate::new(builtin, result).unwrap();
    let half = groups.len() / 2;
    for (start, length) in [(0, half), (half, groups.len() - half)] {
        let mut part = BuiltinAggregate::new(builtin, result).unwrap();
        part.update(Some(&column.slice(start, length)), &groups[start..start + length], count).unwrap();
        let states = part.states(0..count, count);
        merged.merge(&states, &(0..count as u32).collect::<Vec<_>>(), count).unwrap();
    }
    assert_eq!(&merged.results(0..count, count).unwrap(), &all);
    all
}

#[test]
fn counts_leave_nulls_out_and_rows_in() {
    let column: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None, Some(3)]));
    let bigint = simple(TypeRoot::Bigint);
    let expected: ArrayRef = Arc::new(Int64Array::from(vec![2, 0, 0]));
    assert_eq!(&aggregate(Builtin::Count, &bigint, &column, &[0, 1, 0], 3), &expected);
    let mut rows = BuiltinAggregate::new(Builtin::Count, &bigint).unwrap();
    rows.update(None, &[0, 1, 0], 2).unwrap();
    let expected: ArrayRef = Arc::new(Int64Array::from(vec![2, 1]));
    assert_eq!(&rows.results(0..2, 2).unwrap(), &expected);
}

#[test]
fn sums_are_exact_and_do_not_wrap() {
    let column: ArrayRef = Arc::new(Int64Array::from(vec![Some(i64::MAX), Some(-5), None, Some(1)]));
    let bigint = simple(TypeRoot::Bigint);
    let expected: ArrayRef = Arc::new(Int64Array::from(vec![Some(i64::MAX - 4), None]));
    assert_eq!(&aggregate(Builtin::Sum, &bigint, &column, &[0, 0, 1, 0], 2), &expected);
    let mut sum = BuiltinAggregate::new(Builtin::Sum, &bigint).unwrap();
    sum.update(Some(&column), &[0, 1, 1, 0], 2).unwrap();
    assert_eq!(sum.results(0..2, 2).unwrap_err().code(), ErrorCode::InvalidInput);
}

#[test]
fn averages_are_not_cut_off() {
    let column: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 4]));
    let expected: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.5), Some(4.0), None]));
    assert_eq!(&aggregate(Builtin::Avg, &double(), &column, &[0, 0, 1], 3), &expected);
    let money: ArrayRef = Arc::new(Decimal128Array::from(vec![100, 200, 201]).with_precision_and_scale(10, 2).unwrap());
    let average = aggregate(Builtin::Avg, &decimal(38, 6), &money, &[0, 0, 0], 1);
    let expected: ArrayRef = Arc::new(Decimal128Array::from(vec![1_670_000]).with_precision_and_scale(38, 6).unwrap());
    assert_eq!(&average, &expected);
}

#[test]
fn extremes_of_any_order() {
    let column: ArrayRef = Arc::new(StringArray::from(vec![Some("b"), Some(""), None, Some("c")]));
    let text = DataType { length: MAX_LENGTH, ..simple(TypeRoot::Varchar) };
    let expected: ArrayRef = Arc::new(StringArray::from(vec![Some("c"), Some(""), None]));
    assert_eq!(&aggregate(Builtin::Max, &text, &column, &[0, 1, 1, 0], 3), &expected);
    let expected: ArrayRef = Arc::new(StringArray::from(vec![Some("b"), Some(""), None]));
    assert_eq!(&aggregate(Builtin::Min, &text, &column, &[0, 1, 1, 0], 3), &expected);
}

#[test]
fn variances_need_enough_values() {
    let column: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 3.0, 5.0, 7.0]));
    let one = |builtin, groups: &[u32]| {
        aggregate(builtin, &double(), &column, groups, 2).as_primitive::<Float64Type>().iter().collect::<Vec<_>>()
    };
    assert_eq!(one(Builtin::VarPop, &[0, 0, 0, 1]), [Some(8.0 / 3.0), Some(0.0)]);
    assert_eq!(one(Builtin::VarSamp, &[0, 0, 0, 1]), [Some(4.0), None]);
    assert_eq!(one(Builtin::StddevSamp, &[0, 0, 0, 1]), [Some(2.0), None]);
}

#[test]
fn bytes_of_others_are_refused() {
    for builtin in [Builtin::Count, Builtin::Sum, Builtin::VarPop] {
        let mut aggregate = BuiltinAggregate::new(builtin, &simple(TypeRoot::Bigint)).unwrap();
        let states: ArrayRef = Arc::new(BinaryArray::from(vec![&b"odd"[..]]));
        assert_eq!(aggregate.merge(&states, &[0], 1).unwrap_err().code(), ErrorCode::InvalidPlan);
    }
}
