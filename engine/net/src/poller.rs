//! One wait for all sockets and for other threads: epoll and an eventfd.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

/// Ready things that one wait reports.
const EVENTS: usize = 64;
const WAKER: u64 = u64::MAX;

/// Waits for sockets to become readable.
pub struct Poller {
    epoll: OwnedFd,
    waker: Waker,
    /// The kernel waits in whole milliseconds only.
    is_coarse: bool,
}

/// Ends a wait from another thread.
#[derive(Clone)]
pub struct Waker(Arc<File>);

impl Waker {
    /// Ends the current or the next wait.
    pub fn wake(&self) {
        // It fails only when the counter is full, and then the wait ends anyway.
        let _ = (&*self.0).write(&1_u64.to_ne_bytes());
    }
}

impl Poller {
    /// A poller that waits for nothing but its waker.
    ///
    /// # Errors
    /// The process has no descriptors left.
    pub fn new() -> io::Result<Poller> {
        // SAFETY: no pointers are passed; the descriptor is checked and owned from here on.
        let epoll = unsafe { owned(libc::epoll_create1(libc::EPOLL_CLOEXEC))? };
        // SAFETY: as above.
        let event = unsafe { owned(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK))? };
        let poller = Poller {
            epoll,
            waker: Waker(Arc::new(File::from(event))),
            is_coarse: false,
        };
        poller.add_raw(poller.waker.0.as_raw_fd(), WAKER)?;
        Ok(poller)
    }

    /// Reports the descriptor as `index` while it is readable.
    ///
    /// # Errors
    /// The kernel's.
    pub fn add(&self, descriptor: &impl AsRawFd, index: usize) -> io::Result<()> {
        self.add_raw(descriptor.as_raw_fd(), index as u64)
    }

    /// Reports the descriptor as `index` while it is writable.
    ///
    /// # Errors
    /// The kernel's.
    pub fn add_writable(&self, descriptor: &impl AsRawFd, index: usize) -> io::Result<()> {
        let operation = libc::EPOLL_CTL_ADD;
        self.control(
            operation,
            descriptor.as_raw_fd(),
            index as u64,
            libc::EPOLLOUT,
        )
    }

    /// Reports a descriptor that was added as `index` while it is readable, and, if wanted, while it is writable.
    ///
    /// # Errors
    /// The kernel's.
    pub fn watch_writable(
        &self,
        descriptor: &impl AsRawFd,
        index: usize,
        wanted: bool,
    ) -> io::Result<()> {
        let events = libc::EPOLLIN | if wanted { libc::EPOLLOUT } else { 0 };
        let operation = libc::EPOLL_CTL_MOD;
        self.control(operation, descriptor.as_raw_fd(), index as u64, events)
    }

    /// Reports a descriptor that was added no more, until it is added again.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove(&self, descriptor: &impl AsRawFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, descriptor.as_raw_fd(), 0, 0)
    }

    fn add_raw(&self, descriptor: RawFd, token: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, descriptor, token, libc::EPOLLIN)
    }

    fn control(
        &self,
        operation: libc::c_int,
        descriptor: RawFd,
        token: u64,
        events: libc::c_int,
    ) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: events as u32,
            u64: token,
        };
        // SAFETY: both descriptors are open and the event is this call's.
        let result = unsafe {
            libc::epoll_ctl(
                self.epoll.as_raw_fd(),
                operation,
                descriptor,
                &raw mut event,
            )
        };
        if result == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }

    /// The handle by which other threads end a wait.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    fn wait_for(&mut self, timeout: Option<Duration>, events: &mut [libc::epoll_event]) -> i32 {
        if !self.is_coarse {
            let timeout = timeout.map(|timeout| libc::timespec {
                tv_sec: timeout.as_secs() as libc::time_t,
                tv_nsec: timeout.subsec_nanos() as libc::c_long,
            });
            let pointer = timeout
                .as_ref()
                .map_or(std::ptr::null(), std::ptr::from_ref);
            // SAFETY: the array has room for that many events, and the time lives until the call returns; without a
            // signal mask its length is not looked at.
            let count = unsafe {
                libc::syscall(
                    libc::SYS_epoll_pwait2,
                    self.epoll.as_raw_fd(),
                    events.as_mut_ptr(),
                    events.len() as libc::c_int,
                    pointer,
                    std::ptr::null::<libc::sigset_t>(),
                    0_usize,
                )
            };
            let error = io::Error::last_os_error().raw_os_error();
            if count >= 0 || !matches!(error, Some(libc::ENOSYS | libc::EPERM)) {
                return count as i32;
            }
            // Linux before 5.11, or a sandbox that does not know the call (old seccomp profiles of containers answer
            // EPERM): milliseconds have to do.
            self.is_coarse = true;
        }
        // Rounded up: a wait that ends early would spin until the timer is due.
        let milliseconds = timeout.map_or(-1, |timeout| {
            i32::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(i32::MAX)
        });
        // SAFETY: the array has room for that many events.
        unsafe {
            libc::epoll_wait(
                self.epoll.as_raw_fd(),
                events.as_mut_ptr(),
                events.len() as libc::c_int,
                milliseconds,
            )
        }
    }

    /// Waits until something is readable, the waker was used, or the time is over, and gives the readable indices to `ready`.
    ///
    /// # Errors
    /// The kernel's.
    pub fn wait(
        &mut self,
        timeout: Option<Duration>,
        mut ready: impl FnMut(usize),
    ) -> io::Result<()> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
        let count = self.wait_for(timeout, &mut events);
        let Ok(count) = usize::try_from(count) else {
            let error = io::Error::last_os_error();
            let interrupted = error.kind() == io::ErrorKind::Interrupted;
            return if interrupted { Ok(()) } else { Err(error) };
        };
        for event in &events[..count] {
            if event.u64 == WAKER {
                let mut counter = [0; 8];
                // Nothing to read means that another wait has read it.
                let _ = (&*self.waker.0).read(&mut counter);
            } else {
                ready(event.u64 as usize);
            }
        }
        Ok(())
    }
}

/// One poller can wait for another: it is readable while one of its descriptors is ready.
impl AsRawFd for Poller {
    fn as_raw_fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }
}

/// # Safety
/// `descriptor` is a fresh one that nobody else owns, or negative.
unsafe fn owned(descriptor: RawFd) -> io::Result<OwnedFd> {
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the caller says that it is nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bind;

    /// Has the kernel answer EPERM to this thread's calls of that number (seccomp(2)).
    fn forbid(call: libc::c_long) {
        let statement = |code: u32, jump_if_false, k| libc::sock_filter {
            code: code as u16,
            jt: 0,
            jf: jump_if_false,
            k,
        };
        let mut program = [
            // The call's number is what seccomp_data begins with.
            statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
            statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, call as u32),
            statement(
                libc::BPF_RET | libc::BPF_K,
                0,
                libc::SECCOMP_RET_ERRNO | libc::EPERM as u32,
            ),
            statement(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW),
        ];
        let filter = libc::sock_fprog {
            len: program.len() as u16,
            filter: program.as_mut_ptr(),
        };
        // SAFETY: the program lives until the kernel has copied it.
        let result = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
                | libc::prctl(
                    libc::PR_SET_SECCOMP,
                    libc::SECCOMP_MODE_FILTER,
                    &raw const filter,
                )
        };
        assert_eq!(result, 0, "{}", io::Error::last_os_error());
    }

    #[test]
    fn a_sandbox_that_forbids_exact_waits_gets_coarse_ones() {
        let thread = std::thread::spawn(|| {
            forbid(libc::SYS_epoll_pwait2);
            let mut poller = Poller::new().unwrap();
            let socket = bind("127.0.0.1:0".parse().unwrap()).unwrap();
            poller.add(&socket, 3).unwrap();
            socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
            let mut seen = Vec::new();
            poller.wait(None, |index| seen.push(index)).unwrap();
            assert_eq!(seen, [3]);
            assert!(poller.is_coarse);
        });
        thread.join().unwrap();
    }

    #[test]
    fn a_stream_is_reported_as_writable_only_while_that_is_wanted() {
        let mut poller = Poller::new().unwrap();
        let (stream, other) = std::os::unix::net::UnixStream::pair().unwrap();
        poller.add(&stream, 5).unwrap();
        let reported = |poller: &mut Poller| {
            let mut seen = Vec::new();
            let wait = poller.wait(Some(Duration::ZERO), |index| seen.push(index));
            wait.map(|()| seen).unwrap()
        };
        assert_eq!(reported(&mut poller), []);
        poller.watch_writable(&stream, 5, true).unwrap();
        assert_eq!(reported(&mut poller), [5]);
        poller.watch_writable(&stream, 5, false).unwrap();
        assert_eq!(reported(&mut poller), []);
        drop(other);
        assert_eq!(reported(&mut poller), [5]);
        poller.remove(&stream).unwrap();
        assert_eq!(reported(&mut poller), []);
    }

    #[test]
    fn a_wait_ends_by_a_datagram_by_the_waker_and_by_time() {
        let mut poller = Poller::new().unwrap();
        let socket = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        poller.add(&socket, 3).unwrap();
        let mut seen = Vec::new();
        poller
            .wait(Some(Duration::ZERO), |index| seen.push(index))
            .unwrap();
        assert!(seen.is_empty());

        let waker = poller.waker();
        let thread = std::thread::spawn(move || waker.wake());
        poller.wait(None, |index| seen.push(index)).unwrap();
        thread.join().unwrap();
        assert!(seen.is_empty());

        socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
        poller.wait(None, |index| seen.push(index)).unwrap();
        assert_eq!(seen, [3]);
    }
}
