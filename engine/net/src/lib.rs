//! Switchyard's thin layer over the kernel's sockets: batches in, batches out, one wait for everything.
//!
//! The only crate with unsafe code.

mod address;
mod poller;
mod udp;

pub use poller::{Poller, Waker};
pub use udp::{BATCH, Datagram, Receiver, Sender, bind};
