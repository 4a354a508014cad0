//! How large arrays are once each value is written out. Layouts whose values share bytes (views, dictionaries, list views,
//! runs) let a frame of a few kilobytes stand for terabytes, so this is computed before anything converts them.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::ByteViewType;
use arrow_array::{Array, ArrayRef, GenericByteViewArray, GenericListArray, GenericListViewArray, OffsetSizeTrait};
use arrow_array::{RecordBatch, make_array};
use arrow_schema::{DataType, FieldRef, Fields, Schema};

/// What a value takes besides its own bytes: an offset. Also what a value of no bytes is counted with.
const OFFSET_BYTES: u64 = 8;

/// True where values of this type may share bytes, or have none.
#[must_use]
pub fn may_expand(data_type: &DataType) -> bool {
    match data_type {
        DataType::Null
        | DataType::Utf8View
        | DataType::BinaryView
        | DataType::ListView(_)
        | DataType::LargeListView(_)
        | DataType::Dictionary(..)
        | DataType::RunEndEncoded(..)
        | DataType::FixedSizeBinary(0)
        | DataType::FixedSizeList(_, 0) => true,
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => may_expand(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| may_expand(field.data_type())),
        DataType::Union(fields, _) => fields.iter().any(|(_, field)| may_expand(field.data_type())),
        _ => false,
    }
}

/// The bytes of a batch's columns as plain values, or more; 0 for columns that can't be larger than their buffers.
#[must_use]
pub fn expanded_bytes(batch: &RecordBatch) -> u64 {
    batch.columns().iter().map(array_bytes).fold(0, u64::saturating_add)
}

/// The same for one array.
#[must_use]
pub fn array_bytes(array: &ArrayRef) -> u64 {
    if may_expand(array.data_type()) { total(array) } else { 0 }
}

/// The schema with bytes in place of texts that are views, where it has any. The Arrow reader validates a text once for each
/// view of it: a batch has to be measured before that.
#[must_use]
pub fn without_text_views(schema: &Schema) -> Option<Schema> {
    let fields: Fields = schema.fields().iter().map(field_of_bytes).collect();
    (fields != *schema.fields()).then(|| Schema::new_with_metadata(fields, schema.metadata().clone()))
}

fn field_of_bytes(field: &FieldRef) -> FieldRef {
    let data_type = type_of_bytes(field.data_type());
    if data_type == *field.data_type() {
        return Arc::clone(field);
    }
    Arc::new(field.as_ref().clone().with_data_type(data_type))
}

fn type_of_bytes(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View => DataType::BinaryView,
        DataType::Dictionary(keys, values) => DataType::Dictionary(keys.clone(), Box::new(type_of_bytes(values))),
        DataType::List(item) => DataType::List(field_of_bytes(item)),
        DataType::LargeList(item) => DataType::LargeList(field_of_bytes(item)),
        DataType::ListView(item) => DataType::ListView(field_of_bytes(item)),
        DataType::LargeListView(item) => DataType::LargeListView(field_of_bytes(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(field_of_bytes(item), *size),
        DataType::Map(entries, sorted) => DataType::Map(field_of_bytes(entries), *sorted),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field_of_bytes).collect()),
        DataType::RunEndEncoded(ends, values) => DataType::RunEndEncoded(Arc::clone(ends), field_of_bytes(values)),
        DataType::Union(fields, mode) => {
            DataType::Union(fields.iter().map(|(id, field)| (id, field_of_bytes(field))).collect(), *mode)
        }
        other => other.clone(),
    }
}

/// The bytes of each value.
enum Sizes {
    /// All alike.
    Uniform(u64),
    Each(Vec<u64>),
}

impl Sizes {
    fn get(&self, index: usize) -> u64 {
        match self {
            Self::Uniform(size) => *size,
            Self::Each(sizes) => sizes.get(index).copied().unwrap_or_default(),
        }
    }

    fn largest(&self) -> u64 {
        match self {
            Self::Uniform(size) => *size,
            Self::Each(sizes) => sizes.iter().copied().max().unwrap_or_default(),
        }
    }

    fn plus(self, other: &Self) -> Self {
        match (self, other) {
            (Self::Uniform(a), Self::Uniform(b)) => Self::Uniform(a.saturating_add(*b)),
            (Self::Each(sizes), other) => {
                let sizes = sizes.into_iter().enumerate();
                Self::Each(sizes.map(|(index, size)| size.saturating_add(other.get(index))).collect())
            }
            (Self::Uniform(a), Self::Each(sizes)) => {
                Self::Each(sizes.iter().map(|size| size.saturating_add(a)).collect())
            }
        }
    }

    /// Answers what the values of a range take together.
    fn ranges(self) -> RangeSums {
        match self {
            Self::Uniform(size) => RangeSums::Uniform(size),
            Self::Each(sizes) => {
                let ends = sizes.into_iter().scan(0_u64, |sum, size| {
                    *sum = sum.saturating_add(size);
                    Some(*sum)
                });
                RangeSums::Before(std::iter::once(0).chain(ends).collect())
            }
        }
    }
}

enum RangeSums {
    Uniform(u64),
    /// The bytes of all values before each.
    Before(Vec<u64>),
}

impl RangeSums {
    fn of(&self, start: usize, length: usize) -> u64 {
        match self {
            Self::Uniform(size) => size.saturating_mul(length as u64),
            Self::Before(sums) => {
                let before = |index: usize| sums.get(index).or(sums.last()).copied().unwrap_or_default();
                before(start.saturating_add(length)).saturating_sub(before(start))
            }
        }
    }
}

fn times(size: u64, count: usize) -> u64 {
    size.saturating_mul(count as u64)
}

/// All values of an array.
fn total(array: &ArrayRef) -> u64 {
    if !may_expand(array.data_type()) {
        return array.get_buffer_memory_size() as u64;
    }
    match array.data_type() {
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) | DataType::Map(..) => {
            total(&child(array)).saturating_add(times(OFFSET_BYTES, array.len()))
        }
        DataType::Struct(_) => array.as_struct().columns().iter().map(total).fold(0, u64::saturating_add),
        _ => match sizes(array) {
            Sizes::Uniform(size) => times(size, array.len()),
            Sizes::Each(sizes) => sizes.into_iter().fold(0, u64::saturating_add),
        },
    }
}

fn child(array: &ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::List(_) => array.as_list::<i32>().values().clone(),
        DataType::LargeList(_) => array.as_list::<i64>().values().clone(),
        DataType::FixedSizeList(..) => array.as_fixed_size_list().values().clone(),
        _ => Arc::new(array.as_map().entries().clone()),
    }
}

fn sizes(array: &ArrayRef) -> Sizes {
    match array.data_type() {
        DataType::Dictionary(..) => of_dictionary(array),
        DataType::Utf8View => of_views(array.as_string_view()),
        DataType::BinaryView => of_views(array.as_binary_view()),
        DataType::Utf8 => of_lengths(array.as_string::<i32>().offsets().lengths()),
        DataType::LargeUtf8 => of_lengths(array.as_string::<i64>().offsets().lengths()),
        DataType::Binary => of_lengths(array.as_binary::<i32>().offsets().lengths()),
        DataType::LargeBinary => of_lengths(array.as_binary::<i64>().offsets().lengths()),
        DataType::List(_) => of_list(array.as_list::<i32>()),
        DataType::LargeList(_) => of_list(array.as_list::<i64>()),
        DataType::ListView(_) => of_list_view(array.as_list_view::<i32>()),
        DataType::LargeListView(_) => of_list_view(array.as_list_view::<i64>()),
        DataType::Map(..) => {
            let map = array.as_map();
            let entries = sizes(&child(array)).ranges();
            let starts = map.value_offsets().iter().zip(map.offsets().lengths());
            Sizes::Each(starts.map(|(start, length)| with_offset(entries.of(*start as usize, length))).collect())
        }
        DataType::FixedSizeList(_, size) => of_fixed(&sizes(&child(array)), usize::try_from(*size).unwrap_or(0), array),
        DataType::Struct(_) => {
            let columns = array.as_struct().columns();
            columns.iter().fold(Sizes::Uniform(0), |sum, column| sum.plus(&sizes(column)))
        }
        DataType::RunEndEncoded(..) | DataType::Union(..) => {
            // Each counts like the largest value.
            let data = array.to_data();
            let children = data.child_data().iter().map(|child| sizes(&make_array(child.clone())).largest());
            Sizes::Uniform(children.max().unwrap_or_default().max(OFFSET_BYTES))
        }
        DataType::FixedSizeBinary(width) => Sizes::Uniform(u64::try_from(*width).unwrap_or(0).max(1)),
        DataType::Boolean => Sizes::Uniform(1),
        other => Sizes::Uniform(other.primitive_width().map_or(OFFSET_BYTES, |width| width as u64)),
    }
}

fn with_offset(bytes: u64) -> u64 {
    bytes.saturating_add(OFFSET_BYTES)
}

fn of_lengths(lengths: impl Iterator<Item = usize>) -> Sizes {
    Sizes::Each(lengths.map(|length| with_offset(length as u64)).collect())
}

fn of_views<T: ByteViewType>(views: &GenericByteViewArray<T>) -> Sizes {
    of_lengths(views.lengths().map(|length| length as usize))
}

fn of_list<O: OffsetSizeTrait>(list: &GenericListArray<O>) -> Sizes {
    let items = sizes(list.values()).ranges();
    let starts = list.value_offsets().iter().zip(list.offsets().lengths());
    Sizes::Each(starts.map(|(start, length)| with_offset(items.of(start.as_usize(), length))).collect())
}

fn of_list_view<O: OffsetSizeTrait>(list: &GenericListViewArray<O>) -> Sizes {
    let items = sizes(list.values()).ranges();
    let spans = list.value_offsets().iter().zip(list.value_sizes());
    Sizes::Each(spans.map(|(start, size)| with_offset(items.of(start.as_usize(), size.as_usize()))).collect())
}

fn of_fixed(items: &Sizes, size: usize, array: &ArrayRef) -> Sizes {
    match items {
        Sizes::Uniform(item) => Sizes::Uniform(with_offset(times(*item, size))),
        Sizes::Each(sizes) => {
            let value = |index: usize| {
                let items = sizes.iter().skip(index.saturating_mul(size)).take(size);
                with_offset(items.copied().fold(0, u64::saturating_add))
            };
            Sizes::Each((0..array.len()).map(value).collect())
        }
    }
}

fn of_dictionary(array: &ArrayRef) -> Sizes {
    let dictionary = array.as_any_dictionary();
    let values = sizes(dictionary.values());
    if dictionary.values().is_empty() {
        return Sizes::Uniform(OFFSET_BYTES);
    }
    match values {
        Sizes::Uniform(size) => Sizes::Uniform(size),
        Sizes::Each(sizes) => {
            let keys = dictionary.normalized_keys().into_iter().enumerate();
            let value = |(row, key): (usize, usize)| {
                if array.is_null(row) { OFFSET_BYTES } else { sizes.get(key).copied().unwrap_or_default() }
            };
            Sizes::Each(keys.map(value).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::builder::StringViewBuilder;
    use arrow_array::types::Int32Type;
    use arrow_array::{DictionaryArray, Int32Array, Int64Array, ListArray, ListViewArray, NullArray};
    use arrow_array::{StringArray, StructArray};
    use arrow_buffer::{OffsetBuffer, ScalarBuffer};
    use arrow_schema::Field;

    use super::*;

    const MIB: usize = 1 << 20;

    fn bytes(column: ArrayRef) -> u64 {
        expanded_bytes(&RecordBatch::try_from_iter_with_nullable([("a", column, true)]).unwrap())
    }

    fn dictionary(values: ArrayRef, rows: usize) -> ArrayRef {
        Arc::new(DictionaryArray::<Int32Type>::new(Int32Array::from(vec![0; rows]), values))
    }

    fn assert_about(column: ArrayRef, mebibytes: u64) {
        let found = bytes(column);
        assert!((mebibytes << 20..(mebibytes << 20) + (1 << 20)).contains(&found), "{found}");
    }

    #[test]
    fn plain_columns_are_as_large_as_their_buffers() {
        assert_eq!(bytes(Arc::new(Int64Array::from(vec![1, 2]))), 0);
        assert_eq!(bytes(Arc::new(StringArray::from(vec!["x".repeat(MIB)]))), 0);
    }

    #[test]
    fn views_count_their_text_each_time() {
        let mut views = StringViewBuilder::new();
        let block = views.append_block(vec![b'x'; MIB].into());
        for _ in 0..1000 {
            views.try_append_view(block, 0, MIB as u32).unwrap();
        }
        assert_about(Arc::new(views.finish()), 1000);
    }

    #[test]
    fn dictionaries_of_dictionaries_multiply() {
        let text: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(MIB)]));
        assert_about(dictionary(Arc::clone(&text), 100), 100);
        // A struct of a list of a hundred times the text, named a hundred times.
        let inner = dictionary(text, 100);
        let item = Arc::new(Field::new("item", inner.data_type().clone(), true));
        let list: ArrayRef = Arc::new(ListArray::new(item, OffsetBuffer::from_lengths([100]), inner, None));
        let field = Arc::new(Field::new("l", list.data_type().clone(), true));
        let nested: ArrayRef = Arc::new(StructArray::from(vec![(field, list)]));
        assert_about(dictionary(nested, 100), 10_000);
    }

    #[test]
    fn a_long_value_that_few_rows_name_is_not_counted_for_all() {
        let keys = Int32Array::from_iter((0..1000).map(|row| (row % 10 != 0).then_some(row % 2)));
        let values = StringArray::from(vec!["x".repeat(MIB), "y".to_owned()]);
        assert_about(Arc::new(DictionaryArray::<Int32Type>::new(keys, Arc::new(values))), 400);
    }

    #[test]
    fn list_views_may_overlap() {
        let text: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(MIB); 4]));
        let item = Arc::new(Field::new("item", DataType::Utf8, true));
        let (starts, sizes) = (ScalarBuffer::from(vec![0_i32; 50]), ScalarBuffer::from(vec![4_i32; 50]));
        assert_about(Arc::new(ListViewArray::new(item, starts, sizes, text, None)), 200);
    }

    #[test]
    fn rows_without_bytes_count() {
        let rows = 1 << 40;
        assert_eq!(bytes(Arc::new(NullArray::new(rows))), (rows as u64) * OFFSET_BYTES);
    }
}
