//! Whether a cast preserved the values of a column.

use arrow_array::{Array, ArrayRef};

use crate::canonical::canonical;

/// The first row whose value is another one. NaNs are one value, whatever their bits; so are the two zeros: an integer
/// has but one, and no other cast changes a sign.
pub fn first_changed(before: &ArrayRef, after: &ArrayRef) -> Option<usize> {
    if before.to_data() == after.to_data() {
        return None;
    }
    let (before, after) = (canonical(before), canonical(after));
    if before.to_data() == after.to_data() {
        return None;
    }
    (0..before.len()).find(|row| before.slice(*row, 1).to_data() != after.slice(*row, 1).to_data())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::builder::{Float64Builder, ListBuilder};
    use arrow_array::{Float32Array, Float64Array};

    use super::*;

    #[test]
    fn zeros_and_nans_are_one_value_and_others_are_not() {
        let odd: ArrayRef = Arc::new(Float32Array::from(vec![-0.0, f32::from_bits(0x7f80_0001), 1.5]));
        let plain: ArrayRef = Arc::new(Float32Array::from(vec![0.0, f32::NAN, 1.5]));
        assert_eq!(first_changed(&odd, &plain), None);
        let other: ArrayRef = Arc::new(Float32Array::from(vec![0.0, f32::NAN, 1.25]));
        assert_eq!(first_changed(&odd, &other), Some(2));
        let nulls: ArrayRef = Arc::new(Float64Array::from(vec![Some(0.0), None]));
        let numbers: ArrayRef = Arc::new(Float64Array::from(vec![0.0, 0.0]));
        assert_eq!(first_changed(&nulls, &numbers), Some(1));
    }

    #[test]
    fn lists_are_compared_by_their_values() {
        let list = |values: [f64; 2]| {
            let mut lists = ListBuilder::new(Float64Builder::new());
            for value in values {
                lists.append_value([Some(value)]);
            }
            Arc::new(lists.finish()) as ArrayRef
        };
        assert_eq!(first_changed(&list([1.0, -0.0]), &list([1.0, 0.0])), None);
        assert_eq!(first_changed(&list([1.0, -0.5]), &list([1.0, 0.0])), Some(1));
        assert_eq!(first_changed(&list([1.0, -0.5]).slice(1, 1), &list([9.0, 0.0]).slice(1, 1)), Some(0));
    }
}
