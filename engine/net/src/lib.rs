//! Switchyard's thin layer over the kernel's sockets: batches in, batches out, one wait for everything.
//!
//! The only crate with unsafe code.

mod address;
mod apart;
mod backlog;
mod batch;
mod control_message;
mod fixed;
mod limit;
#[cfg(test)]
mod narrow_link_tests;
mod poller;
mod prefetch;
mod private;
mod receive;
mod rest;
mod send;
mod socket;
mod stream;
#[cfg(test)]
mod tests;
mod tun;

pub use backlog::Losses;
pub use batch::MAX_SEGMENTS;
pub use limit::raise_descriptor_limit;
pub use poller::{Poller, Waker};
pub use prefetch::prefetch;
pub use private::create_private_files;
pub use receive::{BATCH, Receiver};
pub use rest::Rest;
pub use send::{MAX_MESSAGE, Message, Sender};
pub use socket::{bind, bind_with_buffers, dropped_messages, missing_buffers, stamp_arrivals};
pub use stream::{accept, limit_unsent, listen};
pub use tun::open_tun;
