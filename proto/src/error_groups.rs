//! What fails, grouped: errors of one code, exception type and place count together, with the newest of them as an example.

use crate::error::{shrink, truncate};
use crate::v1::{ErrorGroup, ErrorInfo};

/// Groups that are kept of one function; the ones that have been silent longest give way.
pub const MOST_GROUPS: usize = 8;
/// What an example may take, bytes.
const MAX_EXAMPLE_BYTES: usize = 8 << 10;
/// What the name of an exception's type or of a file may take, bytes.
const MAX_NAME_BYTES: usize = 512;

/// True where both count the same: errors of one code, exception type and place.
#[must_use]
pub fn alike(one: &ErrorGroup, other: &ErrorGroup) -> bool {
    let kind = |group: &ErrorGroup| {
        let newest = group.newest.as_ref();
        let signal = newest.and_then(|info| info.exit.as_ref()).map_or(0, |exit| exit.signal);
        (group.line, newest.map_or(0, |info| info.code), signal)
    };
    kind(one) == kind(other) && one.exception == other.exception && one.file == other.file
}

/// One error. Its place is noted before the error is cut.
fn group_of(info: &ErrorInfo, unix_ms: i64) -> ErrorGroup {
    let exception = info.exception.as_ref();
    let place = exception.and_then(|exception| exception.frames.last());
    let name = |text: Option<&String>| {
        let mut text = text.cloned().unwrap_or_default();
        truncate(&mut text, MAX_NAME_BYTES);
        text
    };
    ErrorGroup {
        count: 1,
        first_unix_ms: unix_ms,
        last_unix_ms: unix_ms,
        newest: Some(shrink(info, MAX_EXAMPLE_BYTES)),
        exception: name(exception.map(|exception| &exception.r#type)),
        file: name(place.map(|frame| &frame.file)),
        line: place.map_or(0, |frame| frame.line),
    }
}

/// Counts an error of now.
pub fn record(groups: &mut Vec<ErrorGroup>, info: &ErrorInfo, unix_ms: i64) {
    merge(groups, &[group_of(info, unix_ms)]);
}

/// Adds groups that were counted elsewhere.
pub fn merge(groups: &mut Vec<ErrorGroup>, more: &[ErrorGroup]) {
    for group in more {
        match groups.iter_mut().find(|held| alike(held, group)) {
            Some(held) => {
                held.count += group.count;
                held.first_unix_ms = held.first_unix_ms.min(group.first_unix_ms);
                if group.last_unix_ms >= held.last_unix_ms {
                    held.last_unix_ms = group.last_unix_ms;
                    held.newest = group.newest.clone();
                }
            }
            None => groups.push(group.clone()),
        }
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.last_unix_ms));
    groups.truncate(MOST_GROUPS);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::{ErrorCode, Frame, PythonException};

    fn error(kind: &str, line: u32, message: &str) -> ErrorInfo {
        let frames = vec![Frame { file: "f.py".to_owned(), line, ..Frame::default() }];
        let exception = PythonException { r#type: kind.to_owned(), frames, ..PythonException::default() };
        ErrorInfo {
            code: ErrorCode::UserCode as i32,
            message: message.to_owned(),
            exception: Some(exception),
            ..ErrorInfo::default()
        }
    }

    #[test]
    fn errors_of_one_place_count_together() {
        let mut groups = Vec::new();
        record(&mut groups, &error("ValueError", 3, "a"), 10);
        record(&mut groups, &error("ValueError", 4, "b"), 20);
        record(&mut groups, &error("ValueError", 3, "c"), 30);
        let told: Vec<_> = groups.iter().map(|g| (g.count, g.first_unix_ms, g.last_unix_ms)).collect();
        assert_eq!(told, [(2, 10, 30), (1, 20, 20)]);
        assert_eq!(groups[0].newest.as_ref().unwrap().message, "c");
        let mut sum = groups.clone();
        merge(&mut sum, &groups);
        assert_eq!(sum.iter().map(|group| group.count).collect::<Vec<_>>(), [4, 2]);
    }

    #[test]
    fn errors_that_are_cut_are_told_apart_by_where_they_were_raised() {
        let mut groups = Vec::new();
        for line in [3, 4, 3] {
            let mut info = error("ValueError", line, &"x".repeat(100_000));
            let exception = info.exception.as_mut().unwrap();
            let outer = Frame { file: "caller.py".to_owned(), line: 1, source: "y".repeat(2000), ..Frame::default() };
            exception.frames.splice(0..0, std::iter::repeat_n(outer, 20));
            record(&mut groups, &info, 10);
        }
        let mut counts: Vec<_> = groups.iter().map(|group| (group.line, group.count)).collect();
        counts.sort_unstable();
        assert_eq!(counts, [(3, 2), (4, 1)]);
        assert!(groups.iter().all(|group| group.file == "f.py" && group.exception == "ValueError"));
    }

    #[test]
    fn they_are_few_and_small() {
        let mut groups = Vec::new();
        for line in 0..100 {
            record(&mut groups, &error("ValueError", line, &"x".repeat(100_000)), i64::from(line));
        }
        assert_eq!(groups.len(), MOST_GROUPS);
        assert_eq!(groups[0].last_unix_ms, 99, "the newest are kept");
        let bytes: usize = groups.iter().map(prost::Message::encoded_len).sum();
        assert!(bytes < MOST_GROUPS * 2 * MAX_EXAMPLE_BYTES, "{bytes} bytes");
    }
}
