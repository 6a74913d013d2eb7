//! Waiting for sockets, for standard input's end and for SIGTERM, with nanosecond time-outs.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// What a wait ended with.
pub struct Woken {
    /// Which of the sockets can be read.
    pub ready: Vec<usize>,
    /// Whether SIGTERM or SIGINT came, or standard input closed.
    pub stop: bool,
}

/// Waits on a fixed set of sockets.
pub struct Poller {
    signals: OwnedFd,
    polls: Vec<libc::pollfd>,
    input_is_open: bool,
}

impl Poller {
    /// Watch `sockets`; from here on SIGTERM and SIGINT end a wait instead of the process.
    pub fn new(sockets: impl Iterator<Item = RawFd>) -> io::Result<Self> {
        let signals = signal_descriptor()?;
        let fixed = [signals.as_raw_fd(), libc::STDIN_FILENO];
        let polls = fixed.into_iter().chain(sockets);
        let polls = polls
            .map(|fd| libc::pollfd {
                fd,
                events: libc::POLLIN,
                revents: 0,
            })
            .collect();
        Ok(Self {
            signals,
            polls,
            input_is_open: true,
        })
    }

    /// Wait until something happens, at most `timeout_ns`; forever with none.
    pub fn wait(&mut self, timeout_ns: Option<u64>) -> io::Result<Woken> {
        self.polls[0].fd = self.signals.as_raw_fd();
        self.polls[1].fd = if self.input_is_open {
            libc::STDIN_FILENO
        } else {
            -1
        };
        let time = timeout_ns.map(|ns| libc::timespec {
            tv_sec: (ns / 1_000_000_000) as libc::time_t,
            tv_nsec: (ns % 1_000_000_000) as libc::c_long,
        });
        let time = time
            .as_ref()
            .map_or(std::ptr::null(), |time| &raw const *time);
        // SAFETY: the pointer and count describe `polls`; `time` is null or outlives the call.
        let status = unsafe {
            libc::ppoll(
                self.polls.as_mut_ptr(),
                self.polls.len() as libc::nfds_t,
                time,
                std::ptr::null(),
            )
        };
        if status < 0 && io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return Err(io::Error::last_os_error());
        }
        let ready =
            (2..self.polls.len()).filter(|index| status > 0 && self.polls[*index].revents != 0);
        let ready = ready.map(|index| index - 2).collect();
        let stop = status > 0 && (self.polls[0].revents != 0 || self.input_ended());
        Ok(Woken { ready, stop })
    }

    /// Read and forget standard input; true once it has ended.
    fn input_ended(&mut self) -> bool {
        if self.polls[1].revents == 0 {
            return false;
        }
        let mut scrap = [0u8; 256];
        // SAFETY: the pointer and length describe `scrap`.
        let count =
            unsafe { libc::read(libc::STDIN_FILENO, scrap.as_mut_ptr().cast(), scrap.len()) };
        self.input_is_open = count > 0;
        !self.input_is_open
    }
}

fn signal_descriptor() -> io::Result<OwnedFd> {
    // SAFETY: `set` is initialised by sigemptyset; a descriptor that signalfd returns is ours to own.
    unsafe {
        let mut set: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGTERM);
        libc::sigaddset(&raw mut set, libc::SIGINT);
        if libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
        let fd = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC);
        if fd < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(OwnedFd::from_raw_fd(fd))
        }
    }
}
