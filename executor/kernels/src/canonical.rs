//! Canonical bit patterns: floating-point numbers have two zeros and many NaNs, which SQL treats as equal. `=`, groups
//! and DISTINCT compare columns in this form.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, make_array};
use arrow_cast::cast;
use arrow_schema::DataType as Arrow;
use udfleet_proto::key::{canonical_f32, canonical_f64};

/// The column with one zero and one NaN, at any depth; the array itself where it has no other ones.
#[must_use]
pub fn canonical(array: &ArrayRef) -> ArrayRef {
    match array.data_type() {
        Arrow::Float16 => cast(array, &Arrow::Float32).map_or_else(|_| Arc::clone(array), |wide| canonical(&wide)),
        Arrow::Float32 => {
            let values = array.as_primitive::<Float32Type>();
            if !any(values.values(), |value| value.is_nan() || value.to_bits() == (-0.0_f32).to_bits()) {
                return Arc::clone(array);
            }
            Arc::new(values.unary::<_, Float32Type>(canonical_f32))
        }
        Arrow::Float64 => {
            let values = array.as_primitive::<Float64Type>();
            if !any(values.values(), |value| value.is_nan() || value.to_bits() == (-0.0_f64).to_bits()) {
                return Arc::clone(array);
            }
            Arc::new(values.unary::<_, Float64Type>(canonical_f64))
        }
        kind if kind.is_nested() && has_floats(kind) => {
            let data = array.to_data();
            let parts = data.child_data().iter().map(|child| canonical(&make_array(child.clone())).to_data()).collect();
            data.into_builder().child_data(parts).build().map_or_else(|_| Arc::clone(array), make_array)
        }
        _ => Arc::clone(array),
    }
}

/// A block at a time without leaving early: that is what the compiler makes SIMD of.
fn any<T: Copy>(values: &[T], odd: impl Fn(T) -> bool) -> bool {
    values.chunks(256).any(|block| block.iter().fold(false, |found, value| found | odd(*value)))
}

fn has_floats(kind: &Arrow) -> bool {
    match kind {
        Arrow::List(part)
        | Arrow::LargeList(part)
        | Arrow::ListView(part)
        | Arrow::LargeListView(part)
        | Arrow::FixedSizeList(part, _)
        | Arrow::Map(part, _) => has_floats(part.data_type()),
        Arrow::Struct(fields) => fields.iter().any(|field| has_floats(field.data_type())),
        Arrow::Dictionary(_, values) => has_floats(values),
        // Half precision becomes single precision, which a type that holds it does not allow for: it is compared as it is.
        kind => matches!(kind, Arrow::Float32 | Arrow::Float64),
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::builder::{Float64Builder, ListBuilder};
    use arrow_array::{Float32Array, Float64Array};

    use super::*;

    #[test]
    fn zeros_and_nans_become_one_and_other_columns_are_not_touched() {
        let odd: ArrayRef = Arc::new(Float32Array::from(vec![Some(-0.0), Some(f32::from_bits(0xffc0_0001)), None]));
        let plain: ArrayRef = Arc::new(Float32Array::from(vec![Some(0.0), Some(f32::NAN), None]));
        assert_eq!(canonical(&odd).to_data(), plain.to_data());
        let numbers: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 0.0, -1.0]));
        assert!(Arc::ptr_eq(&canonical(&numbers), &numbers));
    }

    #[test]
    fn so_they_do_inside_lists() {
        let list = |value| {
            let mut lists = ListBuilder::new(Float64Builder::new());
            lists.append_value([Some(1.0), Some(value)]);
            Arc::new(lists.finish()) as ArrayRef
        };
        assert_eq!(canonical(&list(-0.0)).to_data(), canonical(&list(0.0)).to_data());
        assert_ne!(canonical(&list(-1.0)).to_data(), canonical(&list(0.0)).to_data());
    }
}
