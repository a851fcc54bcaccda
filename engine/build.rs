//! Makes the Rust types of `proto/engine.proto`, without a protoc on the machine.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = "../proto/engine.proto";
    println!("cargo:rerun-if-changed={file}");
    let descriptors = protox::compile([file], ["../proto"])?;
    prost_build::Config::new().compile_fds(descriptors)?;
    Ok(())
}
