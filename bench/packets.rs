//! The packets that one SSRC sends, protected.

use std::io;

use switchyard_engine::wire::rtp::HeaderWriter;

use crate::endpoint::Endpoint;
use crate::sdp::{Kind, MID_EXTENSION};

/// Bytes of a packet and more.
const BUFFER: usize = 2048;

pub struct Packets {
    ssrc: u32,
    payload_type: u8,
    mid: &'static str,
    /// Of the next one: SRTP's packet index, whose low bits are the sequence number.
    index: u64,
    buffer: Vec<u8>,
}

/// Of a packet's header, beside what all packets have.
pub struct Start<'a> {
    pub marker: bool,
    pub timestamp: u32,
    /// Header extensions beside the mid.
    pub extensions: &'a [(u8, &'a [u8])],
}

impl Packets {
    /// None was sent yet.
    pub fn new(ssrc: u32, kind: Kind, mid: &'static str) -> Packets {
        Packets {
            ssrc,
            payload_type: kind.payload_type(),
            mid,
            index: 1,
            buffer: vec![0; BUFFER],
        }
    }

    /// Of the next packet.
    pub fn sequence_number(&self) -> u16 {
        self.index as u16
    }

    /// Sends a packet with so many bytes of payload, which `fill` writes: they are those of an earlier packet.
    pub fn send(
        &mut self,
        endpoint: &Endpoint,
        start: &Start<'_>,
        size: usize,
        fill: impl FnOnce(&mut [u8]),
    ) -> io::Result<()> {
        let sender = endpoint
            .sender
            .as_ref()
            .ok_or(io::ErrorKind::NotConnected)?;
        let mut writer = HeaderWriter::new(
            &mut self.buffer,
            start.marker,
            self.payload_type,
            self.index as u16,
            start.timestamp,
            self.ssrc,
        );
        writer.extension(MID_EXTENSION, self.mid.as_bytes());
        for &(id, value) in start.extensions {
            writer.extension(id, value);
        }
        let header = writer.finish();
        fill(&mut self.buffer[header..header + size]);
        let length = sender
            .protect_rtp(&mut self.buffer, header + size, header, self.index)
            .ok_or_else(|| io::Error::other("a packet could not be protected"))?;
        endpoint.send(&self.buffer[..length])?;
        self.index += 1;
        Ok(())
    }
}
