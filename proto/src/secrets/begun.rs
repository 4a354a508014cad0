//! Whether a text ends within a value of which the rest may follow.

use memchr::memmem;

/// What a value begins with is looked for in so many bytes at once.
const HEAD: usize = 6;

/// The most bytes at the end of `output` that `value` begins with, less than all of it. Takes a time that grows with the
/// value's length, however often it repeats itself.
pub(super) fn begun(output: &[u8], value: &[u8]) -> usize {
    let most = output.len().min(value.len().saturating_sub(1));
    let tail = &output[output.len() - most..];
    let head = &value[..value.len().min(HEAD)];
    // Most output holds nothing of it. A head that is cut off can only stand at the very end.
    let from = memmem::find(tail, head).unwrap_or_else(|| tail.len().saturating_sub(head.len().saturating_sub(1)));
    longest_border(&tail[from..], value)
}

/// As Knuth, Morris and Pratt; `value` is longer than `tail`.
fn longest_border(tail: &[u8], value: &[u8]) -> usize {
    // borders[n]: the longest proper suffix of the first n + 1 bytes that they begin with.
    let mut borders = Vec::with_capacity(tail.len());
    let grow = |borders: &[usize], mut length: usize, byte: u8| {
        while length > 0 && value[length] != byte {
            length = borders[length - 1];
        }
        length + usize::from(value[length] == byte)
    };
    let mut border = 0;
    // The first byte alone has no proper suffix.
    borders.push(border);
    for byte in value.iter().take(tail.len()).skip(1) {
        border = grow(&borders, border, *byte);
        borders.push(border);
    }
    tail.iter().fold(0, |length, byte| grow(&borders, length, *byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By trying all lengths.
    fn tried(output: &[u8], value: &[u8]) -> usize {
        let most = output.len().min(value.len() - 1);
        (0..=most).rev().find(|length| output.ends_with(&value[..*length])).unwrap_or(0)
    }

    #[test]
    fn it_is_the_longest_beginning_at_the_end() {
        let value = b"abcabcabd";
        for (output, expected) in [
            (&b""[..], 0),
            (b"abcabcabd", 0),
            (b"abcabcab", 8),
            (b"xxabcabcabca", 7),
            (b"abcab", 5),
            (b"abcabcabcabx", 0),
            (b"xa", 1),
        ] {
            assert_eq!(begun(output, value), expected, "{}", String::from_utf8_lossy(output));
        }
    }

    #[test]
    fn of_all_short_texts_of_two_letters_the_same_comes_out() {
        let text = |bits: usize, length: usize| -> Vec<u8> {
            (0..length).map(|at| if bits >> at & 1 == 0 { b'a' } else { b'b' }).collect()
        };
        for length in 1..=8 {
            for value in (0..1 << length).map(|bits| text(bits, length)) {
                for output in (0..1 << 9).map(|bits| text(bits, 9)) {
                    assert_eq!(begun(&output, &value), tried(&output, &value), "{output:?} {value:?}");
                }
            }
        }
    }

    /// To try all lengths would take 4 million times a comparison of 4 MiB.
    #[test]
    fn a_value_that_repeats_itself_takes_no_longer() {
        let same = vec![b'x'; 4 << 20];
        let value = [same.as_slice(), b"y", &same].concat();
        assert_eq!(begun(&vec![b'x'; 8 << 20], &value), same.len());
    }
}
