//! Resolves the merged layers to the settings in force.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use udfleet_edge::config::{HumanDuration, Size, invalid};
use udfleet_edge::objects::ObjectLocation;
use udfleet_edge::secret::Secret;
use udfleet_proto::error::Error;

use super::memory::memory_limit;
use super::{Layer, SandboxSwitch, Settings};

const DEFAULT_MAX_INTERPRETERS: u32 = 64;
const DEFAULT_STATE_CACHE: Size = Size(64 << 20);
/// How many times the usual number an environment may grow to.
const DEFAULT_GROWTH: u32 = 4;
const DEFAULT_INTERPRETER_IDLE: HumanDuration = HumanDuration(Duration::from_secs(60));
const DEFAULT_ENVIRONMENT_TTL: HumanDuration = HumanDuration(Duration::from_secs(24 * 3600));
const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

pub(super) fn resolve(layer: Layer) -> Result<Settings, Error> {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
    let work_dir = std::path::absolute(layer.work_dir.clone().unwrap_or_else(default_work_dir))
        .map_err(|e| invalid(format!("work_dir: {e}")))?;
    let environments_dir = match layer.environments_dir.clone() {
        Some(path) => std::path::absolute(path).map_err(|e| invalid(format!("environments_dir: {e}")))?,
        None => work_dir.join("environments"),
    };
    let interpreters_per_environment = layer.interpreters_per_environment.unwrap_or(cores);
    let settings = Settings {
        max_interpreters_per_environment: layer
            .max_interpreters_per_environment
            .unwrap_or(interpreters_per_environment.saturating_mul(DEFAULT_GROWTH)),
        interpreter_idle: layer.interpreter_idle.unwrap_or(DEFAULT_INTERPRETER_IDLE),
        token_read_from: layer.token_file.clone(),
        token: Secret::resolve(layer.token, layer.token_file)?,
        labels: layer.labels.into_iter().collect(),
        resources: layer.resources.into_iter().collect(),
        memory: layer.memory.unwrap_or_else(|| Size(memory_limit(Path::new("/")) / 5 * 4)),
        environment_ttl: layer.environment_ttl.unwrap_or(DEFAULT_ENVIRONMENT_TTL),
        coordinator: layer.coordinator.unwrap_or_default(),
        listen: layer.listen.unwrap_or(ANY_PORT),
        http_listen: layer.http_listen.unwrap_or(ANY_PORT),
        http_hosts: layer.http_hosts,
        engine_listen: layer.engine_listen,
        advertise: layer.advertise,
        work_dir,
        environments_dir,
        id: layer.id.unwrap_or_default(),
        interpreters_per_environment,
        max_interpreters: layer.max_interpreters.unwrap_or(DEFAULT_MAX_INTERPRETERS),
        python: layer.python,
        state_store: layer.state_store.map(|location| absolute_location("state_store", location)).transpose()?,
        state_store_endpoint: layer.state_store_endpoint,
        state_store_region: layer.state_store_region,
        state_store_allow_http: layer.state_store_allow_http.unwrap_or(false),
        state_cache: layer.state_cache.unwrap_or(DEFAULT_STATE_CACHE),
        secrets_dir: layer.secrets_dir,
        uv: layer.uv,
        tls_cert: layer.tls_cert,
        tls_key: layer.tls_key,
        tls_ca: layer.tls_ca,
        tls_client_auth: layer.tls_client_auth,
        tls_allow: layer.tls_allow,
        sandbox: layer.sandbox.unwrap_or_default(),
        require_sandbox: layer.require_sandbox.unwrap_or(false),
        sandbox_read: absolute("sandbox_read", layer.sandbox_read)?,
        sandbox_write: absolute("sandbox_write", layer.sandbox_write)?,
        sandbox_disk: layer.sandbox_disk,
        sandbox_without: layer.sandbox_without,
        sandbox_users: layer.sandbox_users,
        insecure_non_loopback: layer.insecure_non_loopback.unwrap_or(false),
    };
    check(&settings)?;
    Ok(settings)
}

fn check(settings: &Settings) -> Result<(), Error> {
    if let Some(folder) = settings.secrets_dir.as_ref().filter(|folder| !folder.is_dir()) {
        return Err(invalid(format!("secrets_dir {} is no folder", folder.display())));
    }
    if settings.max_interpreters == 0 || settings.interpreters_per_environment == 0 {
        return Err(invalid("max_interpreters and interpreters_per_environment must be at least 1"));
    }
    if settings.require_sandbox && settings.sandbox == SandboxSwitch::Off {
        return Err(invalid("require_sandbox is set, and sandbox is off: one of the two has to go"));
    }
    if settings.max_interpreters_per_environment < settings.interpreters_per_environment {
        let (most, least) = (settings.max_interpreters_per_environment, settings.interpreters_per_environment);
        return Err(invalid(format!(
            "max_interpreters_per_environment is {most}, below interpreters_per_environment, {least}"
        )));
    }
    if !(settings.id.is_empty() || settings.id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))) {
        return Err(invalid(format!("id is {:?}: letters, digits, `-`, `_` and `.` are allowed", settings.id)));
    }
    settings.listeners()?.check()
}

fn absolute(name: &str, paths: Vec<PathBuf>) -> Result<Vec<PathBuf>, Error> {
    paths.into_iter().map(|path| std::path::absolute(path).map_err(|e| invalid(format!("{name}: {e}")))).collect()
}

fn absolute_location(name: &str, location: ObjectLocation) -> Result<ObjectLocation, Error> {
    match location {
        ObjectLocation::Folder(path) => {
            let path = std::path::absolute(path).map_err(|e| invalid(format!("{name}: {e}")))?;
            Ok(ObjectLocation::Folder(path))
        }
        bucket @ ObjectLocation::S3 { .. } => Ok(bucket),
    }
}

fn default_work_dir() -> PathBuf {
    let state = std::env::var_os("XDG_STATE_HOME").filter(|v| !v.is_empty()).map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    state.or_else(home).unwrap_or_else(std::env::temp_dir).join("udfleet/executor")
}

#[cfg(test)]
mod tests {
    use udfleet_edge::config::{dump, read};
    use udfleet_proto::v1::ErrorCode;

    use super::super::Arguments;
    use super::*;

    fn load(arguments: &[&str]) -> Result<Settings, Error> {
        let all = std::iter::once("udfleet-executor").chain(arguments.iter().copied());
        let (_, sources) = read::<Arguments>(all.map(Into::into)).unwrap();
        Settings::load(&sources)
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
        assert_eq!((settings.id.as_str(), settings.memory, settings.max_interpreters), ("from-flag", Size(1 << 30), 3));
        assert_eq!(settings.labels.len(), 2);
        assert_eq!(settings.environments_dir, PathBuf::from("/w/environments"));
        assert_eq!(settings.environment_ttl, DEFAULT_ENVIRONMENT_TTL);
    }

    #[test]
    fn bad_values_are_refused_by_name() {
        for (flags, named) in [
            (["--max-interpreters-per-environment", "0"], "max_interpreters_per_environment"),
            (["--listen", "0.0.0.0:1"], "listen"),
            (["--max-interpreters", "0"], "max_interpreters"),
            (["--id", "a b"], "id"),
            (["--sandbox=off", "--require-sandbox"], "sandbox"),
        ] {
            let error = load(&flags).unwrap_err();
            assert!(error.code() == ErrorCode::InvalidConfig && error.info().message.contains(named), "{error}");
        }
        for flags in [
            ["--coordinator", "a:1,,b:1"],
            ["--memory", "lots"],
            ["--environment-ttl", "5 fortnights"],
            ["--label", "novalue"],
        ] {
            let arguments = ["udfleet-executor", flags[0], flags[1]];
            let error = read::<Arguments>(arguments.map(Into::into)).map(drop).unwrap_err().to_string();
            assert!(error.contains(flags[0]), "{error}");
        }
    }

    #[test]
    fn coordinators_are_a_list() {
        assert_eq!(load(&[]).unwrap().coordinator.as_slice(), ["127.0.0.1:8815"]);
        assert_eq!(load(&["--coordinator", "a, b:1"]).unwrap().coordinator.as_slice(), ["a:8815", "b:1"]);
        let file = file("coordinator = \"a:1,b\"\n");
        let settings = load(&["--config", file.path().to_str().unwrap()]).unwrap();
        assert_eq!(settings.coordinator.to_string(), "a:1,b:8815");
    }

    #[test]
    fn an_unspecified_address_needs_one_that_clients_can_call() {
        let open = ["--listen", "0.0.0.0:1", "--insecure-non-loopback", "--token", "t"];
        assert!(load(&open).unwrap_err().info().hint.contains("advertise"));
        assert!(load(&[&open[..], &["--advertise", "node-1:1"]].concat()).is_ok());
    }

    #[test]
    fn a_dump_hides_secrets_and_can_be_read_again() {
        let hidden = dump(&load(&["--token", "s3cret", "--work-dir", "/w", "--label", "a=b"]).unwrap()).unwrap();
        assert!(!hidden.contains("s3cret") && hidden.contains("<redacted>"), "{hidden}");
        let dumped = file(&hidden);
        let back = load(&["--config", dumped.path().to_str().unwrap(), "--token", "s3cret"]).unwrap();
        assert_eq!(dump(&back).unwrap(), hidden);
    }
}
