//! UDP sockets of a media server.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};

use crate::address;

/// Bytes that the kernel may queue each way for a socket that all peers share, where its limits allow.
const SHARED_BUFFER: libc::c_int = 4 << 20;

/// Opens a non-blocking UDP socket on an address, for many peers. It receives coalesced datagrams where the kernel can
/// (UDP_GRO, udp(7)), which `Receiver` takes apart again.
///
/// # Errors
/// The address is not this machine's, or is taken.
pub fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    bind_with_buffers(address, SHARED_BUFFER)
}

/// The same, with so many bytes that the kernel may queue each way.
///
/// # Errors
/// As `bind`.
pub fn bind_with_buffers(address: SocketAddr, bytes: libc::c_int) -> io::Result<UdpSocket> {
    let descriptor = open(address, libc::SOCK_DGRAM)?;
    // SAFETY: the descriptor is fresh, so it is nobody else's.
    let socket = unsafe { UdpSocket::from_raw_fd(descriptor) };
    bind_to(descriptor, address)?;
    for [force, option] in [
        [libc::SO_RCVBUFFORCE, libc::SO_RCVBUF],
        [libc::SO_SNDBUFFORCE, libc::SO_SNDBUF],
    ] {
        // Without CAP_NET_ADMIN the machine's limits hold, and `missing_buffers` tells.
        if set(descriptor, libc::SOL_SOCKET, force, bytes).is_err() {
            set(descriptor, libc::SOL_SOCKET, option, bytes)?;
        }
    }
    // A kernel that cannot gives each datagram alone.
    let _ = set(descriptor, libc::SOL_UDP, libc::UDP_GRO, 1);
    Ok(socket)
}

/// What the operator should know where the kernel gave a socket of `bind` smaller buffers than it was asked for: a sentence
/// for each, with what to set.
pub fn missing_buffers(socket: &UdpSocket) -> Vec<String> {
    let buffers = [
        (libc::SO_RCVBUF, "receiving", "net.core.rmem_max"),
        (libc::SO_SNDBUF, "sending", "net.core.wmem_max"),
    ];
    let missing = buffers.into_iter().filter_map(|(option, purpose, limit)| {
        // The kernel doubles what it is asked for, and tells the double (socket(7)).
        let given = get(socket.as_raw_fd(), libc::SOL_SOCKET, option).ok()? / 2;
        (given < SHARED_BUFFER).then(|| {
            format!(
                "a media socket has a buffer of {given} bytes for {purpose} instead of {SHARED_BUFFER}, so large rooms \
                 may lose packets: run sysctl -w {limit}={SHARED_BUFFER}, or give the process CAP_NET_ADMIN"
            )
        })
    });
    missing.collect()
}

/// Lets `Receiver::receive_stamped` tell when each datagram came (SO_TIMESTAMPNS, socket(7)).
///
/// # Errors
/// The kernel's.
pub fn stamp_arrivals(socket: &UdpSocket) -> io::Result<()> {
    set(
        socket.as_raw_fd(),
        libc::SOL_SOCKET,
        libc::SO_TIMESTAMPNS,
        1,
    )
}

/// How many messages the kernel has dropped because this socket's queue was full (SO_MEMINFO); a message may be
/// several datagrams of one peer.
///
/// # Errors
/// The kernel's; before Linux 4.12 it does not know.
pub fn dropped_messages(socket: &UdpSocket) -> io::Result<u32> {
    /// Of linux/sock_diag.h: where the drops stand, as the last of the figures.
    const SK_MEMINFO_DROPS: usize = 8;
    let mut figures = [0_u32; SK_MEMINFO_DROPS + 1];
    let mut length = size_of_val(&figures) as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes, which the array has.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            figures.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result == 0 {
        Ok(figures[SK_MEMINFO_DROPS])
    } else {
        Err(io::Error::last_os_error())
    }
}

/// A non-blocking socket of the address's family only, so that `0.0.0.0` and `::` can share a port. The caller owns it.
pub(crate) fn open(address: SocketAddr, kind: libc::c_int) -> io::Result<RawFd> {
    let family = if address.is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    };
    let kind = kind | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers are passed.
    let descriptor = unsafe { libc::socket(family, kind, 0) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(descriptor)
}

/// Gives a socket its address.
pub(crate) fn bind_to(descriptor: RawFd, address: SocketAddr) -> io::Result<()> {
    if address.is_ipv6() {
        set(descriptor, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)?;
    }
    let mut storage = address::empty();
    let length = address::write(&address, &mut storage);
    // SAFETY: the storage holds an address of that length.
    let result = unsafe { libc::bind(descriptor, std::ptr::from_ref(&storage).cast(), length) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// An option that is an int.
pub(crate) fn get(
    descriptor: RawFd,
    level: libc::c_int,
    option: libc::c_int,
) -> io::Result<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes, which the int has; a descriptor that is not open is an error.
    let result = unsafe {
        libc::getsockopt(
            descriptor,
            level,
            option,
            (&raw mut value).cast(),
            &raw mut length,
        )
    };
    if result == 0 {
        Ok(value)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Sets an option that is an int.
pub(crate) fn set(
    descriptor: RawFd,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the value is an int of that size; a descriptor that is not open is an error.
    let result = unsafe {
        libc::setsockopt(
            descriptor,
            level,
            option,
            std::ptr::from_ref(&value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
