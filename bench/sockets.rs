//! The sockets of a thread's endpoints: one wait for all, and what they share to read with.

use std::net::UdpSocket;
use std::time::{Duration, Instant, SystemTime};

use switchyard_net as net;

/// Sockets that were added by the indices of their endpoints.
pub struct Sockets {
    poller: net::Poller,
    pub receiver: net::Receiver,
}

impl Sockets {
    /// None yet.
    pub fn new() -> Result<Sockets, String> {
        Ok(Sockets {
            poller: net::Poller::new().map_err(text)?,
            receiver: net::Receiver::default(),
        })
    }

    /// Waits for this one too; the kernel stamps what comes to it.
    pub fn add(&self, socket: &UdpSocket, index: usize) -> Result<(), String> {
        net::stamp_arrivals(socket).map_err(text)?;
        self.poller.add(socket, index).map_err(text)
    }

    /// Those that have something to read, some of them where there are many; none after the time.
    pub fn wait(&mut self, time: Duration) -> Result<Vec<usize>, String> {
        let mut ready = Vec::with_capacity(64);
        self.poller
            .wait(Some(time), |index| ready.push(index))
            .map_err(text)?;
        Ok(ready)
    }
}

/// Takes turns until then.
pub fn turns(end: Instant, mut turn: impl FnMut() -> Result<(), String>) -> Result<(), String> {
    while Instant::now() < end {
        turn()?;
    }
    Ok(())
}

/// Since the Unix epoch, by the clock that the kernel stamps with.
pub fn clock() -> Duration {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

pub fn text(error: std::io::Error) -> String {
    error.to_string()
}
