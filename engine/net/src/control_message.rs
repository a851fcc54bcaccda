//! Control messages (cmsg(3)): how long the datagrams of a message are, both ways, and when one came.

use std::mem::{align_of, size_of};
use std::time::Duration;

/// Room for the control messages of one message, aligned as the kernel wants it.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub struct Control([u8; LEN]);

// SAFETY: CMSG_SPACE only calculates.
const LEN: usize = unsafe {
    libc::CMSG_SPACE(size_of::<libc::c_int>() as u32) as usize
        + libc::CMSG_SPACE(size_of::<libc::timespec>() as u32) as usize
};
const _: () = assert!(align_of::<Control>() >= align_of::<libc::cmsghdr>());

impl Control {
    pub const EMPTY: Control = Control([0; LEN]);

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
    // SAFETY: the kernel writes an int there.
    let length: libc::c_int = unsafe { find(header, libc::SOL_UDP, libc::UDP_GRO)? };
    usize::try_from(length).ok().filter(|&length| length > 0)
}

/// When the kernel took a received message, since the Unix epoch; none where the socket is not asked to tell.
pub fn read_arrival(header: &libc::msghdr) -> Option<Duration> {
    // SAFETY: the kernel writes a timespec there.
    let at: libc::timespec = unsafe { find(header, libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS)? };
    let seconds = u64::try_from(at.tv_sec).ok()?;
    let nanoseconds = u32::try_from(at.tv_nsec).ok()?;
    Some(Duration::new(seconds, nanoseconds))
}

/// The content of the first control message of a kind.
///
/// # Safety
/// The header is as the kernel left it, and what it writes for that kind is a `T`.
unsafe fn find<T>(header: &libc::msghdr, level: libc::c_int, kind: libc::c_int) -> Option<T> {
    // SAFETY: the kernel filled the control buffer that the header names, and its length; the CMSG functions
    // stay inside of that, and the message is looked at only where it holds a whole `T`.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while let Some(current) = message.as_ref() {
            let is_whole = current.cmsg_len >= libc::CMSG_LEN(size_of::<T>() as u32) as _;
            if current.cmsg_level == level && current.cmsg_type == kind && is_whole {
                return Some(libc::CMSG_DATA(message).cast::<T>().read_unaligned());
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    None
}
