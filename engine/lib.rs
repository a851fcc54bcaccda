//! The forwarding half of Switchyard: it moves packets by the table that control wrote.
//!
//! Everything but `process`, `worker`, `reception`, `workers`, `dispatch`, `tcp`, `udp` and `link` is sans-IO: time, datagrams
//! and randomness come in as arguments.

pub mod bandwidth;
pub mod channel;
pub mod codec;
pub mod core;
pub mod dispatch;
pub mod dtls;
#[cfg(test)]
mod faults;
pub mod forward;
mod gathering;
pub mod ice;
pub mod link;
pub mod panics;
pub mod process;
mod reception;
pub mod srtp;
pub mod tcp;
pub mod transport;
pub mod udp;
pub mod wire;
pub mod worker;
pub mod workers;
