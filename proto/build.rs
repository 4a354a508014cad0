//! Generates the messages and gRPC services, and says what is built.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = "proto";
    let files: Vec<String> = [
        "types", "function", "error", "plan", "stage", "exchange", "keyed", "metrics", "cluster", "fleet", "link",
        "load", "capsule",
    ]
    .iter()
    .map(|name| format!("{root}/udfleet/v1/{name}.proto"))
    .collect();
    println!("cargo:rerun-if-changed={root}");
    let mut config = prost_build::Config::new();
    config.bytes(["."]);
    config.btree_map(["."]);
    tonic_prost_build::configure().compile_with_config(config, &files, &[root.to_owned()])?;
    // Releases say which commit they are made of. Otherwise it is left out: it would compile everything anew each time.
    println!("cargo:rerun-if-env-changed=UDFLEET_COMMIT");
    let commit = std::env::var("UDFLEET_COMMIT").ok().filter(|commit| !commit.is_empty());
    let commit = commit.map(|commit| format!(" (commit {commit})")).unwrap_or_default();
    println!("cargo:rustc-env=UDFLEET_BUILD={}{commit}", std::env::var("CARGO_PKG_VERSION")?);
    Ok(())
}
