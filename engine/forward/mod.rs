//! From a publication to its subscriptions: order, losses, the shared cache, key frames, rewriting.

pub mod bitrate;
pub mod cache;
pub mod encoding;
pub mod key_frame;
pub mod layer_choice;
pub mod layer_rates;
pub mod loss;
pub mod mapping;
pub mod numbering;
pub mod protection;
pub mod publication;
pub mod reception;
pub mod repeats;
pub mod subscription;
pub mod thinning;
