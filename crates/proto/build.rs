//! Compiles `proto/kontiki/v1/*.proto` without protoc: protox parses, prost and tonic generate.

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["kv.proto", "admin.proto"];
    let root = Path::new("proto");
    let descriptors =
        protox::compile(files.map(|file| root.join("kontiki/v1").join(file)), [root])?;
    tonic_prost_build::configure()
        // `bytes` become shared slices of the received buffer: no copy from socket to engine.
        .bytes(".")
        // Ordered maps, so that the same status prints the same way twice.
        .btree_map(".")
        // Endpoints and their options are the caller's; no `connect` is generated.
        .build_transport(false)
        .compile_fds(descriptors)?;
    println!("cargo::rerun-if-changed=proto");
    Ok(())
}
