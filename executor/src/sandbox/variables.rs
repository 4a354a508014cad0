//! The environment variables of contained processes: clean sets, so that nothing of the executor leaks to users' code.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Passed on to interpreters where the executor has them.
const INHERITED: [&str; 4] = ["TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "USER"];

/// Passed on to uv: how to reach package indexes, and who signs their certificates.
const INHERITED_BY_TOOLS: [&str; 12] = [
    "PATH",
    "TZ",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
];

/// uv's own settings are the operator's: all but those for other commands than the ones that are run here.
const UV_PREFIX: &str = "UV_";
const NOT_FOR_BUILDS: [&str; 3] = ["UV_PUBLISH_", "UV_SYSTEM_PYTHON", "UV_PROJECT_ENVIRONMENT"];

const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Libraries would start one thread per core in each interpreter; the fleet scales by interpreters instead.
const SINGLE_THREAD: [&str; 4] = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"];

/// Variables for the interpreter of the environment whose Python is `python`, with `temporary` as its own folder, which
/// is its home too.
pub fn for_interpreter(
    python: &Path,
    temporary: &Path,
    inherited: impl Fn(&str) -> Option<String>,
) -> Vec<(String, String)> {
    let bin = python.parent().unwrap_or(python);
    let venv = bin.parent().unwrap_or(bin);
    let path = inherited("PATH").unwrap_or_else(|| DEFAULT_PATH.to_owned());
    let mut variables = vec![
        ("PATH".to_owned(), format!("{}:{path}", bin.display())),
        ("VIRTUAL_ENV".to_owned(), venv.display().to_string()),
        ("TMPDIR".to_owned(), temporary.display().to_string()),
        ("HOME".to_owned(), temporary.display().to_string()),
        ("LANG".to_owned(), "C.UTF-8".to_owned()),
    ];
    let passed_on = INHERITED.iter().filter_map(|name| Some(((*name).to_owned(), inherited(name)?)));
    variables.extend(passed_on);
    variables.extend(SINGLE_THREAD.map(|name| (name.to_owned(), "1".to_owned())));
    variables
}

/// Variables for uv and what it runs, with a home and a place for temporary files of its own. `all` is the executor's
/// environment.
pub fn for_tool(home: &Path, all: impl Iterator<Item = (OsString, OsString)>) -> Vec<(OsString, OsString)> {
    let passed_on = |name: &OsString| {
        let Some(name) = name.to_str() else { return false };
        let uv = name.starts_with(UV_PREFIX) && !NOT_FOR_BUILDS.iter().any(|not| name.starts_with(not));
        uv || INHERITED_BY_TOOLS.contains(&name)
    };
    let mut variables: Vec<(OsString, OsString)> = all.filter(|(name, _)| passed_on(name)).collect();
    if variables.iter().all(|(name, _)| name != "PATH") {
        variables.push(("PATH".into(), DEFAULT_PATH.into()));
    }
    variables.extend(["HOME", "TMPDIR"].map(|name| (name.into(), home.into())));
    variables.push(("LANG".into(), "C.UTF-8".into()));
    variables
}

/// Where uv keeps what it has downloaded, as uv itself finds it in the executor's environment.
pub fn uv_cache(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("UV_CACHE_DIR")
        .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("uv")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/uv")))
}

/// uv's settings of the user who runs the executor, which uv would look for in its home.
pub fn uv_settings(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")))?;
    Some(folder.join("uv/uv.toml")).filter(|file| file.is_file())
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
        let variables = for_interpreter(Path::new("/e/venv/bin/python"), Path::new("/t"), executor);
        let get = |name: &str| variables.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        assert_eq!(get("PATH"), Some("/e/venv/bin:/bin"));
        assert_eq!(get("VIRTUAL_ENV"), Some("/e/venv"));
        assert_eq!(get("TZ"), Some("x"));
        assert_eq!(get("HOME"), Some("/t"));
        assert_eq!(get("UDFLEET_TOKEN"), None);
        assert_eq!(get("OMP_NUM_THREADS"), Some("1"));
    }

    #[test]
    fn uv_gets_its_own_settings_and_no_secret_of_ours() {
        let all = ["UV_INDEX_URL", "https_proxy", "UDFLEET_TOKEN", "AWS_SECRET_ACCESS_KEY", "UV_PUBLISH_TOKEN", "HOME"];
        let variables = for_tool(Path::new("/t"), all.map(|name| (name.into(), "x".into())).into_iter());
        let get = |name: &str| variables.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        assert_eq!(get("UV_INDEX_URL"), Some("x".into()));
        assert_eq!(get("https_proxy"), Some("x".into()));
        assert_eq!(get("HOME"), Some("/t".into()));
        assert_eq!(get("PATH"), Some(DEFAULT_PATH.into()));
        for secret in ["UDFLEET_TOKEN", "AWS_SECRET_ACCESS_KEY", "UV_PUBLISH_TOKEN"] {
            assert_eq!(get(secret), None, "{secret}");
        }
    }

    #[test]
    fn the_cache_is_where_uv_keeps_it() {
        let only = |name: &'static str| move |asked: &str| (asked == name).then(|| "/x".into());
        assert_eq!(uv_cache(only("UV_CACHE_DIR")), Some("/x".into()));
        assert_eq!(uv_cache(only("XDG_CACHE_HOME")), Some("/x/uv".into()));
        assert_eq!(uv_cache(only("HOME")), Some("/x/.cache/uv".into()));
        assert_eq!(uv_cache(|_| None), None);
    }
}
