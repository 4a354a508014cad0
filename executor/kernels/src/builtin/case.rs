//! UPPER and LOWER. ASCII, the common case, is converted as one piece of memory.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, StringArray};
use arrow_buffer::{Buffer, OffsetBuffer};
use arrow_schema::ArrowError;
use udfleet_proto::v1::operation::Operator;

/// The texts in the other case; `None` where there is more than ASCII among them.
///
/// # Errors
/// Never: what is made are the same lengths of ASCII.
pub(super) fn ascii(operator: Operator, texts: &StringArray) -> Result<Option<ArrayRef>, ArrowError> {
    let offsets = texts.offsets();
    let bytes = &texts.values()[offsets[0] as usize..offsets[texts.len()] as usize];
    if !bytes.is_ascii() {
        return Ok(None);
    }
    let changed = if operator == Operator::Upper { bytes.to_ascii_uppercase() } else { bytes.to_ascii_lowercase() };
    let offsets = OffsetBuffer::from_lengths(offsets.lengths());
    let made = StringArray::try_new(offsets, Buffer::from_vec(changed), texts.nulls().cloned())?;
    Ok(Some(Arc::new(made)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(operator: Operator, texts: &StringArray) -> Vec<Option<String>> {
        let made = ascii(operator, texts).unwrap().unwrap();
        let made = made.as_any().downcast_ref::<StringArray>().unwrap();
        made.iter().map(|text| text.map(str::to_owned)).collect()
    }

    #[test]
    fn slices_and_nulls_stay_and_other_letters_are_left_to_others() {
        let texts = StringArray::from(vec![Some("é"), Some("aB-1"), None, Some(""), Some("Zz")]);
        assert!(ascii(Operator::Upper, &texts).unwrap().is_none());
        let upper = changed(Operator::Upper, &texts.slice(1, 3));
        assert_eq!(upper, [Some("AB-1".to_owned()), None, Some(String::new())]);
        assert_eq!(changed(Operator::Lower, &texts.slice(4, 1)), [Some("zz".to_owned())]);
        assert!(changed(Operator::Lower, &texts.slice(5, 0)).is_empty());
    }
}
