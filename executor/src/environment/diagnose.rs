//! Turns uv's messages into errors for the user: which package, and why.

use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

/// Lines of uv's output that an error quotes at most.
const QUOTED_LINES: usize = 12;

/// The error of a failed `uv pip install`, from what uv wrote.
pub(super) fn install_failed(output: &[String], requirements: &[String]) -> Error {
    let text = plain(output);
    let package = package(&text).or_else(|| mentioned(&text, requirements));
    let reason = reason(&text);
    let message = match &package {
        Some(package) => format!("package {package:?} can't be installed: {reason}"),
        None => format!("the requirements can't be installed: {reason}"),
    };
    Error::new(ErrorCode::EnvironmentFailed, message).hint(hint(&text, package.as_deref()))
}

/// The last lines, for people.
pub(super) fn last_lines(output: &[String]) -> String {
    let lines: Vec<&str> = output.iter().map(|line| line.trim_end()).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(QUOTED_LINES)..].join("\n")
}

/// One line, without the boxes and arrows that uv draws.
fn plain(output: &[String]) -> String {
    let joined = output.join(" ");
    let drawn = |c: char| matches!(c, '×' | '╰' | '├' | '─' | '▶' | '│');
    joined.split(|c: char| c.is_whitespace() || drawn(c)).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let after = &text[text.find(start)? + start.len()..];
    Some(after[..after.find(end)?].trim())
}

/// The package that uv blames.
fn package(text: &str) -> Option<String> {
    let blamed = between(text, "Because ", " was not found in")
        .or_else(|| between(text, "there is no version of ", " and "))
        .or_else(|| between(text, "there are no versions of ", " and "))
        .or_else(|| between(text, "only the following versions of ", " are available"))
        .or_else(|| between(text, "Failed to build `", "`"))
        .or_else(|| between(text, "Failed to download `", "`"))
        .or_else(|| between(text, "Failed to download and build `", "`"))
        .or_else(|| between(text, "Because only ", " is available"))?;
    let package = blamed.split_whitespace().next()?.trim_end_matches([',', ':']);
    (package.len() <= 128).then(|| package.to_owned())
}

/// A requirement that the text speaks of.
fn mentioned(text: &str, requirements: &[String]) -> Option<String> {
    let name = |line: &String| {
        let end = line.find(|c: char| !(c.is_alphanumeric() || "-_.".contains(c))).unwrap_or(line.len());
        line[..end].to_owned()
    };
    let speaks = |name: &String| {
        let words = text.split(|c: char| !(c.is_alphanumeric() || "-_.".contains(c)));
        !name.is_empty() && words.into_iter().any(|word| word.eq_ignore_ascii_case(name))
    };
    requirements.iter().map(name).find(speaks)
}

fn reason(text: &str) -> String {
    let start = ["Because ", "error: ", "Failed to "].iter().find_map(|mark| text.find(mark)).unwrap_or(0);
    let mut reason = text[start..].trim_start_matches("error: ").to_owned();
    udfleet_proto::error::truncate(&mut reason, 600);
    if reason.is_empty() { "uv gave no reason".to_owned() } else { reason }
}

fn hint(text: &str, package: Option<&str>) -> String {
    let subject = package.unwrap_or("the requirements");
    if ["dns error", "error sending request", "Could not connect", "Network connectivity", "timed out"]
        .iter()
        .any(|mark| text.contains(mark))
    {
        return "the executor's node can't reach its package index: check its network and UV_INDEX_URL".to_owned();
    }
    if text.contains("Failed to build") {
        return format!("{subject} has no wheel for this Python: pin a version that has one, or another Python");
    }
    if text.contains("Python>=") || text.contains("Python version") {
        return format!(
            "{subject} does not support the environment's Python: pin another version or choose another Python"
        );
    }
    format!("check the name and version of {subject}, and the package index of the executor's node")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_missing_package_is_named() {
        let output = lines(
            "  × No solution found when resolving dependencies:\n  ╰─▶ Because nosuchpkg-xyz was not found in the package registry and you require\n      nosuchpkg-xyz, we can conclude that your requirements are unsatisfiable.",
        );
        let error = install_failed(&output, &[]);
        assert!(error.info().message.starts_with("package \"nosuchpkg-xyz\" can't be installed: Because"), "{error}");
        assert!(error.info().hint.contains("nosuchpkg-xyz"));
    }

    #[test]
    fn so_are_a_missing_version_a_failed_build_and_a_bad_line() {
        let version =
            lines("  ╰─▶ Because there is no version of haversine==99.0 and you require haversine==99.0, we can");
        assert!(install_failed(&version, &[]).info().message.contains("\"haversine==99.0\""));
        let build = lines("  × Failed to build `broken==1.0`\n  ├─▶ The build backend returned an error");
        let error = install_failed(&build, &[]);
        assert!(error.info().message.contains("\"broken==1.0\"") && error.info().hint.contains("wheel"), "{error}");
        let bad = lines(
            "error: Couldn't parse requirement in `requirements.txt` at position 0\n  Caused by: no idea of foo!",
        );
        assert!(install_failed(&bad, &["bar".into(), "foo!".into()]).info().message.contains("package \"foo\""));
    }

    #[test]
    fn an_unreachable_index_is_told_from_a_wrong_name() {
        let output = lines("error: Failed to fetch: `https://index/simple/haversine/`\n  Caused by: dns error");
        let error = install_failed(&output, &["haversine".into()]);
        assert!(error.info().message.contains("\"haversine\"") && error.info().hint.contains("network"), "{error}");
    }
}
