//! Frames of the link: a 32-bit big-endian length, then one protobuf message.

use std::io::{self, Read, Write};

use prost::Message;

/// No table comes near it; a length beyond is a mistake.
const MAX_FRAME: usize = 16 << 20;

/// Reads one message; none at the end of the stream.
///
/// # Errors
/// The stream's, or `InvalidData` for a frame that is none.
pub fn read<M: Message + Default>(stream: &mut impl Read) -> io::Result<Option<M>> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u32::from_be_bytes(length) as usize;
    if length > MAX_FRAME {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "frame too long"));
    }
    // Memory grows with what really comes, not with what the length claims.
    let mut body = Vec::new();
    stream.take(length as u64).read_to_end(&mut body)?;
    if body.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let message =
        M::decode(&body[..]).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(Some(message))
}

/// Writes one message.
///
/// # Errors
/// The stream's.
pub fn write(stream: &mut impl Write, message: &impl Message) -> io::Result<()> {
    let body = message.encode_to_vec();
    let mut frame = Vec::with_capacity(body.len() + 4);
    frame.extend((body.len() as u32).to_be_bytes());
    frame.extend(body);
    stream.write_all(&frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::proto;

    #[test]
    fn a_message_comes_out_as_it_went_in() {
        let request = proto::Request {
            id: 7,
            body: Some(proto::request::Body::Snapshot(proto::Snapshot {
                in_pieces: true,
            })),
            worker: 1,
        };
        let mut stream = Vec::new();
        write(&mut stream, &request).unwrap();
        let mut stream = &stream[..];
        assert_eq!(read(&mut stream).unwrap(), Some(request));
        assert_eq!(read::<proto::Request>(&mut stream).unwrap(), None);
    }

    #[test]
    fn lengths_that_lie_are_errors() {
        for frame in [
            &[0xff, 0xff, 0xff, 0xff, 0][..],
            &[0, 0, 0, 9, 1][..],
            &[0, 0, 0, 1, 0xff][..],
        ] {
            assert!(read::<proto::Request>(&mut &frame[..]).is_err());
        }
    }
}
