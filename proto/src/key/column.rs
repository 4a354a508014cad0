//! One key column: how its values are written, whatever layout Arrow has them in.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, ByteArrayType, ByteViewType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
    Float16Type, Float32Type, Float64Type, IntervalMonthDayNanoType,
};
use arrow_array::{
    Array, ArrayRef, BooleanArray, FixedSizeBinaryArray, GenericByteArray, GenericByteViewArray, GenericListArray,
    GenericListViewArray, OffsetSizeTrait, make_array,
};
use arrow_buffer::{ArrowNativeType, NullBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, IntervalUnit};

use super::float::canonical_f64;

/// See the module.
pub(super) struct KeyColumn {
    nulls: Option<NullBuffer>,
    values: Values,
}

enum Values {
    /// Each is null.
    Nulls,
    Booleans(BooleanArray),
    Integers(Vec<i64>),
    Doubles(Vec<f64>),
    /// Unscaled, in as few bytes as hold them.
    Decimals(Vec<Vec<u8>>),
    Months(Vec<[u8; 16]>),
    Bytes(Box<dyn ByteValues>),
    Lists {
        ranges: Vec<Range<usize>>,
        items: Box<KeyColumn>,
    },
    Rows(Vec<KeyColumn>),
    Dictionary {
        keys: Vec<usize>,
        values: Box<KeyColumn>,
    },
}

/// Texts and bytes of any layout.
trait ByteValues {
    fn get(&self, row: usize) -> &[u8];
}

impl<T: ByteArrayType> ByteValues for GenericByteArray<T> {
    fn get(&self, row: usize) -> &[u8] {
        self.value(row).as_ref()
    }
}

impl<T: ByteViewType> ByteValues for GenericByteViewArray<T> {
    fn get(&self, row: usize) -> &[u8] {
        self.value(row).as_ref()
    }
}

impl ByteValues for FixedSizeBinaryArray {
    fn get(&self, row: usize) -> &[u8] {
        self.value(row)
    }
}

impl KeyColumn {
    /// # Errors
    /// For a type that is no key.
    pub fn new(array: &ArrayRef) -> Result<Self, ArrowError> {
        Ok(Self { nulls: array.logical_nulls(), values: Values::of(array)? })
    }

    /// Appends the value of a row.
    pub fn write(&self, row: usize, out: &mut Vec<u8>) {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return out.push(0);
        }
        if let Values::Dictionary { keys, values } = &self.values {
            return values.write(keys[row], out);
        }
        out.push(u8::from(!matches!(self.values, Values::Nulls)));
        match &self.values {
            Values::Nulls | Values::Dictionary { .. } => {}
            Values::Booleans(values) => out.push(u8::from(values.value(row))),
            Values::Integers(values) => out.extend_from_slice(&values[row].to_le_bytes()),
            Values::Doubles(values) => out.extend_from_slice(&canonical_f64(values[row]).to_le_bytes()),
            Values::Decimals(values) => {
                // At most 32 bytes.
                out.push(values[row].len() as u8);
                out.extend_from_slice(&values[row]);
            }
            Values::Months(values) => out.extend_from_slice(&values[row]),
            Values::Bytes(values) => {
                let value = values.get(row);
                out.extend_from_slice(&count(value.len()));
                out.extend_from_slice(value);
            }
            Values::Lists { ranges, items } => {
                out.extend_from_slice(&count(ranges[row].len()));
                ranges[row].clone().for_each(|item| items.write(item, out));
            }
            Values::Rows(fields) => fields.iter().for_each(|field| field.write(row, out)),
        }
    }
}

/// Batches are far smaller than what four bytes can count.
fn count(length: usize) -> [u8; 4] {
    (length as u32).to_le_bytes()
}

impl Values {
    fn of(array: &ArrayRef) -> Result<Self, ArrowError> {
        Ok(match array.data_type() {
            DataType::Null => Self::Nulls,
            DataType::Boolean => Self::Booleans(array.as_boolean().clone()),
            DataType::Int8 => integers::<i8>(array, i64::from),
            DataType::Int16 => integers::<i16>(array, i64::from),
            DataType::Int32 | DataType::Date32 | DataType::Time32(_) | DataType::Interval(IntervalUnit::YearMonth) => {
                integers::<i32>(array, i64::from)
            }
            DataType::UInt8 => integers::<u8>(array, i64::from),
            DataType::UInt16 => integers::<u16>(array, i64::from),
            DataType::UInt32 => integers::<u32>(array, i64::from),
            DataType::Int64
            | DataType::UInt64
            | DataType::Date64
            | DataType::Time64(_)
            | DataType::Timestamp(..)
            | DataType::Duration(_) => integers::<i64>(array, |value| value),
            DataType::Float16 => doubles::<Float16Type>(array, |value| value.to_f64()),
            DataType::Float32 => doubles::<Float32Type>(array, f64::from),
            DataType::Float64 => doubles::<Float64Type>(array, |value| value),
            DataType::Decimal32(..) => decimals::<Decimal32Type, 4>(array, i32::to_le_bytes),
            DataType::Decimal64(..) => decimals::<Decimal64Type, 8>(array, i64::to_le_bytes),
            DataType::Decimal128(..) => decimals::<Decimal128Type, 16>(array, i128::to_le_bytes),
            DataType::Decimal256(..) => decimals::<Decimal256Type, 32>(array, |value| value.to_le_bytes()),
            DataType::Interval(IntervalUnit::MonthDayNano) => months(array),
            DataType::Utf8 => Self::Bytes(Box::new(array.as_string::<i32>().clone())),
            DataType::LargeUtf8 => Self::Bytes(Box::new(array.as_string::<i64>().clone())),
            DataType::Utf8View => Self::Bytes(Box::new(array.as_string_view().clone())),
            DataType::Binary => Self::Bytes(Box::new(array.as_binary::<i32>().clone())),
            DataType::LargeBinary => Self::Bytes(Box::new(array.as_binary::<i64>().clone())),
            DataType::BinaryView => Self::Bytes(Box::new(array.as_binary_view().clone())),
            DataType::FixedSizeBinary(_) => Self::Bytes(Box::new(array.as_fixed_size_binary().clone())),
            DataType::List(_) => lists(array.as_list::<i32>())?,
            DataType::LargeList(_) => lists(array.as_list::<i64>())?,
            DataType::ListView(_) => list_views(array.as_list_view::<i32>())?,
            DataType::LargeListView(_) => list_views(array.as_list_view::<i64>())?,
            DataType::FixedSizeList(..) => {
                let list = array.as_fixed_size_list();
                let size = usize::try_from(list.value_length()).unwrap_or(0);
                let ranges = (0..list.len()).map(|row| row * size..(row + 1) * size).collect();
                Self::Lists { ranges, items: Box::new(KeyColumn::new(list.values())?) }
            }
            DataType::Struct(_) => {
                Self::Rows(array.as_struct().columns().iter().map(KeyColumn::new).collect::<Result<_, _>>()?)
            }
            DataType::Dictionary(..) => dictionary(array)?,
            other => return Err(ArrowError::NotYetImplemented(format!("values of type {other} as keys"))),
        })
    }
}

fn integers<T: ArrowNativeType>(array: &ArrayRef, widen: impl Fn(T) -> i64) -> Values {
    let data = array.to_data();
    let values: ScalarBuffer<T> = ScalarBuffer::new(data.buffers()[0].clone(), data.offset(), data.len());
    Values::Integers(values.iter().map(|value| widen(*value)).collect())
}

fn doubles<T: ArrowPrimitiveType>(array: &ArrayRef, widen: impl Fn(T::Native) -> f64) -> Values {
    Values::Doubles(array.as_primitive::<T>().values().iter().map(|value| widen(*value)).collect())
}

fn decimals<T: ArrowPrimitiveType, const N: usize>(array: &ArrayRef, bytes: impl Fn(T::Native) -> [u8; N]) -> Values {
    Values::Decimals(array.as_primitive::<T>().values().iter().map(|value| shortest(&bytes(*value)).to_vec()).collect())
}

/// Without bytes that only repeat the sign.
fn shortest(bytes: &[u8]) -> &[u8] {
    let mut length = bytes.len();
    while length > 1 {
        let sign = if bytes[length - 2] & 0x80 == 0 { 0x00 } else { 0xff };
        if bytes[length - 1] != sign {
            break;
        }
        length -= 1;
    }
    &bytes[..length]
}

fn months(array: &ArrayRef) -> Values {
    let bytes = |value: &arrow_array::types::IntervalMonthDayNano| {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&value.months.to_le_bytes());
        bytes[4..8].copy_from_slice(&value.days.to_le_bytes());
        bytes[8..].copy_from_slice(&value.nanoseconds.to_le_bytes());
        bytes
    };
    Values::Months(array.as_primitive::<IntervalMonthDayNanoType>().values().iter().map(bytes).collect())
}

fn lists<O: OffsetSizeTrait>(list: &GenericListArray<O>) -> Result<Values, ArrowError> {
    let range = |window: &[O]| window[0].as_usize()..window[1].as_usize();
    let ranges = list.value_offsets().windows(2).map(range).collect();
    Ok(Values::Lists { ranges, items: Box::new(KeyColumn::new(list.values())?) })
}

fn list_views<O: OffsetSizeTrait>(list: &GenericListViewArray<O>) -> Result<Values, ArrowError> {
    let range = |(offset, size): (&O, &O)| offset.as_usize()..offset.as_usize() + size.as_usize();
    let ranges = list.value_offsets().iter().zip(list.value_sizes()).map(range).collect();
    Ok(Values::Lists { ranges, items: Box::new(KeyColumn::new(list.values())?) })
}

fn dictionary(array: &ArrayRef) -> Result<Values, ArrowError> {
    let dictionary = array.as_any_dictionary();
    let keys = make_array(dictionary.keys().to_data());
    let Values::Integers(keys) = Values::of(&keys)? else {
        return Err(ArrowError::InvalidArgumentError("the keys of a dictionary are no integers".to_owned()));
    };
    let keys = keys.into_iter().map(|key| usize::try_from(key).unwrap_or(0)).collect();
    Ok(Values::Dictionary { keys, values: Box::new(KeyColumn::new(dictionary.values())?) })
}
