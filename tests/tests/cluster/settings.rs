//! Configuration of the programs, and the pages of their HTTP ports.

use udfleet_tests::batches::numbers;
use udfleet_tests::cluster::Cluster;
use udfleet_tests::function::Function;
use udfleet_tests::http::{get, metrics};
use udfleet_tests::messages::path;
use udfleet_tests::process::run;
use udfleet_tests::stream::call;
use udfleet_tests::wait::eventually;

/// A program, its variable for `listen`, the option and variable that name its file, and what it cannot do without.
const PROGRAMS: [(&str, &str, &str, &[&str]); 2] = [
    ("udfleet-coordinator", "UDFLEET_LISTEN", "UDFLEET_CONFIG", &[]),
    ("udfleet-executor", "UDFLEET_EXECUTOR_LISTEN", "UDFLEET_EXECUTOR_CONFIG", &["--coordinator", "127.0.0.1:1"]),
];

fn dumped(program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let (success, out, err) = run(program, &[arguments, &["--dump-config"]].concat(), environment);
    assert!(success, "{program} {arguments:?}: {err}");
    out
}

#[test]
fn unknown_keys_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    std::fs::write(&file, "lisen = \"127.0.0.1:1\"\n").unwrap();
    for (program, _, variable, needed) in PROGRAMS {
        let path = file.to_str().unwrap();
        let by_flag = run(program, &[needed, &["--config", path]].concat(), &[]);
        let by_variable = run(program, needed, &[(variable, path)]);
        for (success, out, err) in [by_flag, by_variable] {
            assert!(!success && out.is_empty(), "{program}: {out}");
            assert!(err.contains("lisen") && err.contains("config.toml") && err.contains("listen"), "{program}: {err}");
        }
        let (success, _, err) = run(program, &[needed, &["--lisen", "127.0.0.1:1"]].concat(), &[]);
        assert!(!success && err.contains("--listen"), "{program} names the nearest flag: {err}");
        std::fs::write(&file, "listen = \"somewhere\"\n").unwrap();
        let (success, _, err) = run(program, &[needed, &["--config", path]].concat(), &[]);
        assert!(!success && err.contains("listen"), "{program}: {err}");
        std::fs::write(&file, "lisen = \"127.0.0.1:1\"\n").unwrap();
    }
}

#[test]
fn the_nearest_key_is_named_in_tables_and_by_every_program() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    let path = file.to_str().unwrap();
    for (text, wrong, near) in [
        ("[tenants.acme]\nstreems = 5\n", "streems", "streams"),
        ("[certificates.\"udfleet://client/etl\"]\nrolls = [\"call\"]\n", "rolls", "roles"),
        ("tls_cs = \"/ca.crt\"\n", "tls_cs", "tls_ca"),
    ] {
        std::fs::write(&file, text).unwrap();
        let (success, _, err) = run("udfleet-coordinator", &["--config", path], &[]);
        assert!(!success && err.contains(&format!("`{wrong}`")) && err.contains(&format!("`{near}`")), "{err}");
    }
    let (success, _, err) = run("udfleet-executor", &["--coordinator", "127.0.0.1:1", "--config", path], &[]);
    assert!(!success && err.contains("`tls_cs`") && err.contains("`tls_ca`"), "{err}");
    let (success, _, err) = run("udfleet-clickhouse", &["--function", "f", "--tls-cs", "/ca.crt"], &[]);
    assert!(!success && err.contains("'--tls-cs'") && err.contains("'--tls-ca'"), "{err}");
}

#[test]
fn flags_go_over_variables_over_the_file_over_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    std::fs::write(&file, "listen = \"127.0.0.1:1001\"\n").unwrap();
    let file = file.to_str().unwrap();
    for (program, variable, _, needed) in PROGRAMS {
        let listen = |arguments: &[&str], environment: &[(&str, &str)]| {
            let dump = dumped(program, &[needed, arguments].concat(), environment);
            let line = dump.lines().find(|line| line.starts_with("listen = ")).expect("listen");
            line.trim_start_matches("listen = ").trim_matches('"').to_owned()
        };
        let default = if program == "udfleet-coordinator" { "127.0.0.1:8815" } else { "127.0.0.1:0" };
        assert_eq!(listen(&[], &[]), default, "{program}");
        assert_eq!(listen(&["--config", file], &[]), "127.0.0.1:1001", "{program}");
        assert_eq!(listen(&["--config", file], &[(variable, "127.0.0.1:1002")]), "127.0.0.1:1002", "{program}");
        let flag = ["--config", file, "--listen", "127.0.0.1:1003"];
        assert_eq!(listen(&flag, &[(variable, "127.0.0.1:1002")]), "127.0.0.1:1003", "{program}");
    }
}

#[test]
fn a_token_flag_goes_over_the_variable_of_the_other_form() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "hunter2\n").unwrap();
    let file = file.to_str().unwrap();
    // Variables that would be refused if they were looked at.
    let (empty, absent) = (("UDFLEET_TOKEN", ""), ("UDFLEET_TOKEN_FILE", "/does/not/exist"));
    for (program, _, _, needed) in PROGRAMS {
        for (arguments, variable) in [(["--token-file", file], empty), (["--token", "hunter2"], absent)] {
            let dump = dumped(program, &[needed, &arguments].concat(), &[variable]);
            assert!(dump.contains("token = \"<redacted>\""), "{program} {arguments:?}:\n{dump}");
            assert!(!run(program, &[needed, &["--dump-config"]].concat(), &[variable]).0, "{program} {variable:?}");
        }
        let flags = ["--token", "hunter2", "--token-file", file, "--dump-config"];
        let by_flags = run(program, &[needed, &flags].concat(), &[]);
        let variables = [("UDFLEET_TOKEN", "hunter2"), ("UDFLEET_TOKEN_FILE", file)];
        let by_variables = run(program, &[needed, &["--dump-config"]].concat(), &variables);
        for (success, _, err) in [by_flags, by_variables] {
            assert!(!success && err.contains("both set"), "{program}: {err}");
        }
    }
}

#[test]
fn the_dump_holds_no_secret_and_is_a_config_file() {
    let folder = tempfile::tempdir().unwrap();
    let (file, secret) = (folder.path().join("dump.toml"), folder.path().join("token"));
    std::fs::write(&secret, "hunter2\n").unwrap();
    for (program, _, _, needed) in PROGRAMS {
        for (arguments, environment) in [
            (vec!["--token", "hunter2"], vec![]),
            (vec!["--token-file", secret.to_str().unwrap()], vec![]),
            (vec![], vec![("UDFLEET_TOKEN", "hunter2")]),
        ] {
            let dump = dumped(program, &[needed, &arguments].concat(), &environment);
            assert!(!dump.contains("hunter2") && dump.contains("redacted"), "{program} {arguments:?}:\n{dump}");
        }
        let dump = dumped(program, needed, &[]);
        std::fs::write(&file, &dump).unwrap();
        assert_eq!(dumped(program, &["--config", file.to_str().unwrap()], &[]), dump, "{program}: read back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_metrics() {
    let mut cluster = Cluster::start(1).await;
    cluster.client().register(&Function::new("double")).await;
    cluster.client().register(&Function::new("fail")).await;
    call(&cluster.address(), path("double"), &[numbers(0..100), numbers(0..50)]).await.unwrap();
    call(&cluster.address(), path("fail"), &[numbers([1])]).await.unwrap_err();
    let [coordinator, executor] = &cluster.http_addresses()[..] else { panic!("two pages") };
    for (address, prefix) in [(coordinator, "udfleet_function"), (executor, "udfleet_executor_function")] {
        let (status, body) = get(address, "/healthz").await;
        assert_eq!((status, body.trim()), (200, "ok"), "{address}");
        assert_eq!(get(address, "/nothing").await.0, 404, "{address}");
        let counted = async || {
            let page = metrics(address).await;
            let value =
                |name: &str, labels: &str| page.get(&format!("{prefix}_{name}{{{labels}}}")).copied().unwrap_or(-1.0);
            let double = "function=\"double@1\"";
            let expected = [
                ("calls_total", double, 2.0),
                ("rows_total", double, 150.0),
                ("errors_total", double, 0.0),
                ("in_flight", double, 0.0),
                ("calls_total", "function=\"fail@1\"", 1.0),
                ("errors_total", "function=\"fail@1\"", 1.0),
            ];
            expected.iter().all(|(name, labels, wanted)| value(name, labels) == *wanted).then_some(())
        };
        eventually(&format!("{address} has counted"), counted).await;
        let (_, page) = get(address, "/metrics").await;
        for part in ["queue", "transfer", "convert", "run", "cpu"] {
            let series = format!("{prefix}_seconds_total{{function=\"double@1\",part=\"{part}\"}}");
            assert!(page.contains(&series), "{address}: {series} in\n{page}");
        }
        for line in page.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let value = line.rsplit_once(' ').and_then(|(_, value)| value.parse::<f64>().ok());
            assert!(value.is_some(), "{address}: {line}");
        }
    }
    assert_eq!(get(coordinator, "/readyz").await, (200, "ready\n".to_owned()));
    let page = metrics(coordinator).await;
    assert_eq!(page["udfleet_executors{state=\"ready\"}"], 1.0);
    assert_eq!(page["udfleet_streams_total"], 2.0);
    cluster.executor("e1").kill();
    let address = coordinator.clone();
    let lost = async || (metrics(&address).await["udfleet_executors{state=\"lost\"}"] == 1.0).then_some(());
    eventually("the lost executor is counted", lost).await;
    // What it had counted is not forgotten with it.
    let page = metrics(&address).await;
    assert_eq!(page["udfleet_function_rows_total{function=\"double@1\"}"], 150.0);
}
