//! Where a packet's frame stands among the layers of its encoding: by the dependency descriptor, which can be read of
//! an encrypted payload as well, else by the payload.

use super::layer::Placement;
use super::{Codec, dependency_descriptor, vp8, vp9};

/// What an encoding's earlier packets said that is needed to understand later ones.
#[derive(Default)]
pub struct LayerReader {
    structure: Option<Box<dependency_descriptor::Structure>>,
    /// Spatial layers of VP9.
    sizes: Option<u8>,
}

impl LayerReader {
    /// The packet's place; none where the encoding has no layers, or they are not understood.
    #[inline]
    pub fn read(
        &mut self,
        codec: Codec,
        payload: &[u8],
        descriptor: Option<&[u8]>,
    ) -> Option<Placement> {
        let described =
            descriptor.and_then(|value| dependency_descriptor::place(value, &mut self.structure));
        match (described, codec) {
            (Some(placement), _) => Some(Placement {
                counts_pictures: codec == Codec::Vp8,
                ..placement
            }),
            (None, Codec::Vp8) => vp8::placement(payload),
            (None, Codec::Vp9) => vp9::placement(payload, &mut self.sizes),
            (None, _) => None,
        }
    }
}
