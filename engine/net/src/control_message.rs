//! The one control message (cmsg(3)) of each direction: how long the datagrams of a message are.

use std::mem::{align_of, size_of};

/// Room for one control message of an int, aligned as the kernel wants it.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub struct Control([u8; LEN]);

// SAFETY: CMSG_SPACE and CMSG_LEN only calculate.
const LEN: usize = unsafe { libc::CMSG_SPACE(size_of::<libc::c_int>() as u32) as usize };
const _: () = assert!(align_of::<Control>() >= align_of::<libc::cmsghdr>());

impl Control {
    pub const EMPTY: Control = Control([0; LEN]);

    pub fn as_mut_ptr(&mut self) -> *mut libc::c_void {
        self.0.as_mut_ptr().cast()
    }

    /// Makes it say "cut into datagrams of `length` bytes" (UDP_SEGMENT) and gives its length.
    pub fn write_segment(&mut self, length: u16) -> usize {
        let header = self.0.as_mut_ptr().cast::<libc::cmsghdr>();
        // SAFETY: there is room for a header and an int, aligned; CMSG_DATA stays inside.
        unsafe {
            (*header).cmsg_level = libc::SOL_UDP;
            (*header).cmsg_type = libc::UDP_SEGMENT;
            (*header).cmsg_len = libc::CMSG_LEN(size_of::<u16>() as u32) as _;
            libc::CMSG_DATA(header)
                .cast::<u16>()
                .write_unaligned(length);
            libc::CMSG_SPACE(size_of::<u16>() as u32) as usize
        }
    }
}

/// Bytes of a control buffer.
pub const CONTROL_LEN: usize = LEN;

/// The length of the datagrams that the kernel coalesced into a received message; none when it is one datagram.
pub fn read_segment(header: &libc::msghdr) -> Option<usize> {
    // SAFETY: the kernel filled the control buffer that the header names, and its length; the CMSG functions
    // stay inside of that.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while let Some(current) = message.as_ref() {
            if current.cmsg_level == libc::SOL_UDP && current.cmsg_type == libc::UDP_GRO {
                let length = libc::CMSG_DATA(message)
                    .cast::<libc::c_int>()
                    .read_unaligned();
                return usize::try_from(length).ok().filter(|&length| length > 0);
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    None
}
