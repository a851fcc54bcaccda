//! Send-side congestion control for one peer, after GoogCC (draft-ietf-rmcat-gcc-02) and the behaviour of libwebrtc.
//!
//! `sent_packets -> arrival_group -> slope_estimator -> overuse_detector -> rate_controller`, bounded by
//! `loss_estimator` and the peer's own word; in a queue that another keeps full (`competition`) losses alone decide.
//! `probe` looks for room above, `pacer` lets repairs out, `allocation` shares the result. Sans-IO: time and feedback come
//! in, figures come out.

mod acked_bitrate;
pub mod allocation;
mod arrival_group;
mod competition;
mod credit;
mod crowding;
pub mod estimator;
mod loss_estimator;
mod overuse_detector;
pub mod pacer;
mod peer_clock;
mod probe;
mod queue_delay;
mod rate_controller;
mod repair_queue;
mod sent_packets;
mod signs;
mod slope_estimator;
mod trials;
mod usual_rate;

#[cfg(test)]
mod tests;
