//! How many descriptors the process may have.

use std::io;

/// Raises the limit of open descriptors to the highest that the process may give itself, and returns it.
///
/// # Errors
/// The kernel's.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the struct is this call's and the kernel fills it.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the struct is whole and the kernel only reads it.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(limit.rlim_cur)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_limit_is_told() {
        let limit = super::raise_descriptor_limit().unwrap();
        assert_eq!(super::raise_descriptor_limit().unwrap(), limit);
        assert!(limit >= 64);
    }
}
