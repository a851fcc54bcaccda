//! Switchyard's thin layer over the kernel's sockets: batches in, batches out, one wait for everything.
//!
//! The only crate with unsafe code.

mod address;
mod control_message;
mod limit;
mod poller;
mod prefetch;
mod receive;
mod rest;
mod send;
mod socket;
mod stream;
#[cfg(test)]
mod tests;
mod tun;

pub use limit::raise_descriptor_limit;
pub use poller::{Poller, Waker};
pub use prefetch::prefetch;
pub use receive::{BATCH, Receiver};
pub use rest::Rest;
pub use send::{MAX_MESSAGE, MAX_SEGMENTS, Message, Sender};
pub use socket::{bind, dropped_messages, stamp_arrivals};
pub use stream::{accept, limit_unsent, listen};
pub use tun::open_tun;
