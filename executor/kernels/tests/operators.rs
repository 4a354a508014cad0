//! Operators on columns: what they give, and what they refuse with which row and value.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, DurationMicrosecondArray, Float64Array, Int32Array,
    Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::DataType as Arrow;
use udfleet_kernels::{Value, compute, is_true, literal};
use udfleet_proto::error::Error;
use udfleet_proto::types::{MAX_LENGTH, simple};
use udfleet_proto::v1::operation::Operator;
use udfleet_proto::v1::{DataType, ErrorCode, Literal, TypeRoot, literal};

fn column(array: impl Array + 'static) -> Value {
    Value::Column(Arc::new(array))
}

fn bigint(value: i64) -> Value {
    Value::Constant(Arc::new(Int64Array::from(vec![value])))
}

fn decimal(unscaled: &[i128], precision: u8, scale: i8) -> Value {
    column(Decimal128Array::from(unscaled.to_vec()).with_precision_and_scale(precision, scale).unwrap())
}

fn decimal_type(precision: u32, scale: u32) -> DataType {
    DataType { precision, scale, ..simple(TypeRoot::Decimal) }
}

fn run(operator: Operator, operands: &[&Value], result: &DataType) -> Result<Value, Error> {
    let rows = operands.iter().map(|operand| operand.array().len()).max().unwrap_or(0);
    compute(operator, operands, result, 0, rows)
}

fn truths(operator: Operator, operands: &[&Value]) -> Vec<Option<bool>> {
    run(operator, operands, &simple(TypeRoot::Boolean)).unwrap().array().as_boolean().iter().collect()
}

fn refused(result: Result<Value, Error>) -> (ErrorCode, Option<u64>, String) {
    let error = result.unwrap_err();
    (error.code(), error.info().row, error.info().message.clone())
}

#[test]
fn integers_are_added_in_the_result_type_and_nulls_stay() {
    let narrow = column(Int32Array::from(vec![Some(1), None, Some(i32::MAX)]));
    let sum = run(Operator::Plus, &[&narrow, &bigint(1)], &simple(TypeRoot::Bigint)).unwrap();
    let sum: Vec<_> = sum.array().as_primitive::<Int64Type>().iter().collect();
    assert_eq!(sum, [Some(2), None, Some(i64::from(i32::MAX) + 1)]);
}

#[test]
fn overflow_and_division_by_zero_name_row_and_operands() {
    let numbers = column(Int64Array::from(vec![Some(1), None, Some(i64::MAX), Some(0)]));
    let (code, row, message) = refused(run(Operator::Plus, &[&numbers, &bigint(1)], &simple(TypeRoot::Bigint)));
    assert_eq!((code, row), (ErrorCode::InvalidInput, Some(2)));
    assert_eq!(message, "9223372036854775807 + 1 is out of range of BIGINT");
    let (_, row, message) = refused(run(Operator::Modulo, &[&bigint(7), &numbers], &simple(TypeRoot::Bigint)));
    assert_eq!((row, message.as_str()), (Some(3), "7 % 0: division by zero"));
    let least = column(Int64Array::from(vec![1, i64::MIN]));
    assert_eq!(refused(run(Operator::Negate, &[&least], &simple(TypeRoot::Bigint))).1, Some(1));
}

#[test]
fn constants_stay_constants() {
    let sum = run(Operator::Times, &[&bigint(6), &bigint(7)], &simple(TypeRoot::Bigint)).unwrap();
    assert!(sum.is_constant());
    assert_eq!(sum.column(3).unwrap().as_primitive::<Int64Type>().values(), &[42, 42, 42]);
    let less = run(Operator::Less, &[&bigint(6), &bigint(7)], &simple(TypeRoot::Boolean)).unwrap();
    assert!(less.is_constant());
    assert_eq!(is_true(&less, 2).unwrap().true_count(), 2);
}

#[test]
fn decimals_are_exact_and_rounded_half_up_only_where_the_scale_ends() {
    let (a, b) = (decimal(&[150, -150, 1], 5, 2), decimal(&[3, 3, 3], 5, 0));
    let values = |value: Value| value.array().as_primitive::<Decimal128Type>().values().to_vec();
    assert_eq!(values(run(Operator::Plus, &[&a, &b], &decimal_type(8, 2)).unwrap()), [450, 150, 301]);
    assert_eq!(values(run(Operator::Times, &[&a, &b], &decimal_type(11, 2)).unwrap()), [450, -450, 3]);
    assert_eq!(values(run(Operator::Divide, &[&b, &a], &decimal_type(20, 1)).unwrap()), [20, -20, 3000]);
    let (two, three) = (decimal(&[2, -2], 5, 0), decimal(&[3, 3], 5, 0));
    assert_eq!(values(run(Operator::Divide, &[&two, &three], &decimal_type(10, 3)).unwrap()), [667, -667]);
    assert_eq!(values(run(Operator::Plus, &[&two, &bigint(5)], &decimal_type(20, 0)).unwrap()), [7, 3]);
    let large = decimal(&[10_i128.pow(37)], 38, 0);
    let (code, row, message) = refused(run(Operator::Times, &[&large, &large], &decimal_type(38, 0)));
    assert_eq!((code, row), (ErrorCode::InvalidInput, Some(0)));
    assert!(message.ends_with("is out of range of DECIMAL(38, 0)"), "{message}");
}

#[test]
fn zeros_are_equal_and_nan_equals_nan_and_is_greatest() {
    let odd_nan = -f64::NAN;
    let a = column(Float64Array::from(vec![Some(f64::NAN), Some(0.0), Some(1.0), None, Some(odd_nan)]));
    let b = column(Float64Array::from(vec![odd_nan, -0.0, 2.0, 2.0, f64::INFINITY]));
    assert_eq!(truths(Operator::Equal, &[&a, &b]), [Some(true), Some(true), Some(false), None, Some(false)]);
    assert_eq!(truths(Operator::NotEqual, &[&a, &b]), [Some(false), Some(false), Some(true), None, Some(true)]);
    assert_eq!(truths(Operator::Less, &[&a, &b]), [Some(false), Some(false), Some(true), None, Some(false)]);
    assert_eq!(truths(Operator::Greater, &[&a, &b]), [Some(false), Some(false), Some(false), None, Some(true)]);
    let list = |value: f64| {
        column(arrow_array::ListArray::from_iter_primitive::<arrow_array::types::Float64Type, _, _>([Some([Some(
            value,
        )])]))
    };
    assert_eq!(truths(Operator::Equal, &[&list(0.0), &list(-0.0)]), [Some(true)], "so it is in lists");
    assert_eq!(truths(Operator::Equal, &[&list(f64::NAN), &list(odd_nan)]), [Some(true)]);
    let narrow = column(arrow_array::Float32Array::from(vec![-0.0_f32]));
    assert_eq!(truths(Operator::Equal, &[&narrow, &bigint(0)]), [Some(true)]);
}

#[test]
fn unlike_types_compare_by_value() {
    let decimals = decimal(&[100, 150], 5, 2);
    assert_eq!(truths(Operator::GreaterOrEqual, &[&decimals, &bigint(1)]), [Some(true), Some(true)]);
    assert_eq!(truths(Operator::Equal, &[&decimals, &bigint(1)]), [Some(true), Some(false)]);
    let days = column(Date32Array::from(vec![1, 2]));
    let instants = column(TimestampMicrosecondArray::from(vec![86_400_000_000, 0]));
    assert_eq!(truths(Operator::Equal, &[&days, &instants]), [Some(true), Some(false)]);
    let texts = column(StringArray::from(vec!["a", "b"]));
    assert_eq!(
        refused(run(Operator::Equal, &[&texts, &bigint(1)], &simple(TypeRoot::Boolean))).0,
        ErrorCode::InvalidPlan
    );
}

#[test]
fn logic_is_three_valued() {
    let values = [Some(true), Some(false), None];
    let left: Vec<_> = values.iter().flat_map(|value| [*value; 3]).collect();
    let right: Vec<_> = values.iter().cycle().take(9).copied().collect();
    let (left, right) = (column(BooleanArray::from(left)), column(BooleanArray::from(right)));
    let (t, f, n) = (Some(true), Some(false), None);
    assert_eq!(truths(Operator::And, &[&left, &right]), [t, f, n, f, f, f, n, f, n]);
    assert_eq!(truths(Operator::Or, &[&left, &right]), [t, t, t, t, f, n, t, n, n]);
    assert_eq!(truths(Operator::Not, &[&right])[..3], [f, t, n]);
    assert_eq!(truths(Operator::IsNull, &[&right])[..3], [f, f, t]);
    assert_eq!(is_true(&right, 9).unwrap().true_count(), 3);
}

#[test]
fn casts_refuse_what_would_change() {
    let cast = |array: ArrayRef, to: &DataType| run(Operator::Cast, &[&Value::Column(array)], to);
    let whole = cast(Arc::new(Float64Array::from(vec![Some(2.0), None])), &simple(TypeRoot::Bigint)).unwrap();
    assert_eq!(whole.array().as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(2), None]);
    let (code, row, message) = refused(cast(Arc::new(Float64Array::from(vec![2.0, 1.9])), &simple(TypeRoot::Bigint)));
    assert_eq!((code, row), (ErrorCode::InvalidInput, Some(1)));
    assert_eq!(message, "1.9 can't be cast to BIGINT: it would change");
    let (_, row, message) = refused(cast(Arc::new(Int64Array::from(vec![1, 300])), &simple(TypeRoot::Tinyint)));
    assert_eq!(row, Some(1), "{message}");
    let char_2 = DataType { length: 2, ..simple(TypeRoot::Varchar) };
    let (_, row, message) = refused(cast(Arc::new(StringArray::from(vec!["ab", "abc"])), &char_2));
    assert_eq!((row, message.as_str()), (Some(1), "abc can't be cast to VARCHAR(2): it has 3 characters"));
    let exact = 2_i64.pow(53) + 1;
    assert!(cast(Arc::new(Int64Array::from(vec![exact])), &simple(TypeRoot::Double)).is_err());
}

#[test]
fn texts_of_times_need_no_leading_zeros() {
    let precision = |root, precision| DataType { precision, ..simple(root) };
    let text = |text: &str| Value::Column(Arc::new(StringArray::from(vec![Some(text), None])) as ArrayRef);
    let cast = |given: &str, to: &DataType| run(Operator::Cast, &[&text(given)], to).unwrap();
    let (timestamp, time) = (precision(TypeRoot::Timestamp, 6), precision(TypeRoot::Time, 0));
    for (short, padded, to) in [
        ("1999-9-10 05:20:10", "1999-09-10 05:20:10", &timestamp),
        ("1999-9-1 5:2:1.5", "1999-09-01 05:02:01.500000", &timestamp),
        ("1999-12-31T5:00:00", "1999-12-31 05:00:00", &timestamp),
        ("2:55:00", "02:55:00", &time),
    ] {
        assert_eq!(cast(short, to).array(), cast(padded, to).array(), "{short}");
    }
    let (code, row, _) = refused(run(Operator::Cast, &[&text("1999-9-31 05:20:10")], &timestamp));
    assert_eq!((code, row), (ErrorCode::InvalidInput, Some(0)));
}

#[test]
fn what_can_not_be_cast_is_null_where_it_is_tried_only() {
    let tried = |array: ArrayRef, to: &DataType| run(Operator::TryCast, &[&Value::Column(array)], to).unwrap();
    let integers = |value: Value| value.array().as_primitive::<Int64Type>().iter().collect::<Vec<_>>();
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("17"), Some("x"), None, Some(""), Some("-3")]));
    assert_eq!(integers(tried(texts, &simple(TypeRoot::Bigint))), [Some(17), None, None, None, Some(-3)]);
    let numbers: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 1.5, f64::NAN, 1e300, -2.0]));
    assert_eq!(integers(tried(numbers, &simple(TypeRoot::Bigint))), [Some(1), None, None, None, Some(-2)]);
    let timestamp = DataType { precision: 6, ..simple(TypeRoot::Timestamp) };
    let times: ArrayRef = Arc::new(StringArray::from(vec!["1999-9-10 5:20:10", "1999-9-31 5:20:10", "soon"]));
    let nulls = |value: Value| (0..value.array().len()).map(|row| value.array().is_null(row)).collect::<Vec<_>>();
    assert_eq!(nulls(tried(times, &timestamp)), [false, true, true]);
    let cents: ArrayRef = Arc::new(StringArray::from(vec!["1.05", "1.055", "123456789"]));
    assert_eq!(nulls(tried(cents, &decimal_type(5, 2))), [false, true, true]);
    let none: ArrayRef = Arc::new(StringArray::from(Vec::<&str>::new()));
    assert_eq!(tried(none, &decimal_type(5, 2)).array().len(), 0);
    let constant =
        run(Operator::TryCast, &[&Value::Constant(Arc::new(StringArray::from(vec!["x"])))], &simple(TypeRoot::Int));
    assert!(constant.is_ok_and(|value| value.is_constant() && value.array().is_null(0)));
    let many: ArrayRef = Arc::new((0..5_000).map(|n| Some(f64::from(n) / 2.0)).collect::<Float64Array>());
    let halves = tried(many, &simple(TypeRoot::Int));
    assert_eq!((halves.array().len(), halves.array().null_count()), (5_000, 2_500));
}

#[test]
fn casts_between_text_and_others_work_as_in_sql() {
    let cast = |array: ArrayRef, to: &DataType| run(Operator::Cast, &[&Value::Column(array)], to);
    let texts = |texts: Vec<&str>| -> ArrayRef { Arc::new(StringArray::from(texts)) };
    let string = DataType { length: MAX_LENGTH, ..simple(TypeRoot::Varchar) };
    let numbers = cast(texts(vec!["17", "-3"]), &simple(TypeRoot::Bigint)).unwrap();
    assert_eq!(numbers.array().as_primitive::<Int64Type>().values(), &[17, -3]);
    assert_eq!(refused(cast(texts(vec!["17", "x"]), &simple(TypeRoot::Bigint))).1, Some(1));
    let days = cast(texts(vec!["1970-01-03"]), &simple(TypeRoot::Date)).unwrap();
    let back = cast(Arc::clone(days.array()), &string).unwrap();
    assert_eq!(back.array().as_string::<i32>().value(0), "1970-01-03");
    let money = cast(texts(vec!["1.50"]), &decimal_type(5, 2)).unwrap();
    assert_eq!(money.array().as_primitive::<Decimal128Type>().value(0), 150);
    assert_eq!(refused(cast(texts(vec!["1.505"]), &decimal_type(5, 2))).1, Some(0));
    assert_eq!(cast(Arc::clone(money.array()), &string).unwrap().array().as_string::<i32>().value(0), "1.50");
}

#[test]
fn dates_and_intervals_add_up() {
    let day = 86_400_000_000_i64;
    let instants = column(TimestampMicrosecondArray::from(vec![0, day]));
    let interval = Value::Constant(Arc::new(DurationMicrosecondArray::from(vec![day])));
    let stamp = DataType { precision: 6, ..simple(TypeRoot::Timestamp) };
    let later = run(Operator::Plus, &[&instants, &interval], &stamp).unwrap();
    let expected: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![day, 2 * day]));
    assert_eq!(later.array(), &expected);
    let days = column(Date32Array::from(vec![10, 20]));
    let next = run(Operator::Plus, &[&days, &interval], &simple(TypeRoot::Date)).unwrap();
    let expected: ArrayRef = Arc::new(Date32Array::from(vec![11, 21]));
    assert_eq!(next.array(), &expected);
    let between = run(Operator::Minus, &[&later, &instants], &simple(TypeRoot::IntervalDayTime)).unwrap();
    let expected: ArrayRef = Arc::new(DurationMicrosecondArray::from(vec![day, day]));
    assert_eq!(between.array(), &expected);
}

#[test]
fn choices_take_the_else_for_unknown_conditions() {
    let condition = column(BooleanArray::from(vec![Some(true), Some(false), None]));
    let numbers = column(Int32Array::from(vec![1, 2, 3]));
    let chosen = run(Operator::If, &[&condition, &numbers, &bigint(9)], &simple(TypeRoot::Bigint)).unwrap();
    assert_eq!(chosen.array().as_primitive::<Int64Type>().values(), &[1, 9, 9]);
}

#[test]
fn literals_are_constants_of_their_type() {
    let make = |value, data_type: DataType| literal(&Literal { r#type: Some(data_type), value: Some(value) });
    let text = make(literal::Value::Text("1.5".into()), decimal_type(4, 2)).unwrap();
    assert_eq!(text.array().as_primitive::<Decimal128Type>().value(0), 150);
    let small = make(literal::Value::Integer(5), simple(TypeRoot::Tinyint)).unwrap();
    assert_eq!(small.data_type(), &Arrow::Int8);
    assert!(make(literal::Value::Integer(500), simple(TypeRoot::Tinyint)).is_err());
    assert!(make(literal::Value::Text("x".into()), simple(TypeRoot::Tinyint)).is_err());
    let null = literal(&Literal { r#type: Some(simple(TypeRoot::Double)), value: None }).unwrap();
    assert_eq!(null.array().null_count(), 1);
}
