//! The system calls that the standard library does not have, each wrapped once.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// `Ok(value)` unless it is negative, which is how system calls say `errno`.
pub(crate) fn checked<T: Default + PartialOrd>(value: T) -> io::Result<T> {
    if value < T::default() {
        Err(io::Error::last_os_error())
    } else {
        Ok(value)
    }
}

pub(crate) fn owned(fd: libc::c_int) -> io::Result<OwnedFd> {
    let fd = checked(fd)?;
    // SAFETY: the kernel has just returned this descriptor, so it is open and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `CLOCK_MONOTONIC` in nanoseconds.
pub(crate) fn monotonic_ns() -> u64 {
    clock_ns(libc::CLOCK_MONOTONIC)
}

/// `CLOCK_REALTIME` in nanoseconds since 1970, as the kernel stamps what it receives.
pub(crate) fn realtime_ns() -> u64 {
    clock_ns(libc::CLOCK_REALTIME)
}

/// What monotonic time lacks to nanoseconds since 1970, until somebody sets the clock.
pub(crate) fn utc_offset_ns() -> u64 {
    realtime_ns().wrapping_sub(monotonic_ns())
}

fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid timespec to write to; both clocks always exist, so the result needs no check.
    unsafe { libc::clock_gettime(clock, &mut time) };
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000
        + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// A counter that wakes a poll.
#[derive(Debug)]
pub(crate) struct Wake(OwnedFd);

impl Wake {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no pointers are passed.
        owned(unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) }).map(Self)
    }

    pub(crate) fn wake(&self) {
        let one = 1u64;
        // SAFETY: eight bytes are read from `one`. A full counter wakes as well, so the result does not matter.
        unsafe { libc::write(self.0.as_raw_fd(), (&raw const one).cast(), 8) };
    }

    pub(crate) fn clear(&self) {
        clear(&self.0);
    }
}

impl AsRawFd for Wake {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

fn clear(fd: &OwnedFd) {
    let mut count = 0u64;
    // SAFETY: eight bytes are written to `count`. Nothing to read is fine: it is clear then.
    unsafe { libc::read(fd.as_raw_fd(), (&raw mut count).cast(), 8) };
}

/// A timer at an absolute monotonic time, to the nanosecond (epoll's own time-out counts milliseconds).
#[derive(Debug)]
pub(crate) struct Timer {
    fd: OwnedFd,
    armed_ns: Option<u64>,
}

impl Timer {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no pointers are passed.
        let fd = owned(unsafe {
            libc::timerfd_create(
                libc::CLOCK_MONOTONIC,
                libc::TFD_NONBLOCK | libc::TFD_CLOEXEC,
            )
        })?;
        Ok(Self { fd, armed_ns: None })
    }

    /// Fire at `at_ns`, or never.
    pub(crate) fn arm(&mut self, at_ns: Option<u64>) -> io::Result<()> {
        if self.armed_ns == at_ns {
            return Ok(());
        }
        // All zero would disarm; a deadline in the past must fire at once.
        let at = at_ns.map_or(0, |at| at.max(1));
        let value = libc::timespec {
            tv_sec: libc::time_t::try_from(at / 1_000_000_000).unwrap_or(libc::time_t::MAX),
            tv_nsec: (at % 1_000_000_000) as libc::c_long,
        };
        let spec = libc::itimerspec {
            it_interval: libc::timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            it_value: value,
        };
        // SAFETY: `spec` lives through the call, and the old value is not asked for.
        let set = unsafe {
            libc::timerfd_settime(
                self.fd.as_raw_fd(),
                libc::TFD_TIMER_ABSTIME,
                &spec,
                std::ptr::null_mut(),
            )
        };
        checked(set)?;
        self.armed_ns = at_ns;
        Ok(())
    }

    pub(crate) fn clear(&mut self) {
        clear(&self.fd);
        self.armed_ns = None;
    }
}

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// Let the calling thread's sleeps end when they are due, not with others' up to 50 µs later (prctl(2), PR_SET_TIMERSLACK).
pub(crate) fn sleep_exactly() -> io::Result<()> {
    // SAFETY: no pointers are passed.
    checked(unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1) }).map(drop)
}

/// Keep the calling thread on one CPU.
pub(crate) fn pin_to(cpu: usize) -> io::Result<()> {
    // SAFETY: a CPU set is plain bits, and all zero is the empty one.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    if cpu >= libc::CPU_SETSIZE as usize {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: `cpu` is inside the set, checked above.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: `set` lives through the call; 0 is the calling thread.
    checked(unsafe { libc::sched_setaffinity(0, std::mem::size_of_val(&set), &set) }).map(drop)
}

/// Let the process open as many descriptors as it is allowed to: a relay with many channels needs more than 1024.
pub(crate) fn raise_file_limit() {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is valid to write to. A failure leaves the limit as it was, and opening a socket will say so.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 && limit.rlim_cur < limit.rlim_max
        {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}

/// Set one socket option to a plain value.
pub(crate) fn set_option<T: Copy>(
    fd: RawFd,
    level: libc::c_int,
    name: libc::c_int,
    value: &T,
) -> io::Result<()> {
    let size = std::mem::size_of::<T>() as libc::socklen_t;
    // SAFETY: `size` bytes are read from `value`, which lives through the call.
    checked(unsafe { libc::setsockopt(fd, level, name, std::ptr::from_ref(value).cast(), size) })
        .map(drop)
}

/// Read one socket option that is a plain value.
pub(crate) fn get_option<T: Copy + Default>(
    fd: RawFd,
    level: libc::c_int,
    name: libc::c_int,
) -> io::Result<T> {
    let mut value = T::default();
    let mut size = std::mem::size_of::<T>() as libc::socklen_t;
    let to = std::ptr::from_mut(&mut value).cast();
    // SAFETY: at most `size` bytes are written to `value`, which has that many.
    checked(unsafe { libc::getsockopt(fd, level, name, to, &mut size) })?;
    Ok(value)
}
