//! Files and sockets that nobody else may open.

/// Makes everything that this process creates from now on its user's alone: a socket is private from the moment it is
/// bound, whatever the mask was that the process inherited.
pub fn create_private_files() {
    // SAFETY: umask only swaps a number of the process, and cannot fail.
    unsafe { libc::umask(0o077) };
}
