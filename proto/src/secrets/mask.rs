//! Masks the values of secrets in text: in what an interpreter prints, and in what it fails with.

use std::borrow::Cow;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::begun::begun;
use crate::error::Error;
use crate::v1::{ErrorCode, ErrorInfo, PythonException, UserMetric};

const MASK: &str = "***";
/// Shorter values, and shorter lines of values, would mask ordinary text.
const SHORTEST: usize = 6;
/// Exceptions within exceptions; deeper ones are left out.
const DEPTH: usize = 50;

/// The lines of one interpreter's secrets, and the ways in which they are usually quoted.
#[derive(Clone, Default)]
pub struct Masks(Option<Arc<Patterns>>);

struct Patterns {
    /// Longest first.
    texts: Vec<String>,
    finder: AhoCorasick,
}

impl std::fmt::Debug for Masks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} masked texts", self.expose().len())
    }
}

impl Masks {
    /// For these values.
    ///
    /// # Errors
    /// Where they are too many to look for.
    pub fn new<'v>(values: impl IntoIterator<Item = &'v [u8]>) -> Result<Self, Error> {
        let mut texts = Vec::new();
        for value in values {
            let text = String::from_utf8_lossy(value);
            for line in text.lines().map(str::trim).filter(|line| line.len() >= SHORTEST) {
                let (repr, url) = (escaped(line), percent_encoded(line));
                texts.extend([
                    repr.replace('"', "\\\""),
                    repr.replace('\'', "\\'"),
                    json_ascii(&repr.replace('"', "\\\"")),
                    url.replace("%2F", "/"),
                    url.replace("%20", "+"),
                    line.to_owned(),
                    repr,
                    url,
                ]);
            }
        }
        texts.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        texts.dedup();
        if texts.is_empty() {
            return Ok(Self::default());
        }
        // The others take time that grows with the square of a repetitive value, or a hundred times its memory.
        let kind = Some(AhoCorasickKind::ContiguousNFA);
        let finder = AhoCorasick::builder().kind(kind).match_kind(MatchKind::LeftmostLongest).build(&texts);
        let finder = finder.map_err(|error| {
            Error::new(ErrorCode::LimitExceeded, format!("the secrets of a function can't be masked: {error}"))
                .hint("name fewer or smaller secrets")
        })?;
        Ok(Self(Some(Arc::new(Patterns { texts, finder }))))
    }

    /// What is masked, longest first.
    #[must_use]
    pub fn expose(&self) -> &[String] {
        self.0.as_deref().map_or(&[], |patterns| &patterns.texts)
    }

    /// The text without values.
    #[must_use]
    pub fn mask<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match &self.0 {
            Some(patterns) if patterns.finder.is_match(text) => {
                Cow::Owned(patterns.finder.replace_all(text, &vec![MASK; patterns.texts.len()]))
            }
            _ => Cow::Borrowed(text),
        }
    }

    /// The same in place.
    pub fn mask_in(&self, text: &mut String) {
        if let Cow::Owned(masked) = self.mask(text) {
            *text = masked;
        }
    }

    /// Masks output of which more is to come; returns where it may be cut: behind that, a value may have begun.
    pub fn mask_open(&self, output: &mut Vec<u8>) -> usize {
        let Some(patterns) = &self.0 else { return output.len() };
        if patterns.finder.is_match(output.as_slice()) {
            *output = patterns.finder.replace_all_bytes(output, &vec![MASK; patterns.texts.len()]);
        }
        let open = patterns.texts.iter().map(|value| begun(output, value.as_bytes())).max();
        output.len() - open.unwrap_or(0)
    }

    /// The error without values.
    pub fn mask_error(&self, error: &mut ErrorInfo) {
        if self.0.is_none() {
            return;
        }
        for text in [&mut error.message, &mut error.hint, &mut error.value] {
            self.mask_in(text);
        }
        if let Some(exception) = &mut error.exception {
            self.exception(exception, DEPTH);
        }
        if let Some(exit) = &mut error.exit {
            self.mask_in(&mut exit.last_stderr);
        }
    }

    /// The metric without values in its names.
    pub fn mask_metric(&self, metric: &mut UserMetric) {
        if self.0.is_none() {
            return;
        }
        self.mask_in(&mut metric.name);
        for group in &mut metric.groups {
            self.mask_in(&mut group.name);
            self.mask_in(&mut group.value);
        }
    }

    fn exception(&self, exception: &mut PythonException, depth: usize) {
        for text in [&mut exception.r#type, &mut exception.message, &mut exception.text] {
            self.mask_in(text);
        }
        exception.notes.iter_mut().for_each(|note| self.mask_in(note));
        exception.frames.iter_mut().for_each(|frame| self.mask_in(&mut frame.source));
        if depth == 0 {
            exception.cause = None;
            exception.group.clear();
        }
        if let Some(cause) = &mut exception.cause {
            self.exception(cause, depth - 1);
        }
        exception.group.iter_mut().for_each(|member| self.exception(member, depth - 1));
    }
}

/// As `repr` writes it between single quotes.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\t', "\\t")
}

/// As `json.dumps` writes what is not ASCII.
fn json_ascii(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii() {
            written.push(character);
        } else {
            let mut units = [0; 2];
            let units = character.encode_utf16(&mut units);
            units.iter().for_each(|unit| written.push_str(&format!("\\u{unit:04x}")));
        }
    }
    written
}

/// As it stands in a URL.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masks(value: &str) -> Masks {
        Masks::new([value.as_bytes()]).unwrap()
    }

    #[test]
    fn what_finds_values_is_made_in_a_time_that_grows_with_them_only() {
        let repeated = "x".repeat(64 << 10);
        let masks = Masks::new([repeated.as_bytes()]).unwrap();
        let finder = &masks.0.as_ref().unwrap().finder;
        assert_eq!(finder.kind(), AhoCorasickKind::ContiguousNFA);
        assert_eq!(masks.mask(&format!("a {repeated} b")), "a *** b");
    }

    #[test]
    fn values_and_their_lines_are_masked() {
        let masks = masks("s3cr3t-value\n");
        assert_eq!(masks.mask("key=s3cr3t-value!"), "key=***!");
        assert!(matches!(masks.mask("nothing"), Cow::Borrowed("nothing")));
        let pem = Masks::new([&b"-----BEGIN-----\nabcdefghij\n"[..]]).unwrap();
        assert_eq!(pem.mask("abcdefghij"), "***");
        assert_eq!(pem.mask("'-----BEGIN-----\\nabcdefghij'"), "'***\\n***'");
    }

    #[test]
    fn quoted_values_are_masked() {
        let masks = masks(r#"a\b"c/d e"#);
        for quoted in [r#"'a\\b"c/d e'"#, r#""a\\b\"c/d e""#, "https://x/?key=a%5Cb%22c%2Fd%20e"] {
            assert!(masks.mask(quoted).contains("***"), "{quoted}");
        }
    }

    #[test]
    fn values_are_masked_as_pythons_libraries_quote_them() {
        for (value, quoted) in [
            ("ab/cd+ef==", "quote: ab/cd%2Bef%3D%3D"),
            ("with a space", "urlencode: with+a+space"),
            ("gr\u{fc}n-\u{1f511}", r#"json: "gr\u00fcn-\ud83d\udd11""#),
            (r#"it's "both""#, r#"repr: 'it\'s "both"'"#),
        ] {
            assert!(masks(value).mask(quoted).contains("***"), "{quoted}");
        }
    }

    #[test]
    fn short_values_mask_nothing() {
        assert_eq!(masks("on").mask("one on one"), "one on one");
    }

    #[test]
    fn output_is_never_cut_within_a_value() {
        let masks = Masks::new([&b"s3cr3t-value"[..], b"value-of-another"]).unwrap();
        let all = b"12345 s3cr3t-value 67890 value-of-another";
        for at in 0..all.len() {
            let mut output = all[..at].to_vec();
            let cut = masks.mask_open(&mut output);
            let mut rest = output.split_off(cut);
            rest.extend_from_slice(&all[at..]);
            masks.mask_open(&mut rest);
            let text = String::from_utf8([output, rest].concat()).unwrap();
            assert_eq!(text, "12345 *** 67890 ***", "cut at {at}");
        }
    }

    #[test]
    fn errors_are_masked_to_their_causes() {
        let exception = |cause: Option<PythonException>| PythonException {
            message: "bad s3cr3t-value".to_owned(),
            cause: cause.map(Box::new),
            ..PythonException::default()
        };
        let mut error = ErrorInfo {
            message: "s3cr3t-value".to_owned(),
            exception: Some(exception(Some(exception(None)))),
            ..ErrorInfo::default()
        };
        masks("s3cr3t-value").mask_error(&mut error);
        assert!(!format!("{error:?}").contains("s3cr3t"), "{error:?}");
    }
}
