//! Columns as engines send them, in the declared types.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Decimal128Type, Int64Type};
use arrow_array::{
    Array as _, ArrayRef, Int32Array, LargeBinaryArray, LargeListViewArray, StringArray, StringViewArray,
};
use arrow_buffer::ScalarBuffer;
use arrow_schema::{DataType as Arrow, Field};
use udfleet_executor::link::CallFailure;
use udfleet_proto::types::simple;
use udfleet_proto::v1::{DataType, ErrorCode, TypeRoot};

use crate::support::{Runner, bigint, decode, field, input_of, scalar, schema, string};

const MODULE: &str = "
def echo(a):
    return a
";

fn decimal() -> DataType {
    DataType { precision: 20, scale: 3, ..simple(TypeRoot::Decimal) }
}

fn list(element: DataType) -> DataType {
    DataType { element: Some(Box::new(element)), ..simple(TypeRoot::Array) }
}

/// A column through a function of this type.
async fn through(runner: &Runner, number: u32, declared: &DataType, given: ArrayRef) -> Result<ArrayRef, CallFailure> {
    runner.load(number, scalar("echo", std::slice::from_ref(declared), declared.clone())).await;
    let output = runner.call(input_of(number, vec![given])).await?;
    Ok(Arc::clone(decode(&output, &schema(&[field("result", declared)])).column(0)))
}

#[tokio::test(flavor = "multi_thread")]
async fn decimals_come_as_text_and_lose_no_digit() {
    let runner = Runner::start(MODULE).await;
    let given: ArrayRef =
        Arc::new(StringViewArray::from(vec![Some("1.5"), None, Some("-12345678901234567"), Some("0")]));
    let got = through(&runner, 1, &decimal(), given).await.unwrap();
    let got: Vec<_> = got.as_primitive::<Decimal128Type>().iter().collect();
    assert_eq!(got, [Some(1500), None, Some(-12_345_678_901_234_567_000), Some(0)]);
    for wrong in ["1.2345", "NaN", "", "123456789012345678901"] {
        let failed = through(&runner, 1, &decimal(), Arc::new(StringArray::from(vec!["1", wrong]))).await;
        let error = failed.map(|_| wrong).unwrap_err().error;
        assert_eq!(error.code(), ErrorCode::InvalidInput, "{wrong:?}: {error}");
    }
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["0.25", "7"]));
    let item = Arc::new(Field::new("item", Arrow::Utf8, true));
    let nested = arrow_array::ListArray::new(item, arrow_buffer::OffsetBuffer::from_lengths([2]), texts, None);
    let got = through(&runner, 2, &list(decimal()), Arc::new(nested)).await.unwrap();
    let items = got.as_list::<i32>().value(0);
    assert_eq!(items.as_primitive::<Decimal128Type>().values(), &[250, 7000]);
    runner.interpreter.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn json_in_binary_and_lists_in_views_are_what_they_mean() {
    let runner = Runner::start(MODULE).await;
    let variant: ArrayRef = Arc::new(LargeBinaryArray::from_opt_vec(vec![Some(br#"{"a": 1}"#), None]));
    let got = through(&runner, 1, &string(), variant).await.unwrap();
    assert!(got.as_string::<i32>().value(0) == r#"{"a": 1}"# && got.is_null(1));
    let broken: ArrayRef = Arc::new(LargeBinaryArray::from_vec(vec![&[0xff, 0xfe][..]]));
    let error = through(&runner, 1, &string(), broken).await.map(drop).unwrap_err().error;
    assert_eq!(error.code(), ErrorCode::InvalidInput, "{error}");
    let item = Arc::new(Field::new("item", Arrow::Int32, false));
    let (offsets, sizes) = (ScalarBuffer::from(vec![1_i64, 0]), ScalarBuffer::from(vec![2_i64, 1]));
    let view = LargeListViewArray::new(item, offsets, sizes, Arc::new(Int32Array::from(vec![7, 8, 9])), None);
    let got = through(&runner, 2, &list(bigint()), Arc::new(view)).await.unwrap();
    let lists = got.as_list::<i32>();
    let items = |row| lists.value(row).as_primitive::<Int64Type>().values().to_vec();
    assert_eq!((items(0), items(1)), (vec![8, 9], vec![7]));
    runner.interpreter.kill();
}
