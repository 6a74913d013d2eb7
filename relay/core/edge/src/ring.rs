//! One system call for the sends to many sockets: io_uring(7), where the kernel has it.
//!
//! A lone datagram to 64 subscribers is 64 system calls by send(2), and entering the kernel is a sixth of what they cost
//! (docs/performance.md). A ring hands all of them over at once. The sends themselves are the same, carried out in order
//! while the call lasts.

use std::io;
use std::os::fd::RawFd;

use crate::config::FanOut;

use io_uring::{opcode, squeue, types::Fd, IoUring};

/// Sends that are handed over at a time. A power of two; the kernel makes room for twice as many answers.
const ENTRIES: u32 = 256;

pub(crate) struct Ring {
    ring: IoUring,
}

/// A send that did not happen: whose it is, and the system's reason, or none where it was not tried.
pub(crate) type Failed = (usize, Option<io::Error>);

/// A ring, or why there is none.
#[derive(Default)]
pub(crate) struct RingOrWhyNot {
    pub ring: Option<Ring>,
    pub reason: Option<String>,
}

impl RingOrWhyNot {
    /// What cannot be had is told and done without.
    pub(crate) fn open(wanted: FanOut) -> Self {
        if wanted == FanOut::Sockets {
            return Self::default();
        }
        match Ring::open() {
            Ok(ring) => Self {
                ring: Some(ring),
                reason: None,
            },
            Err(error) => Self {
                ring: None,
                reason: Some(format!("the system allows no io_uring: {error}")),
            },
        }
    }
}

impl Ring {
    /// Fails where the kernel's is too old (before 5.12), or an administrator or a filter of system calls forbids it.
    pub(crate) fn open() -> io::Result<Self> {
        let ring = IoUring::new(ENTRIES)?;
        if !ring.params().is_feature_native_workers() {
            // Before 5.12 the ring's sendmsg(2) takes no control message, so no segmented send.
            return Err(io::ErrorKind::Unsupported.into());
        }
        let mut probe = io_uring::Probe::new();
        ring.submitter().register_probe(&mut probe)?;
        let wanted = [opcode::Send::CODE, opcode::SendMsg::CODE];
        if wanted.iter().all(|code| probe.is_supported(*code)) {
            Ok(Self { ring })
        } else {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    /// Send `header` once on each of `sockets`, which come with whose they are; what does not leave is told in `failed`.
    ///
    /// When this returns, no send is under way. An error means that the ring is not to be used any more; what it did not
    /// come to stands in `failed` as not tried.
    ///
    /// # Safety
    ///
    /// `header`, its vectors, its control message and what they point to must be readable with their true lengths.
    pub(crate) unsafe fn send(
        &mut self,
        header: &libc::msghdr,
        sockets: &[(usize, RawFd)],
        failed: &mut Vec<Failed>,
    ) -> io::Result<()> {
        let mut rest = sockets;
        while let Some((now, later)) = rest.split_at_checked(rest.len().min(ENTRIES as usize)) {
            if now.is_empty() {
                break;
            }
            // SAFETY: the caller's promise.
            if let Err(error) = unsafe { self.send_some(header, now, failed) } {
                failed.extend(later.iter().map(|(whose, _)| (*whose, None)));
                return Err(error);
            }
            rest = later;
        }
        Ok(())
    }

    /// The same for at most [`ENTRIES`] sockets.
    ///
    /// # Safety
    ///
    /// As for [`Self::send`].
    unsafe fn send_some(
        &mut self,
        header: &libc::msghdr,
        sockets: &[(usize, RawFd)],
        failed: &mut Vec<Failed>,
    ) -> io::Result<()> {
        let mut queue = self.ring.submission();
        for (at, (_, fd)) in (0u64..).zip(sockets) {
            // SAFETY: the caller's promise holds until the answer is there, and `hand_over` waits for every answer. The
            // queue is empty and has room for all of them, so that a push cannot fail.
            let pushed = unsafe { queue.push(&entry(header, *fd).user_data(at)) };
            debug_assert!(pushed.is_ok());
        }
        drop(queue);
        let mut answered = 0;
        let result = self.hand_over(sockets, &mut answered, failed);
        if result.is_err() {
            // In order: what has no answer was never begun.
            let not_tried = sockets.iter().skip(answered);
            failed.extend(not_tried.map(|(whose, _)| (*whose, None)));
        }
        result
    }

    /// Let the kernel take what is queued, and wait until it has answered for each.
    fn hand_over(
        &mut self,
        sockets: &[(usize, RawFd)],
        answered: &mut usize,
        failed: &mut Vec<Failed>,
    ) -> io::Result<()> {
        while *answered < sockets.len() {
            let left = sockets.len() - *answered;
            match self.ring.submit_and_wait(left) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.take_answers(sockets, answered, failed);
                    return Err(error);
                }
            }
            self.take_answers(sockets, answered, failed);
        }
        Ok(())
    }

    fn take_answers(
        &mut self,
        sockets: &[(usize, RawFd)],
        answered: &mut usize,
        failed: &mut Vec<Failed>,
    ) {
        for answer in self.ring.completion() {
            *answered += 1;
            let whose = usize::try_from(answer.user_data()).ok();
            let whose = whose.and_then(|at| sockets.get(at));
            if let (Some((whose, _)), true) = (whose, answer.result() < 0) {
                let reason = io::Error::from_raw_os_error(-answer.result());
                failed.push((*whose, Some(reason)));
            }
        }
    }
}

/// MSG_DONTWAIT makes the kernel carry a send out, or refuse it, before the call returns.
fn entry(header: &libc::msghdr, fd: RawFd) -> squeue::Entry {
    let flags = libc::MSG_DONTWAIT;
    if header.msg_iovlen == 1 && header.msg_controllen == 0 {
        // SAFETY: a header has as many vectors as its `msg_iovlen` says.
        let vector = unsafe { *header.msg_iov };
        let (start, bytes) = (vector.iov_base.cast::<u8>(), vector.iov_len as u32);
        opcode::Send::new(Fd(fd), start, bytes).flags(flags).build()
    } else {
        let flags = flags as u32;
        opcode::SendMsg::new(Fd(fd), header).flags(flags).build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::burst::{Burst, Room};
    use std::net::{Ipv4Addr, UdpSocket};
    use std::os::fd::AsRawFd;
    use std::time::Duration;

    fn pair() -> (UdpSocket, UdpSocket) {
        let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let within = Some(Duration::from_secs(2));
        receiver.set_read_timeout(within).unwrap();
        let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        sender.connect(receiver.local_addr().unwrap()).unwrap();
        sender.set_nonblocking(true).unwrap();
        (receiver, sender)
    }

    fn numbered(pairs: &[(UdpSocket, UdpSocket)]) -> Vec<(usize, RawFd)> {
        let sockets = pairs.iter().map(|(_, sender)| sender.as_raw_fd());
        sockets.enumerate().collect()
    }

    #[test]
    fn every_socket_gets_each_run_also_more_sockets_than_fit_at_once() {
        let pairs: Vec<_> = (0..ENTRIES as usize + 44).map(|_| pair()).collect();
        let (mut ring, mut failed) = (Ring::open().unwrap(), Vec::new());
        let datagrams: Vec<Vec<u8>> = vec![vec![1; 30], vec![2; 30], vec![3; 20], vec![4; 50]];
        let views: Vec<&[u8]> = datagrams.iter().map(Vec::as_slice).collect();
        let mut room = Room::default();
        let burst = Burst::new(&mut room, &views, true);
        assert_eq!(burst.runs(), 2);
        for run in 0..2 {
            let sent = burst.send_by_ring(&mut ring, run, &numbered(&pairs), &mut failed);
            sent.unwrap();
        }
        assert!(failed.is_empty(), "{failed:?}");
        let mut buffer = [0; 100];
        for (receiver, _) in &pairs {
            for datagram in &datagrams {
                let bytes = receiver.recv(&mut buffer).unwrap();
                assert_eq!(&buffer[..bytes], datagram.as_slice());
            }
        }
    }

    #[test]
    fn a_send_that_fails_is_told_and_the_others_are_not_kept_from_theirs() {
        let mut pairs: Vec<_> = (0..5).map(|_| pair()).collect();
        // Too large for one datagram: refused for everybody. Then one that has nobody to receive it.
        let (mut ring, mut failed) = (Ring::open().unwrap(), Vec::new());
        let (huge, small) = (vec![0; 70_000], vec![7; 10]);
        let mut room = Room::default();
        let burst = Burst::new(&mut room, &[&huge], true);
        let sockets = numbered(&pairs);
        burst
            .send_by_ring(&mut ring, 0, &sockets, &mut failed)
            .unwrap();
        let reasons: Vec<_> = failed.iter().map(|(at, why)| (*at, reason(why))).collect();
        let too_large = Some(libc::EMSGSIZE);
        assert_eq!(
            reasons,
            (0..5).map(|at| (at, too_large)).collect::<Vec<_>>()
        );

        let (gone, lonely) = pairs.remove(2);
        drop(gone);
        pairs.insert(
            2,
            (UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(), lonely),
        );
        failed.clear();
        let burst = Burst::new(&mut room, &[&small], true);
        for _ in 0..2 {
            // The first one's report comes back from the second.
            let sent = burst.send_by_ring(&mut ring, 0, &sockets, &mut failed);
            sent.unwrap();
        }
        let reasons: Vec<_> = failed.iter().map(|(at, why)| (*at, reason(why))).collect();
        assert_eq!(reasons, [(2, Some(libc::ECONNREFUSED))]);
        for (at, (receiver, _)) in pairs.iter().enumerate().filter(|(at, _)| *at != 2) {
            for _ in 0..2 {
                assert_eq!(receiver.recv(&mut [0; 100]).unwrap(), 10, "{at}");
            }
        }
    }

    fn reason(why: &Option<io::Error>) -> Option<i32> {
        why.as_ref().and_then(io::Error::raw_os_error)
    }
}
