//! What a link does to packets.

use serde::Deserialize;

/// Both directions.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shapes {
    pub down: Shape,
    pub up: Shape,
}

/// One direction. A field that is not given changes nothing: any rate, no delay, no loss.
#[derive(Deserialize, Clone, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Shape {
    /// Bits a second of whole IP packets; zero: any.
    pub rate: f64,
    pub delay_ms: f64,
    /// Up to so much more, evenly distributed; the order stays.
    pub jitter_ms: f64,
    /// Share of packets, 0 to 1.
    pub loss: f64,
    /// Loss in bursts (Gilbert and Elliott): the chance that one begins and that one ends, with each packet.
    pub burst_begins: f64,
    pub burst_ends: f64,
    /// Share of packets that come `reorder_ms` late, behind others.
    pub reorder: f64,
    pub reorder_ms: f64,
    /// What does not fit is dropped; zero: 500 ms at the rate.
    pub queue_ms: f64,
}
