//! Waiting until one of several descriptors has something, level-triggered.
//!
//! Few are asked by poll(2), many by epoll(7). A descriptor in an epoll set costs whoever sends to it: the kernel calls
//! back for each datagram, asleep or not. poll(2) hangs on to descriptors only while it sleeps, but looks at each of them
//! in each call.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use crate::system::{checked, owned};

/// Up to so many are few: two lines of several channels, a timer and a wake-up.
const FEW: usize = 16;

/// Where the next packet comes so soon after the thread has nothing left, it is not waited for: see [`Poller::wait`].
const DENSE: Duration = Duration::from_micros(20);

/// How long packets then gather.
const GATHERING: Duration = Duration::from_micros(40);

/// So many datagrams make the most of a system call.
const WELL_FILLED: usize = 32;

/// How many of many are told at a time.
const EVENTS: usize = 256;

#[derive(Debug)]
pub(crate) struct Poller {
    busy_wait: Duration,
    /// Whether packets come faster than the thread is put to sleep and woken up.
    dense: bool,
    /// In the same order: what poll(2) takes, and whose it is.
    polled: Vec<libc::pollfd>,
    tokens: Vec<u64>,
    /// The same descriptors, while there are many.
    many: Option<OwnedFd>,
    events: Vec<libc::epoll_event>,
}

impl Poller {
    /// With nothing ready, `busy_wait_ns` are spent asking again before the thread sleeps: waking it up takes longer.
    pub(crate) fn new(busy_wait_ns: u64) -> Self {
        Self {
            busy_wait: Duration::from_nanos(busy_wait_ns),
            dense: false,
            polled: Vec::new(),
            tokens: Vec::new(),
            many: None,
            events: vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS],
        }
    }

    pub(crate) fn add(&mut self, fd: RawFd, token: u64) -> io::Result<()> {
        if let Some(many) = &self.many {
            enter(many, fd, token)?;
        } else if self.polled.len() == FEW {
            // SAFETY: no pointers are passed.
            let many = owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
            for (member, token) in self.polled.iter().zip(&self.tokens) {
                enter(&many, member.fd, *token)?;
            }
            enter(&many, fd, token)?;
            self.many = Some(many);
        }
        self.polled.push(libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        });
        self.tokens.push(token);
        Ok(())
    }

    /// Before the descriptor is closed.
    pub(crate) fn remove(&mut self, fd: RawFd) {
        if let Some(at) = self.polled.iter().position(|member| member.fd == fd) {
            self.polled.swap_remove(at);
            self.tokens.swap_remove(at);
        }
        if let Some(many) = &self.many {
            // SAFETY: the kernel ignores the event. A descriptor that it does not know is removed already.
            unsafe {
                libc::epoll_ctl(
                    many.as_raw_fd(),
                    libc::EPOLL_CTL_DEL,
                    fd,
                    std::ptr::null_mut(),
                )
            };
        }
        if self.polled.len() <= FEW {
            self.many = None;
        }
    }

    /// Wait until something is ready, and put the tokens into `ready`.
    ///
    /// Where packets are dense the thread sleeps for a short time of its own, as network cards do with interrupts: nobody
    /// has to wake it up, which would cost whoever sends more than the packet itself, and what gathered leaves together.
    /// Who asks for `busy_wait` has no use for that, nor has who `taken` as many last time as leave together well.
    pub(crate) fn wait(&mut self, ready: &mut Vec<u64>, taken: usize) -> io::Result<()> {
        ready.clear();
        if !self.busy_wait.is_zero() {
            let began = Instant::now();
            while ready.is_empty() && began.elapsed() < self.busy_wait {
                self.ask(ready, 0)?;
            }
        } else if self.dense && taken < WELL_FILLED {
            std::thread::sleep(GATHERING);
            self.ask(ready, 0)?;
            self.dense = !ready.is_empty();
        }
        if ready.is_empty() {
            let began = Instant::now();
            self.ask(ready, -1)?;
            self.dense = began.elapsed() < DENSE;
        }
        Ok(())
    }

    /// Put what is ready into `ready`, after `timeout_ms` at the latest; -1 waits for as long as it takes.
    fn ask(&mut self, ready: &mut Vec<u64>, timeout_ms: libc::c_int) -> io::Result<()> {
        let asked = match &self.many {
            Some(many) => {
                let (room, events) = (EVENTS as libc::c_int, self.events.as_mut_ptr());
                // SAFETY: `events` has room for `room` entries.
                unsafe { libc::epoll_wait(many.as_raw_fd(), events, room, timeout_ms) }
            }
            None => {
                let (polled, count) = (self.polled.as_mut_ptr(), self.polled.len());
                // SAFETY: `polled` has `count` entries.
                unsafe { libc::poll(polled, count as libc::nfds_t, timeout_ms) }
            }
        };
        let count = match checked(asked) {
            Ok(count) => count as usize,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        };
        if self.many.is_some() {
            ready.extend(self.events.iter().take(count).map(|event| event.u64));
        } else {
            let told = self.polled.iter().zip(&self.tokens);
            ready.extend(
                told.filter(|(member, _)| member.revents != 0)
                    .map(|(_, token)| *token),
            );
        }
        Ok(())
    }
}

fn enter(many: &OwnedFd, fd: RawFd, token: u64) -> io::Result<()> {
    let mut event = libc::epoll_event {
        events: libc::EPOLLIN as u32,
        u64: token,
    };
    // SAFETY: `event` lives through the call, which copies it.
    let entered = unsafe { libc::epoll_ctl(many.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) };
    checked(entered).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, UdpSocket};

    fn sockets(count: usize) -> Vec<UdpSocket> {
        (0..count)
            .map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap())
            .collect()
    }

    fn send(socket: &UdpSocket) {
        let to = socket.local_addr().unwrap();
        socket.send_to(b"x", to).unwrap();
    }

    fn ready(poller: &mut Poller) -> Vec<u64> {
        let mut ready = Vec::new();
        poller.wait(&mut ready, 0).unwrap();
        ready.sort_unstable();
        ready
    }

    #[test]
    fn few_and_many_are_told_alike_until_they_are_read() {
        for count in [1, FEW, FEW + 1, 3 * FEW] {
            let sockets = sockets(count);
            let mut poller = Poller::new(0);
            for (token, socket) in (0..).zip(&sockets) {
                poller.add(socket.as_raw_fd(), token).unwrap();
            }
            let (first, last) = (&sockets[0], &sockets[count - 1]);
            send(last);
            assert_eq!(ready(&mut poller), [count as u64 - 1]);
            send(first);
            let mut both = vec![0, count as u64 - 1];
            both.dedup();
            assert_eq!(ready(&mut poller), both, "what was not read is told again");
            last.recv(&mut [0; 8]).unwrap();
            if count > 1 {
                assert_eq!(ready(&mut poller), [0]);
            }
        }
    }

    #[test]
    fn members_come_and_go_across_the_bound() {
        let sockets = sockets(2 * FEW);
        let mut poller = Poller::new(1000);
        for (token, socket) in (0..).zip(&sockets) {
            poller.add(socket.as_raw_fd(), token).unwrap();
        }
        for socket in &sockets {
            send(socket);
        }
        for (token, socket) in (0u64..).zip(&sockets).take(2 * FEW - 3) {
            poller.remove(socket.as_raw_fd());
            assert!(!ready(&mut poller).contains(&token));
        }
        let left: Vec<u64> = (2 * FEW as u64 - 3..2 * FEW as u64).collect();
        assert_eq!(ready(&mut poller), left);
        for (token, socket) in (0..).zip(&sockets).take(FEW) {
            poller.add(socket.as_raw_fd(), token).unwrap();
        }
        let all: Vec<u64> = (0..FEW as u64).chain(left).collect();
        assert_eq!(ready(&mut poller), all);
    }
}
