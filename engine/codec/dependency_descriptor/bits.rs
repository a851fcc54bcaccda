//! Bits of a descriptor, the highest of a byte first.

/// A reader that ends where the bytes end.
pub struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub fn new(bytes: &'a [u8]) -> Bits<'a> {
        Bits { bytes, at: 0 }
    }

    pub fn flag(&mut self) -> Option<bool> {
        let byte = *self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    /// At most 32 bits, as f(n) of the specification.
    pub fn number(&mut self, count: u32) -> Option<u32> {
        let mut number = 0;
        for _ in 0..count {
            number = number << 1 | u32::from(self.flag()?);
        }
        Some(number)
    }

    /// One of `values` values, as ns(n) of the specification.
    pub fn one_of(&mut self, values: u32) -> Option<u32> {
        let width = u32::BITS - values.leading_zeros();
        let short = (1 << width) - values;
        let value = self.number(width - 1)?;
        if value < short {
            return Some(value);
        }
        Some((value << 1) - short + self.number(1)?)
    }
}
