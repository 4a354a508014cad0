//! The environment variables of an interpreter: a clean set, so that nothing of the executor leaks into functions.

use std::path::Path;

/// Passed on where the executor has them.
const INHERITED: [&str; 5] = ["HOME", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "USER"];

/// Libraries would start one thread per core in each interpreter; the fleet scales by interpreters instead.
const SINGLE_THREAD: [&str; 4] = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"];

/// Variables for the interpreter of the environment whose Python is `python`, with `temporary` as its own folder.
pub(super) fn child_env(
    python: &Path,
    temporary: &Path,
    inherited: impl Fn(&str) -> Option<String>,
) -> Vec<(String, String)> {
    let bin = python.parent().unwrap_or(python);
    let venv = bin.parent().unwrap_or(bin);
    let path = inherited("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".to_owned());
    let mut variables = vec![
        ("PATH".to_owned(), format!("{}:{path}", bin.display())),
        ("VIRTUAL_ENV".to_owned(), venv.display().to_string()),
        ("TMPDIR".to_owned(), temporary.display().to_string()),
        ("LANG".to_owned(), "C.UTF-8".to_owned()),
    ];
    let passed_on = INHERITED.iter().filter_map(|name| Some(((*name).to_owned(), inherited(name)?)));
    variables.extend(passed_on);
    variables.extend(SINGLE_THREAD.map(|name| (name.to_owned(), "1".to_owned())));
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_is_passed_on() {
        let executor = |name: &str| match name {
            "PATH" => Some("/bin".to_owned()),
            "UDFLEET_TOKEN" | "AWS_SECRET_ACCESS_KEY" | "TZ" => Some("x".to_owned()),
            _ => None,
        };
        let variables = child_env(Path::new("/e/venv/bin/python"), Path::new("/t"), executor);
        let get = |name: &str| variables.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        assert_eq!(get("PATH"), Some("/e/venv/bin:/bin"));
        assert_eq!(get("VIRTUAL_ENV"), Some("/e/venv"));
        assert_eq!(get("TZ"), Some("x"));
        assert_eq!(get("HOME"), None);
        assert_eq!(get("UDFLEET_TOKEN"), None);
        assert_eq!(get("OMP_NUM_THREADS"), Some("1"));
    }
}
