//! What is encoded never changes, and is the same exactly where values are equal.

use std::sync::Arc;

use arrow_array::builder::{Int32Builder, ListBuilder, StringDictionaryBuilder};
use arrow_array::types::{Int8Type, IntervalMonthDayNano};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, Decimal256Array, Float32Array, Float64Array,
    Int8Array, Int64Array, IntervalMonthDayNanoArray, LargeStringArray, NullArray, StringArray, StringViewArray,
    StructArray, TimestampMicrosecondArray,
};
use arrow_buffer::i256;
use arrow_schema::{DataType, Field, Fields};
use proptest::prelude::*;

use super::{encode, hash, is_supported, partition};

fn keys(columns: &[ArrayRef]) -> Vec<Vec<u8>> {
    let keys = encode(columns, columns[0].len()).unwrap();
    keys.iter().map(<[u8]>::to_vec).collect()
}

fn hexes(column: impl Array + 'static) -> Vec<String> {
    keys(&[Arc::new(column)]).iter().map(hex::encode).collect()
}

fn structs(fields: Vec<(&str, ArrayRef)>) -> StructArray {
    let named = fields.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true));
    let named: Fields = named.collect::<Vec<_>>().into();
    StructArray::new(named, fields.into_iter().map(|(_, column)| column).collect(), None)
}

#[test]
fn golden_encodings() {
    assert_eq!(hexes(NullArray::new(1)), ["00"]);
    assert_eq!(hexes(BooleanArray::from(vec![Some(false), Some(true), None])), ["0100", "0101", "00"]);
    assert_eq!(hexes(Int64Array::from(vec![1, -2])), ["010100000000000000", "01feffffffffffffff"]);
    assert_eq!(hexes(Date32Array::from(vec![19_000])), ["01384a000000000000"]);
    assert_eq!(hexes(TimestampMicrosecondArray::from(vec![-1])), ["01ffffffffffffffff"]);
    let doubles = Float64Array::from(vec![0.0, -0.0, 1.5, f64::from_bits(0xfff8_0000_0000_0001)]);
    let zero = "010000000000000000";
    assert_eq!(hexes(doubles), [zero, zero, "01000000000000f83f", "01000000000000f87f"]);
    assert_eq!(
        hexes(Decimal128Array::from(vec![0, 127, 128, -128, -129])),
        ["010100", "01017f", "01028000", "010180", "01027fff"]
    );
    assert_eq!(hexes(StringArray::from(vec!["", "ab"])), ["0100000000", "01020000006162"]);
    let months = IntervalMonthDayNano { months: 14, days: -1, nanoseconds: 2 };
    assert_eq!(hexes(IntervalMonthDayNanoArray::from(vec![months])), ["010e000000ffffffff0200000000000000"]);
    let mut lists = ListBuilder::new(Int32Builder::new());
    lists.append_value([Some(7), None]);
    lists.append_value([]);
    lists.append_null();
    assert_eq!(hexes(lists.finish()), ["010200000001070000000000000000", "0100000000", "00"]);
    let row = structs(vec![("a", Arc::new(Int8Array::from(vec![3]))), ("b", Arc::new(StringArray::from(vec!["x"])))]);
    assert_eq!(hexes(row), ["010103000000000000000101000000".to_owned() + "78"]);
}

#[test]
fn golden_hashes() {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec![Some("a"), Some("b"), None, Some("")])),
        Arc::new(Int64Array::from(vec![Some(1), Some(2), Some(3), None])),
    ];
    let hashes: Vec<u64> = keys(&columns).iter().map(|key| hash(key)).collect();
    assert_eq!(hashes, [0xe90b_ffd9_5f17_ef2b, 0xb2cc_ca2e_c693_1775, 0x5a00_e6cd_9058_a33f, 0x718f_aedf_ff73_42f7]);
    let partitions: Vec<u32> = keys(&columns).iter().map(|key| partition(key, 16)).collect();
    assert_eq!(partitions, [11, 5, 15, 7]);
    assert_eq!(hash(b""), 0x2d06_8005_38d3_94c2, "of rows without keys: XXH3's own vector");
}

#[test]
fn layouts_and_widths_make_no_difference() {
    let words = ["b", "a", "", "b"];
    let mut dictionary = StringDictionaryBuilder::<Int8Type>::new();
    words.iter().for_each(|word| dictionary.append_value(word));
    let plain = hexes(StringArray::from(words.to_vec()));
    assert_eq!(hexes(LargeStringArray::from(words.to_vec())), plain);
    assert_eq!(hexes(StringViewArray::from(words.to_vec())), plain);
    assert_eq!(hexes(dictionary.finish()), plain);
    assert_eq!(hexes(Int8Array::from(vec![-5])), hexes(Int64Array::from(vec![-5])));
    assert_eq!(hexes(Float32Array::from(vec![-0.0, 0.5])), hexes(Float64Array::from(vec![0.0, 0.5])));
    assert_eq!(hexes(Decimal256Array::from(vec![i256::from_i128(-300)])), hexes(Decimal128Array::from(vec![-300])));
}

#[test]
fn nulls_of_dictionaries_are_nulls_and_maps_are_no_keys() {
    let mut dictionary = StringDictionaryBuilder::<Int8Type>::new();
    dictionary.append_option(None::<&str>);
    assert_eq!(hexes(dictionary.finish()), ["00"]);
    let entries = DataType::Struct(vec![Field::new("k", DataType::Int8, false)].into());
    let map = DataType::Map(Arc::new(Field::new("entries", entries, false)), false);
    assert!(!is_supported(&DataType::new_list(map, true)));
    assert!(is_supported(&DataType::new_list(DataType::Utf8View, true)));
    let one: ArrayRef = Arc::new(NullArray::new(1));
    assert!(encode(&[one], 2).is_err(), "a column for each row");
}

/// A row of three columns: a number, a text and a list.
type Row = (Option<f64>, Option<String>, Option<Vec<Option<i32>>>);

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(-0.0), Just(f64::NAN), Just(-f64::NAN), Just(1.0), any::<f64>()]
}

fn row() -> impl Strategy<Value = Row> {
    let list = prop::collection::vec(prop::option::of(0..2), 0..3);
    (prop::option::of(number()), prop::option::of("[ab\0]{0,2}"), prop::option::of(list))
}

fn columns(rows: &[Row]) -> Vec<ArrayRef> {
    let mut lists = ListBuilder::new(Int32Builder::new());
    for (_, _, list) in rows {
        match list {
            Some(items) => lists.append_value(items.iter().copied()),
            None => lists.append_null(),
        }
    }
    let numbers: Float64Array = rows.iter().map(|row| row.0).collect();
    let texts: StringArray = rows.iter().map(|row| row.1.as_deref()).collect();
    vec![Arc::new(numbers), Arc::new(texts), Arc::new(lists.finish())]
}

fn equal(a: &Row, b: &Row) -> bool {
    let numbers = match (a.0, b.0) {
        (Some(a), Some(b)) => a == b || (a.is_nan() && b.is_nan()),
        (a, b) => a.is_none() && b.is_none(),
    };
    numbers && a.1 == b.1 && a.2 == b.2
}

proptest! {
    #[test]
    fn keys_are_the_same_exactly_where_rows_are_equal(rows in prop::collection::vec(row(), 1..24)) {
        let all = keys(&columns(&rows));
        for (i, a) in rows.iter().enumerate() {
            for (j, b) in rows.iter().enumerate() {
                prop_assert_eq!(all[i] == all[j], equal(a, b), "{:?} and {:?}", a, b);
            }
        }
        let nested = structs(vec![("n", columns(&rows)[0].clone()), ("l", columns(&rows)[2].clone())]);
        let nested = keys(&[Arc::new(nested)]);
        for (i, a) in rows.iter().enumerate() {
            for (j, b) in rows.iter().enumerate() {
                let same = equal(&(a.0, None, a.2.clone()), &(b.0, None, b.2.clone()));
                prop_assert_eq!(nested[i] == nested[j], same);
            }
        }
    }

    #[test]
    fn a_row_has_its_key_wherever_it_stands(rows in prop::collection::vec(row(), 1..24), start in 0usize..24) {
        let start = start.min(rows.len());
        let all = columns(&rows);
        let some: Vec<ArrayRef> = all.iter().map(|column| column.slice(start, rows.len() - start)).collect();
        prop_assert_eq!(&keys(&some)[..], &keys(&all)[start..]);
        for key in keys(&all) {
            prop_assert!(partition(&key, 7) < 7);
            prop_assert_eq!(partition(&key, 1), 0);
        }
    }
}
