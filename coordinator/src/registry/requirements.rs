//! Which requirement lines are taken. Executors give them to uv, which reads files and environment variables that lines
//! name and asks the servers that they name: what could reach the executor's own is refused before it gets there.

use udfleet_proto::environment::requirement_lines;
use udfleet_proto::error::Error;
use udfleet_proto::v1::{Environment, ErrorCode};

/// Options that choose among packages, and name neither files nor servers.
const ALLOWED: [&str; 6] = ["--hash", "--pre", "--prefer-binary", "--no-binary", "--only-binary", "--no-index"];

/// # Errors
/// `INVALID_DEFINITION` with the line.
pub(super) fn check(environment: &Environment) -> Result<(), Error> {
    let lines =
        requirement_lines(&environment.requirements).into_iter().chain(requirement_lines(&environment.constraints));
    lines.into_iter().try_for_each(|line| check_line(&line))
}

fn check_line(line: &str) -> Result<(), Error> {
    if line.contains("${") {
        let hint =
            "write the value into the line; credentials of an index belong into the settings of the executors' uv";
        return Err(refused(line, "it holds a variable, which would be one of the executor's", hint));
    }
    if line.contains(['\n', '\r', '\0']) {
        return Err(refused(line, "it holds a line end", "give each line by itself"));
    }
    match options(line).find(|option| !ALLOWED.contains(option)) {
        Some(option) => {
            let what = format!("option {option} is not among those that are allowed: {}", ALLOWED.join(", "));
            Err(refused(line, &what, "indexes are chosen by whoever runs the executors (UV_DEFAULT_INDEX, uv.toml)"))
        }
        None => Ok(()),
    }
}

/// Words that begin with a dash, as installers see them: at the start, or behind a requirement.
fn options(line: &str) -> impl Iterator<Item = &str> {
    let words = line.split_whitespace().filter(|word| word.starts_with('-'));
    words.map(|word| word.split_once('=').map_or(word, |(option, _)| option))
}

fn refused(line: &str, why: &str, hint: &str) -> Error {
    Error::new(ErrorCode::InvalidDefinition, format!("requirement {line:?}: {why}")).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(line: &str) -> Option<ErrorCode> {
        let environment = Environment { requirements: vec![line.to_owned()], ..Environment::default() };
        check(&environment).err().map(|error| error.code())
    }

    #[test]
    fn packages_are_taken() {
        for line in [
            "haversine",
            "haversine==2.8.0  # distance",
            "pandas[performance]>=2,<3; python_version >= '3.11'",
            "x @ https://example.org/x-1.0-py3-none-any.whl",
            "six==1.16.0 --hash=sha256:8abb",
            "--only-binary :all:",
            "--pre",
            "# --index-url x",
        ] {
            assert_eq!(code(line), None, "{line}");
        }
    }

    #[test]
    fn what_reaches_the_executors_own_is_refused() {
        for line in [
            "--index-url http://x/${UDFLEET_TOKEN}",
            "x @ https://example.org/${HOME}/x.whl",
            "-r /etc/shadow",
            "-r/etc/shadow",
            "--requirement=/etc/shadow",
            "-c /etc/shadow",
            "-e /srv/project",
            "-i http://x",
            "--extra-index-url=http://x",
            "--find-links /",
            "--trusted-host x",
            "six --config-settings=a=b",
            "six --global-option x",
            "six\n-r /etc/shadow",
        ] {
            assert_eq!(code(line), Some(ErrorCode::InvalidDefinition), "{line}");
        }
        let constrained = Environment { constraints: vec!["-r x".to_owned()], ..Environment::default() };
        assert!(check(&constrained).is_err());
    }
}
