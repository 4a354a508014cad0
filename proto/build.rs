//! Generates the messages and gRPC services.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = "proto";
    let files: Vec<String> =
        ["types", "function", "error", "plan", "stage", "exchange", "metrics", "cluster", "fleet", "link", "load"]
            .iter()
            .map(|name| format!("{root}/udfleet/v1/{name}.proto"))
            .collect();
    println!("cargo:rerun-if-changed={root}");
    let mut config = prost_build::Config::new();
    config.bytes(["."]);
    config.btree_map(["."]);
    tonic_prost_build::configure().compile_with_config(config, &files, &[root.to_owned()])?;
    Ok(())
}
