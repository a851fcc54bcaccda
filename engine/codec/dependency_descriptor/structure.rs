//! The structure that a key frame's descriptor brings (AV1 RTP specification, appendix A.8.2), and what a frame is by it.

use super::super::layer::{Layer, Placement, Targets};
use super::bits::Bits;

const MAX_TEMPLATES: usize = 64;
const MAX_DECODE_TARGETS: usize = 32;

/// How a frame matters to a decode target (A.8.3.2): two bits each.
const NOT_PRESENT: u8 = 0;
const SWITCH: u8 = 2;

/// What a kind of frames has in common.
#[derive(Clone, Copy)]
struct Template {
    layer: Layer,
    /// For each decode target.
    indications: [u8; MAX_DECODE_TARGETS],
    /// As in `Placement`.
    references: u64,
}

/// The frames of a coded video sequence.
pub struct Structure {
    id_offset: u8,
    templates: Vec<Template>,
    decode_targets: usize,
    /// The layer of each decode target.
    targets: [Option<Layer>; MAX_DECODE_TARGETS],
    /// Which of them the encoder makes now.
    active: u32,
}

/// The five flags in front of what is optional (A.8.1).
struct Flags {
    structure: bool,
    active_targets: bool,
    own_indications: bool,
    own_references: bool,
}

impl Structure {
    fn read(bits: &mut Bits<'_>) -> Option<Structure> {
        let id_offset = bits.number(6)? as u8;
        let decode_targets = bits.number(5)? as usize + 1;
        let mut templates = read_layers(bits)?;
        for template in &mut templates {
            read_indications(bits, &mut template.indications[..decode_targets])?;
        }
        for template in &mut templates {
            template.references = 0;
            while bits.flag()? {
                refer(&mut template.references, bits.number(4)? + 1);
            }
        }
        let chains = bits.one_of(decode_targets as u32 + 1)?;
        if chains > 0 {
            for _ in 0..decode_targets {
                bits.one_of(chains)?;
            }
            for _ in 0..templates.len() as u32 * chains {
                bits.number(4)?;
            }
        }
        if bits.flag()? {
            let sizes = templates.iter().map(|template| template.layer.spatial);
            for _ in 0..=sizes.max().unwrap_or(0) {
                bits.number(32)?;
            }
        }
        Some(Structure {
            id_offset,
            decode_targets,
            targets: target_layers(&templates, decode_targets),
            templates,
            active: u32::MAX,
        })
    }

    fn placement(
        &self,
        descriptor: &[u8],
        flags: &Flags,
        bits: &mut Bits<'_>,
    ) -> Option<Placement> {
        let id = (descriptor[0] & 0x3f).wrapping_sub(self.id_offset) & 0x3f;
        let mut template = *self.templates.get(usize::from(id))?;
        if flags.own_indications {
            read_indications(bits, &mut template.indications[..self.decode_targets])?;
        }
        if flags.own_references {
            template.references = 0;
            loop {
                match bits.number(2)? {
                    0 => break,
                    size => refer(&mut template.references, bits.number(4 * size)? + 1),
                }
            }
        }
        let mut placement = Placement {
            layer: template.layer,
            offered: Targets::default(),
            needed: Targets::default(),
            switch: Targets::default(),
            rate_switch: false,
            size_falls: false,
            references: template.references,
            frame_number: super::frame_number(descriptor),
            ends_frame: descriptor[0] & 0x40 != 0,
            counts_pictures: false,
        };
        for target in 0..self.decode_targets {
            let Some(layer) = self.targets[target].filter(|_| self.active & 1 << target != 0)
            else {
                continue;
            };
            placement.offered.insert(layer);
            if template.indications[target] != NOT_PRESENT {
                placement.needed.insert(layer);
            }
            if template.indications[target] == SWITCH {
                placement.switch.insert(layer);
            }
        }
        Some(placement)
    }
}

/// Reads a frame's descriptor by the structure of its sequence, which it may bring itself. None where it says nothing
/// that can be relied on: it is malformed, its structure has not come, or has more layers than are told apart.
pub fn place(descriptor: &[u8], structure: &mut Option<Box<Structure>>) -> Option<Placement> {
    let optional = descriptor.get(super::MANDATORY_LEN..)?;
    let mut bits = Bits::new(optional);
    let mut flags = Flags {
        structure: false,
        active_targets: false,
        own_indications: false,
        own_references: false,
    };
    if !optional.is_empty() {
        flags.structure = bits.flag()?;
        flags.active_targets = bits.flag()?;
        flags.own_indications = bits.flag()?;
        flags.own_references = bits.flag()?;
        // Chains of its own come last: nothing after them is read.
        bits.flag()?;
    }
    if flags.structure {
        *structure = Structure::read(&mut bits).map(Box::new);
    }
    let structure = structure.as_mut()?;
    if flags.active_targets {
        let mut active = 0;
        for target in 0..structure.decode_targets {
            active |= u32::from(bits.flag()?) << target;
        }
        structure.active = active;
    }
    structure.placement(descriptor, &flags, &mut bits)
}

/// A.8.2.2: templates in the order of their layers, each with how the next one differs.
fn read_layers(bits: &mut Bits<'_>) -> Option<Vec<Template>> {
    let mut templates = Vec::new();
    let mut layer = Layer {
        spatial: 0,
        temporal: 0,
    };
    loop {
        if templates.len() == MAX_TEMPLATES {
            return None;
        }
        templates.push(Template {
            layer,
            indications: [NOT_PRESENT; MAX_DECODE_TARGETS],
            references: 0,
        });
        layer = match bits.number(2)? {
            0 => layer,
            1 => Layer::new(layer.spatial, layer.temporal + 1)?,
            2 => Layer::new(layer.spatial + 1, 0)?,
            _ => return Some(templates),
        };
    }
}

fn read_indications(bits: &mut Bits<'_>, indications: &mut [u8]) -> Option<()> {
    for indication in indications {
        *indication = bits.number(2)? as u8;
    }
    Some(())
}

/// One that is further back than can be noted is taken as there.
fn refer(references: &mut u64, difference: u32) {
    if let Some(bit) = 1_u64.checked_shl(difference - 1) {
        *references |= bit;
    }
}

/// A decode target's layer is the highest of the frames in it (A.8.2.7).
fn target_layers(
    templates: &[Template],
    decode_targets: usize,
) -> [Option<Layer>; MAX_DECODE_TARGETS] {
    std::array::from_fn(|target| {
        let present = templates
            .iter()
            .filter(|template| template.indications[target] != NOT_PRESENT);
        let layers = present.map(|template| template.layer);
        let highest = layers.reduce(|a, b| Layer {
            spatial: a.spatial.max(b.spatial),
            temporal: a.temporal.max(b.temporal),
        });
        highest.filter(|_| target < decode_targets)
    })
}
