//! What a peer sends and gets once it is connected.

use std::time::Instant;

use super::{FeedbackSeen, Laboratory, PUBLISHER_SSRC, Peer, ReceivedPacket, TRANSPORT_WIDE};
use crate::link::proto::event;
use crate::srtp;
use crate::wire::demux::{DatagramKind, classify};
use crate::wire::rtcp::{self, Packet};
use crate::wire::rtp::{Header, HeaderWriter};

impl Laboratory {
    /// Application data as the peer sends it within DTLS.
    pub fn send_data(&mut self, index: usize, data: &[u8]) {
        let mut records = Vec::new();
        let peer = &mut self.peers[index];
        peer.dtls
            .send_data(data, |record| records.push(record.to_vec()));
        for record in records {
            self.deliver(index, &record);
        }
    }

    /// Application data that the peer got.
    pub fn data(&mut self, index: usize) -> Vec<bytes::Bytes> {
        let dtls = &mut self.peers[index].dtls;
        std::iter::from_fn(|| dtls.received()).collect()
    }

    /// What was told of a session's channel, in order: states and reasons of ends.
    pub fn channel_news(&self, session_id: &str, channel_id: u32) -> Vec<(i32, i32)> {
        let of_session = self.events.iter().filter(|e| e.session_id == session_id);
        let changes = of_session.filter_map(|event| match &event.body {
            Some(event::Body::DataChannelChanged(change)) => Some(change),
            _ => None,
        });
        changes
            .filter(|change| change.channel_id == channel_id)
            .map(|change| (change.state, change.end))
            .collect()
    }

    /// A packet of the publisher's stream by its place in it, beyond what a sequence number can say.
    pub fn protect_numbered(&mut self, index: usize, place: u64, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; 256];
        let (number, time) = (place as u16, (place * 960) as u32);
        let writer = HeaderWriter::new(&mut packet, false, 96, number, time, PUBLISHER_SSRC);
        let header = writer.finish();
        let end = header + payload.len();
        packet[header..end].copy_from_slice(payload);
        let (sender, _) = self.peers[index].keys.as_mut().expect("connected");
        let length = sender
            .protect_rtp(&mut packet, end, header, place)
            .expect("it fits");
        packet.truncate(length);
        packet
    }

    pub fn protect_media(
        &mut self,
        index: usize,
        sequence: u16,
        timestamp: u32,
        payload: &[u8],
    ) -> Vec<u8> {
        self.protect_stream(index, PUBLISHER_SSRC, &[], sequence, timestamp, payload)
    }

    /// A packet of any SSRC, with header extensions.
    pub fn protect_stream(
        &mut self,
        index: usize,
        ssrc: u32,
        extensions: &[(u8, &[u8])],
        sequence: u16,
        timestamp: u32,
        payload: &[u8],
    ) -> Vec<u8> {
        let mut packet = vec![0; 2048];
        let mut writer = HeaderWriter::new(&mut packet, false, 96, sequence, timestamp, ssrc);
        if extensions.iter().any(|(_, value)| value.len() > 16) {
            writer.two_byte();
        }
        for (id, value) in extensions {
            writer.extension(*id, value);
        }
        let header = writer.finish();
        let end = header + payload.len();
        packet[header..end].copy_from_slice(payload);
        let (sender, _) = self.peers[index].keys.as_mut().expect("connected");
        let length = sender
            .protect_rtp(&mut packet, end, header, u64::from(sequence))
            .expect("it fits");
        packet.truncate(length);
        packet
    }

    /// A packet of any bytes behind a fixed header, as only the peer itself can make it.
    pub fn protect_any(&mut self, index: usize, mut packet: Vec<u8>) -> Vec<u8> {
        let header = Header::parse(&packet).map_or(12, |header| header.header_len);
        let place = u64::from(u16::from_be_bytes([packet[2], packet[3]]));
        let end = packet.len();
        packet.resize(end + 64, 0);
        let (sender, _) = self.peers[index].keys.as_mut().expect("connected");
        let length = sender
            .protect_rtp(&mut packet, end, header, place)
            .expect("it fits");
        packet.truncate(length);
        packet
    }

    pub fn send_media(&mut self, index: usize, sequence: u16, timestamp: u32, payload: &[u8]) {
        let datagram = self.protect_media(index, sequence, timestamp, payload);
        self.deliver(index, &datagram);
    }

    /// RTCP behind a receiver report, as browsers send it.
    pub fn send_rtcp(&mut self, index: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let mut packet = Vec::new();
        rtcp::push_receiver_report(&mut packet, 1, &[]);
        write(&mut packet);
        let packet = self.protect_rtcp(index, packet);
        self.deliver(index, &packet);
    }

    pub fn protect_rtcp(&mut self, index: usize, mut packet: Vec<u8>) -> Vec<u8> {
        let (sender, _) = self.peers[index].keys.as_mut().expect("connected");
        sender.protect_rtcp(&mut packet).expect("it fits");
        packet
    }

    /// What `send_nack` sends.
    pub fn protect_nack(&mut self, index: usize, ssrc: u32, lost: u16) -> Vec<u8> {
        let mut packet = Vec::new();
        rtcp::push_receiver_report(&mut packet, 1, &[]);
        rtcp::push_nack(&mut packet, 1, ssrc, &[lost]);
        self.protect_rtcp(index, packet)
    }

    pub fn send_nack(&mut self, index: usize, ssrc: u32, lost: u16) {
        self.send_rtcp(index, |packet| rtcp::push_nack(packet, 1, ssrc, &[lost]));
    }

    pub fn received(&mut self, index: usize) -> Vec<ReceivedPacket> {
        std::mem::take(&mut self.peers[index].received)
    }

    pub fn feedback(&mut self, index: usize) -> FeedbackSeen {
        std::mem::take(&mut self.peers[index].feedback)
    }

    /// The NTP times of sender reports that a peer got.
    pub fn sender_reports(&self, index: usize) -> &[u64] {
        &self.peers[index].feedback.sender_reports
    }
}

impl Peer {
    pub(super) fn take(&mut self, now: Instant, mut datagram: Vec<u8>) {
        match classify(&datagram) {
            DatagramKind::Dtls => {
                self.dtls.handle_datagram(&self.certificate, now, &datagram);
                if self.keys.is_some() {
                    // Takes application data in; nothing is to be sent after the handshake.
                    self.dtls.poll(|_| {});
                }
            }
            DatagramKind::Rtp => {
                let size = datagram.len();
                let header = Header::parse(&datagram).expect("well formed");
                let number = (header.ssrc, header.sequence_number);
                let came = self.datagrams.is_some().then(|| datagram.clone());
                let (_, receiver) = self.keys.as_mut().expect("keys before media");
                let length = match (receiver.unprotect_rtp(&mut datagram, &header), &came) {
                    (Err(srtp::Rejected::Replayed), Some(came)) => {
                        // Under one nonce there is one packet; another one is only so late that it may be a repeat.
                        let known = self.datagrams.as_ref().and_then(|all| all.get(&number));
                        return assert!(known.is_none_or(|known| known == came), "{number:?}");
                    }
                    (result, _) => result.expect("authentic"),
                };
                if let (Some(all), Some(came)) = (&mut self.datagrams, came) {
                    all.insert(number, came);
                }
                let payload = header.payload(&datagram[..length]).expect("well formed");
                self.received.push(ReceivedPacket {
                    payload_type: header.payload_type,
                    sequence_number: header.sequence_number,
                    timestamp: header.timestamp,
                    ssrc: header.ssrc,
                    marker: header.marker,
                    size,
                    payload: payload.to_vec(),
                    packet: datagram[..length].to_vec(),
                    extensions: header
                        .extensions(&datagram[..length])
                        .map(|(id, value)| (id, value.to_vec()))
                        .collect(),
                    at: now,
                    transport_sequence: header
                        .extensions(&datagram[..length])
                        .find(|&(id, value)| id == TRANSPORT_WIDE && value.len() == 2)
                        .map(|(_, value)| u16::from_be_bytes([value[0], value[1]])),
                });
            }
            DatagramKind::Rtcp => {
                let (_, receiver) = self.keys.as_mut().expect("keys before media");
                let length = receiver.unprotect_rtcp(&mut datagram).expect("authentic");
                let about = transport_feedback_ssrc(&datagram[..length]);
                self.feedback.transport_feedback.extend(about);
                for packet in rtcp::parse(&datagram[..length]) {
                    match packet.expect("well formed") {
                        Packet::Pli { media_ssrc } => {
                            self.feedback.pli += 1;
                            self.feedback.pli_ssrcs.push(media_ssrc);
                        }
                        Packet::SenderReport { ntp, .. } => {
                            self.feedback.sender_reports.push(ntp);
                        }
                        Packet::Nack { entries, .. } => self.feedback.nacked.extend(entries),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
}

/// The media SSRC of the transport-wide feedback in a compound packet: type 205, format 15.
fn transport_feedback_ssrc(mut compound: &[u8]) -> Option<u32> {
    while let [first, packet_type, high, low, ..] = *compound {
        if (first & 0x1f, packet_type) == (15, 205) {
            return Some(u32::from_be_bytes(compound[8..12].try_into().ok()?));
        }
        compound = &compound[4 * (usize::from(u16::from_be_bytes([high, low])) + 1)..];
    }
    None
}
