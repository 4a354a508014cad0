//! What fails, grouped: errors of one code, exception type and place count together, with the newest of them as an example.

use crate::error::shrink;
use crate::v1::{ErrorGroup, ErrorInfo};

/// Groups that are kept of one function; the ones that have been silent longest give way.
pub const MOST_GROUPS: usize = 8;
/// What an example may take, bytes.
const MAX_EXAMPLE_BYTES: usize = 8 << 10;

/// What makes errors alike.
fn kind(info: &ErrorInfo) -> (i32, &str, &str, u32, i32) {
    let exception = info.exception.as_ref();
    let place = exception.and_then(|exception| exception.frames.last());
    (
        info.code,
        exception.map_or("", |exception| exception.r#type.as_str()),
        place.map_or("", |frame| frame.file.as_str()),
        place.map_or(0, |frame| frame.line),
        info.exit.as_ref().map_or(0, |exit| exit.signal),
    )
}

fn alike(group: &ErrorGroup, info: &ErrorInfo) -> bool {
    group.newest.as_ref().is_some_and(|newest| kind(newest) == kind(info))
}

/// Counts an error of now.
pub fn record(groups: &mut Vec<ErrorGroup>, info: &ErrorInfo, unix_ms: i64) {
    let one = ErrorGroup {
        count: 1,
        first_unix_ms: unix_ms,
        last_unix_ms: unix_ms,
        newest: Some(shrink(info, MAX_EXAMPLE_BYTES)),
    };
    merge(groups, &[one]);
}

/// Adds groups that were counted elsewhere.
pub fn merge(groups: &mut Vec<ErrorGroup>, more: &[ErrorGroup]) {
    for group in more {
        let Some(info) = &group.newest else { continue };
        match groups.iter_mut().find(|held| alike(held, info)) {
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
