//! Texts: characters are Unicode's code points, positions count from 1.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array, StringArray};
use arrow_schema::DataType as Arrow;
use arrow_string::concat_elements::concat_elements_utf8_many;
use arrow_string::like;
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;
use udfleet_proto::v1::operation::Operator;

use super::{case, columns, unknown};
use crate::value::Value;
use crate::{cast_array, unexpected};

/// The most texts and numbers that one of these functions takes, CONCAT aside.
const MAX_TEXTS: usize = 3;
const MAX_NUMBERS: usize = 2;

/// A function of texts.
pub fn call(operator: Operator, operands: &[&Value], rows: usize) -> Result<ArrayRef, Error> {
    match operator {
        Operator::Like | Operator::StartsWith | Operator::EndsWith => return matches(operator, operands),
        Operator::CharLength | Operator::Position => return positions(operator, operands, rows),
        Operator::Concat => return concat(&arguments(operator, operands, rows, operands.len())?, rows),
        _ => {}
    }
    let integers = match operator {
        Operator::Substring => operands.len().saturating_sub(1),
        Operator::Repeat | Operator::Lpad | Operator::Rpad => 1,
        _ => 0,
    };
    // Those with integers have them behind the first text.
    let Some((first, rest)) = operands.split_first() else { return Err(unknown(operator, operands)) };
    let (numbers, texts) = rest.split_at(integers.min(rest.len()));
    let numbers = columns(numbers, rows)?;
    let numbers = numbers.iter().map(|array| cast_array(array, &Arrow::Int64)).collect::<Result<Vec<_>, _>>()?;
    let numbers: Vec<&Int64Array> = numbers.iter().map(|array| array.as_primitive::<Int64Type>()).collect();
    let texts: Vec<&Value> = std::iter::once(*first).chain(texts.iter().copied()).collect();
    let texts = arguments(operator, operands, rows, texts.len()).and_then(|_| strings(&texts, rows))?;
    if let (Operator::Upper | Operator::Lower, [only], []) = (operator, &texts[..], &numbers[..])
        && let Some(done) = case::ascii(operator, only).map_err(unexpected)?
    {
        return Ok(done);
    }
    if texts.len() > MAX_TEXTS || numbers.len() > MAX_NUMBERS {
        return Err(unknown(operator, operands));
    }
    let mut made = Texts::new(operator, rows);
    let (mut text, mut number) = ([""; MAX_TEXTS], [0; MAX_NUMBERS]);
    for row in 0..rows {
        if texts.iter().any(|array| array.is_null(row)) || numbers.iter().any(|array| array.is_null(row)) {
            made.null();
            continue;
        }
        texts.iter().zip(&mut text).for_each(|(array, text)| *text = array.value(row));
        numbers.iter().zip(&mut number).for_each(|(array, number)| *number = array.value(row));
        one(operator, &text[..texts.len()], &number[..numbers.len()], row, &mut made, operands)?;
    }
    Ok(made.finish())
}

fn one(
    operator: Operator,
    text: &[&str],
    number: &[i64],
    row: usize,
    made: &mut Texts,
    operands: &[&Value],
) -> Result<(), Error> {
    match (operator, text, number) {
        (Operator::Upper, [text], []) => made.push(&text.to_uppercase(), row),
        (Operator::Lower, [text], []) => made.push(&text.to_lowercase(), row),
        (Operator::Reverse, [text], []) => made.push(&text.chars().rev().collect::<String>(), row),
        (Operator::Trim, [text, rest @ ..], []) => made.push(text.trim_matches(|c| removed(rest, c)), row),
        (Operator::Ltrim, [text, rest @ ..], []) => made.push(text.trim_start_matches(|c| removed(rest, c)), row),
        (Operator::Rtrim, [text, rest @ ..], []) => made.push(text.trim_end_matches(|c| removed(rest, c)), row),
        (Operator::Replace, [text, "", _], []) => made.push(text, row),
        (Operator::Replace, [text, from, to], []) => {
            let count = text.matches(from).count();
            made.reserve(text.len() + count * to.len(), row)?;
            made.push(&text.replace(from, to), row)
        }
        (Operator::Substring, [text], [start, length @ ..]) => {
            if length.first().is_some_and(|length| *length < 0) {
                made.null();
                return Ok(());
            }
            made.push(substring(text, *start, length.first().copied()), row)
        }
        (Operator::Repeat, [text], [times]) => {
            let times = usize::try_from(*times).unwrap_or(0);
            made.reserve(text.len().saturating_mul(times), row)?;
            made.push(&text.repeat(times), row)
        }
        (Operator::Lpad | Operator::Rpad, [text, filling], [length]) => {
            pad(operator, text, filling, *length, row, made)
        }
        _ => Err(unknown(operator, operands)),
    }
}

fn removed(characters: &[&str], character: char) -> bool {
    characters.first().map_or(character == ' ', |all| all.contains(character))
}

/// The characters from `start`, which counts from the end where it is negative; 0 is as 1.
fn substring(text: &str, start: i64, length: Option<i64>) -> &str {
    let skipped = match start {
        0 | 1 => 0,
        2.. => start - 1,
        _ => {
            let count = text.chars().count() as i64;
            if -start > count {
                return "";
            }
            count + start
        }
    };
    let from = byte_of(text, skipped);
    let rest = &text[from..];
    length.map_or(rest, |length| &rest[..byte_of(rest, length)])
}

/// The byte at which the n-th character starts, or the end.
fn byte_of(text: &str, characters: i64) -> usize {
    let characters = usize::try_from(characters).unwrap_or(0);
    text.char_indices().nth(characters).map_or(text.len(), |(byte, _)| byte)
}

fn pad(operator: Operator, text: &str, filling: &str, length: i64, row: usize, made: &mut Texts) -> Result<(), Error> {
    let count = text.chars().count() as i64;
    if length < 0 || (filling.is_empty() && length > count) {
        made.null();
        return Ok(());
    }
    if length <= count {
        return made.push(&text[..byte_of(text, length)], row);
    }
    let missing = (length - count) as usize;
    made.reserve(missing.saturating_add(text.len()), row)?;
    let filled: String = filling.chars().cycle().take(missing).collect();
    let padded = if operator == Operator::Lpad { filled + text } else { text.to_owned() + &filled };
    made.push(&padded, row)
}

fn matches(operator: Operator, operands: &[&Value]) -> Result<ArrayRef, Error> {
    let [value, other] = operands else { return Err(unknown(operator, operands)) };
    let kernel = match operator {
        Operator::Like => like::like,
        Operator::StartsWith => like::starts_with,
        _ => like::ends_with,
    };
    let found = kernel(value.datum().as_ref(), other.datum().as_ref()).map_err(unexpected)?;
    Ok(Arc::new(found))
}

fn positions(operator: Operator, operands: &[&Value], rows: usize) -> Result<ArrayRef, Error> {
    let wanted = if operator == Operator::Position { 2 } else { 1 };
    let texts = arguments(operator, operands, rows, wanted)?;
    let count = |text: &str| text.chars().count() as i64;
    let numbers = (0..rows).map(|row| {
        if texts.iter().any(|array| array.is_null(row)) {
            return None;
        }
        Some(match &texts[..] {
            [text] => count(text.value(row)),
            [needle, text] => text.value(row).find(needle.value(row)).map_or(0, |at| count(&text.value(row)[..at]) + 1),
            _ => 0,
        })
    });
    Ok(Arc::new(numbers.collect::<Int64Array>()))
}

fn concat(texts: &[StringArray], rows: usize) -> Result<ArrayRef, Error> {
    let bytes = |array: &StringArray| (array.offsets()[array.len()] - array.offsets()[0]) as usize;
    if texts.iter().map(bytes).sum::<usize>() <= i32::MAX as usize {
        let texts: Vec<&StringArray> = texts.iter().collect();
        return Ok(Arc::new(concat_elements_utf8_many(&texts).map_err(unexpected)?));
    }
    let mut made = Texts::new(Operator::Concat, rows);
    let mut joined = String::new();
    for row in 0..rows {
        joined.clear();
        if texts.iter().any(|array| array.is_null(row)) {
            made.null();
            continue;
        }
        texts.iter().for_each(|array| joined.push_str(array.value(row)));
        made.push(&joined, row)?;
    }
    Ok(made.finish())
}

fn arguments(operator: Operator, operands: &[&Value], rows: usize, wanted: usize) -> Result<Vec<StringArray>, Error> {
    let texts = operands.iter().filter(|value| matches!(value.data_type(), Arrow::Utf8)).count();
    if wanted == 0 || texts != wanted {
        return Err(unknown(operator, operands));
    }
    if texts < operands.len() { Ok(Vec::new()) } else { strings(operands, rows) }
}

fn strings(operands: &[&Value], rows: usize) -> Result<Vec<StringArray>, Error> {
    Ok(columns(operands, rows)?.iter().map(|array| array.as_string::<i32>().clone()).collect())
}

/// Texts that are being made, within the 2 GiB that an Arrow column of them holds.
struct Texts {
    operator: Operator,
    builder: StringBuilder,
    bytes: usize,
}

impl Texts {
    fn new(operator: Operator, rows: usize) -> Self {
        Self { operator, builder: StringBuilder::with_capacity(rows, 0), bytes: 0 }
    }

    /// Refuses what would be too large, before it is made.
    fn reserve(&self, bytes: usize, row: usize) -> Result<(), Error> {
        if self.bytes.saturating_add(bytes) <= i32::MAX as usize {
            return Ok(());
        }
        let message = format!("results of {} take more than 2 GiB in one batch", self.operator.as_str_name());
        let error = Error::new(ErrorCode::LimitExceeded, message).hint("send smaller batches");
        Err(error.with(|info| info.row = Some(row as u64)))
    }

    fn push(&mut self, text: &str, row: usize) -> Result<(), Error> {
        self.reserve(text.len(), row)?;
        self.bytes += text.len();
        self.builder.append_value(text);
        Ok(())
    }

    fn null(&mut self) {
        self.builder.append_null();
    }

    fn finish(mut self) -> ArrayRef {
        Arc::new(self.builder.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::substring;

    #[test]
    fn positions_count_characters() {
        assert_eq!(substring("héllo", 2, Some(3)), "éll");
        assert_eq!((substring("abc", 0, Some(2)), substring("abc", 1, None)), ("ab", "abc"));
        assert_eq!((substring("abc", -2, None), substring("abc", -4, None)), ("bc", ""));
        assert_eq!((substring("abc", 9, None), substring("abc", 3, Some(i64::MAX))), ("", "c"));
    }
}
