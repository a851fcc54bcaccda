//! The socket to control: requests in, answers and events out. No logic but how long what control does not read may wait.

pub(crate) mod frame;
mod queue;
mod server;

pub use server::{Inbound, Outbound, Server};

/// The messages of `proto/engine.proto`.
#[allow(missing_docs, clippy::all)]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/switchyard.engine.v1.rs"));
}
