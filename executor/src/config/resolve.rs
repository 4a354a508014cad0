//! From what the sources say to the settings in force.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use udfleet_edge::secret::Secret;
use udfleet_proto::config::parse_size;
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

use super::{Layer, Settings};

const DEFAULT_COORDINATOR: &str = "127.0.0.1:8815";
const DEFAULT_MAX_INTERPRETERS: u32 = 64;
const DEFAULT_ENVIRONMENT_TTL: Duration = Duration::from_secs(24 * 3600);
const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

pub(super) fn resolve(layer: Layer) -> Result<Settings, Error> {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
    let work_dir = std::path::absolute(layer.work_dir.clone().unwrap_or_else(default_work_dir))
        .map_err(|e| bad(format!("work_dir: {e}")))?;
    let environments_dir = match layer.environments_dir.clone() {
        Some(path) => std::path::absolute(path).map_err(|e| bad(format!("environments_dir: {e}")))?,
        None => work_dir.join("environments"),
    };
    let settings = Settings {
        token: token(&layer)?,
        labels: labels(&layer)?,
        memory: memory(layer.memory.as_deref())?,
        environment_ttl: layer.environment_ttl.as_deref().map_or(Ok(DEFAULT_ENVIRONMENT_TTL), duration)?,
        coordinator: layer.coordinator.unwrap_or_else(|| DEFAULT_COORDINATOR.to_owned()),
        listen: layer.listen.unwrap_or(ANY_PORT),
        http_listen: layer.http_listen.unwrap_or(ANY_PORT),
        engine_listen: layer.engine_listen,
        advertise: layer.advertise,
        work_dir,
        environments_dir,
        id: layer.id.unwrap_or_default(),
        interpreters_per_environment: layer.interpreters_per_environment.unwrap_or(cores),
        max_interpreters: layer.max_interpreters.unwrap_or(DEFAULT_MAX_INTERPRETERS),
        python: layer.python,
        uv: layer.uv,
        insecure_non_loopback: layer.insecure_non_loopback.unwrap_or(false),
    };
    check(&settings)?;
    Ok(settings)
}

fn bad(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::InvalidConfig, message)
}

fn check(settings: &Settings) -> Result<(), Error> {
    if settings.max_interpreters == 0 || settings.interpreters_per_environment == 0 {
        return Err(bad("max_interpreters and interpreters_per_environment must be at least 1"));
    }
    if !(settings.id.is_empty() || settings.id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))) {
        return Err(bad(format!("id is {:?}: letters, digits, `-`, `_` and `.` are allowed", settings.id)));
    }
    let engine = settings.engine_listen.map(|address| ("engine_listen", address));
    for (key, address) in [("listen", settings.listen), ("http_listen", settings.http_listen)].into_iter().chain(engine)
    {
        if !address.ip().is_loopback() && !settings.insecure_non_loopback {
            return Err(bad(format!("{key} is {address}, which other machines can reach, but nothing is encrypted"))
                .hint("listen on 127.0.0.1, or set insecure_non_loopback = true on a network that you trust"));
        }
    }
    if !settings.listen.ip().is_loopback() && settings.token.is_none() {
        return Err(bad(format!("listen is {}, which other machines can reach, but no token is set", settings.listen))
            .hint("set token_file (or token)"));
    }
    if settings.listen.ip().is_unspecified() && settings.advertise.is_none() {
        return Err(bad(format!("listen is {}, which is no address that clients can call", settings.listen))
            .hint("set advertise to the host:port under which clients reach this executor"));
    }
    Ok(())
}

fn default_work_dir() -> PathBuf {
    let state = std::env::var_os("XDG_STATE_HOME").filter(|v| !v.is_empty()).map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    state.or_else(home).unwrap_or_else(std::env::temp_dir).join("udfleet/executor")
}

fn token(layer: &Layer) -> Result<Option<Secret>, Error> {
    match (&layer.token, &layer.token_file) {
        (Some(_), Some(_)) => Err(bad("token and token_file are both set").hint("set one of them")),
        (Some(token), None) => Secret::token(token).map(Some),
        (None, Some(path)) => Secret::token_file(path).map(Some),
        (None, None) => Ok(None),
    }
}

fn labels(layer: &Layer) -> Result<BTreeMap<String, String>, Error> {
    let mut labels = layer.labels.clone();
    for label in &layer.label {
        let (key, value) = label.split_once('=').ok_or_else(|| bad(format!("label {label:?} is not KEY=VALUE")))?;
        labels.insert(key.to_owned(), value.to_owned());
    }
    Ok(labels)
}

fn memory(text: Option<&str>) -> Result<u64, Error> {
    match text {
        Some(text) => parse_size(text)
            .filter(|bytes| *bytes > 0)
            .ok_or_else(|| bad(format!("memory is {text:?}, expected bytes with an optional unit, such as 8GiB"))),
        None => {
            let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
            Ok(total_memory(&info).unwrap_or(1 << 30) / 5 * 4)
        }
    }
}

fn total_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

fn duration(text: &str) -> Result<Duration, Error> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit = match text[digits..].trim() {
        "s" | "" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        "d" => Some(24 * 3600),
        _ => None,
    };
    let seconds = text[..digits].parse::<u64>().ok().zip(unit).and_then(|(number, unit)| number.checked_mul(unit));
    seconds.map(Duration::from_secs).ok_or_else(|| {
        bad(format!("environment_ttl is {text:?}, expected a whole number of s, m, h or d, such as 12h"))
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::Arguments;
    use super::*;

    fn load(arguments: &[&str]) -> Result<Settings, Error> {
        let all = std::iter::once("udfleet-executor").chain(arguments.iter().copied());
        Settings::load(&Arguments::try_parse_from(all).unwrap())
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let file = file("id = \"from-file\"\nmemory = \"1g\"\nmax_interpreters = 3\n[labels]\nzone = \"a\"\n");
        let path = file.path().to_str().unwrap();
        let settings = load(&["--config", path, "--id", "from-flag", "--label", "gpu=no", "--work-dir", "/w"]).unwrap();
        assert_eq!((settings.id.as_str(), settings.memory, settings.max_interpreters), ("from-flag", 1 << 30, 3));
        assert_eq!(settings.labels.len(), 2);
        assert_eq!(settings.environments_dir, PathBuf::from("/w/environments"));
        assert_eq!(settings.environment_ttl, DEFAULT_ENVIRONMENT_TTL);
    }

    #[test]
    fn unknown_keys_and_bad_values_are_refused_by_name() {
        let unknown = file("max_interpreter = 3\n");
        let error = load(&["--config", unknown.path().to_str().unwrap()]).unwrap_err().to_string();
        assert!(error.contains("max_interpreter"), "{error}");
        for (flags, named) in [
            (["--memory", "lots"], "memory"),
            (["--environment-ttl", "5 fortnights"], "environment_ttl"),
            (["--listen", "0.0.0.0:1"], "listen"),
            (["--engine-listen", "0.0.0.0:1"], "engine_listen"),
            (["--max-interpreters", "0"], "max_interpreters"),
            (["--label", "novalue"], "label"),
            (["--id", "a b"], "id"),
        ] {
            let error = load(&flags).unwrap_err();
            assert!(error.info().message.contains(named), "{error}");
        }
    }

    #[test]
    fn other_machines_need_the_override_a_token_and_an_address() {
        let open = ["--listen", "0.0.0.0:1", "--insecure-non-loopback"];
        assert!(load(&open).unwrap_err().info().hint.contains("token"));
        let with_token = [&open[..], &["--token", "t"]].concat();
        assert!(load(&with_token).unwrap_err().info().hint.contains("advertise"));
        assert!(load(&[&with_token[..], &["--advertise", "node-1:1"]].concat()).is_ok());
        assert!(load(&["--engine-listen", "0.0.0.0:1", "--insecure-non-loopback"]).is_ok(), "engines have no token");
    }

    #[test]
    fn a_dump_hides_secrets_and_can_be_read_again() {
        let dump = load(&["--token", "s3cret", "--work-dir", "/w"]).unwrap().dump().unwrap();
        assert!(!dump.contains("s3cret") && dump.contains("<redacted>"), "{dump}");
        let back = Layer::read(file(&dump).path()).unwrap();
        assert_eq!(back.work_dir, Some(PathBuf::from("/w")));
    }

    #[test]
    fn sizes_of_machines() {
        assert_eq!(total_memory("MemTotal:       24614828 kB\nMemFree: 1 kB"), Some(24_614_828 << 10));
        assert_eq!(duration("2h").unwrap(), Duration::from_secs(7200));
    }
}
