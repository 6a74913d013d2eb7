//! One subscriber's socket: many datagrams out with one system call, without ever waiting.
//!
//! The socket is not connected, because a route that is not there yet must not keep the relay from starting. A subscriber
//! that refuses, or whose queue is full, loses datagrams of its own and delays nobody.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddrV4;
use std::os::fd::AsRawFd;

use socket2::{Domain, Protocol, Socket, Type};

use crate::input::ipv4;
use crate::snapshot::SubscriberSnapshot;
use crate::system::{checked, set_option};

/// Datagrams in one system call.
const CHUNK: usize = 64;

/// udp(7): one segmented send is one IP datagram to begin with, so header and segments fit 65535 bytes.
const SEGMENTED_BYTES: usize = 65_000;

const SEND_BUFFER_BYTES: libc::c_int = 4 << 20;

/// One control message with a `u16`: header and value, both padded to the word.
type Control = [u64; 3];

pub(crate) struct Output {
    socket: Socket,
    /// Whether the system takes segmented sends; the first refusal turns them off for good.
    segmentation: bool,
    datagrams: u64,
    bytes: u64,
    dropped: u64,
    refused: BTreeMap<i32, u64>,
}

impl Output {
    pub(crate) fn open() -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        let fd = socket.as_raw_fd();
        if set_option(
            fd,
            libc::SOL_SOCKET,
            libc::SO_SNDBUFFORCE,
            &SEND_BUFFER_BYTES,
        )
        .is_err()
        {
            set_option(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, &SEND_BUFFER_BYTES)?;
        }
        // ip(7): without it an unconnected socket never hears that nobody listens.
        set_option(fd, libc::IPPROTO_IP, libc::IP_RECVERR, &1i32)?;
        Ok(Self {
            socket,
            segmentation: true,
            datagrams: 0,
            bytes: 0,
            dropped: 0,
            refused: BTreeMap::new(),
        })
    }

    /// Send all of `datagrams` to `to`, in order; what the kernel does not take is counted and gone.
    pub(crate) fn send(&mut self, to: SocketAddrV4, datagrams: &[&[u8]]) {
        for chunk in datagrams.chunks(CHUNK) {
            self.send_chunk(to, chunk);
        }
    }

    fn send_chunk(&mut self, to: SocketAddrV4, datagrams: &[&[u8]]) {
        let mut rest = datagrams;
        let mut retried = false;
        while !rest.is_empty() {
            let runs = self.runs(rest);
            match self.send_runs(to, rest, &runs) {
                Ok(sent) => {
                    let taken: usize = runs.iter().take(sent).sum();
                    self.datagrams += taken as u64;
                    self.bytes += rest
                        .iter()
                        .take(taken)
                        .map(|datagram| datagram.len() as u64)
                        .sum::<u64>();
                    rest = rest.get(taken..).unwrap_or_default();
                    retried = false;
                }
                Err(error) => {
                    let first_run = runs.first().copied().unwrap_or(1);
                    rest = self.refused(&error, rest, first_run, &mut retried);
                }
            }
        }
    }

    /// What is left to send after `error`, which met the first run.
    fn refused<'a, 'b>(
        &mut self,
        error: &io::Error,
        rest: &'a [&'b [u8]],
        first_run: usize,
        retried: &mut bool,
    ) -> &'a [&'b [u8]] {
        let errno = error.raw_os_error().unwrap_or(0);
        if errno == libc::EINTR {
            return rest;
        }
        if first_run > 1
            && matches!(
                errno,
                libc::EIO | libc::EINVAL | libc::EMSGSIZE | libc::EOPNOTSUPP
            )
        {
            self.segmentation = false;
            return rest;
        }
        *self.refused.entry(errno).or_default() += 1;
        let reported = matches!(
            errno,
            libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EPROTO
        );
        if reported && !*retried {
            // An ICMP report about an earlier datagram comes back from the next call, which then sends nothing.
            self.clear_reports();
            *retried = true;
            return rest;
        }
        *retried = false;
        let lost = if errno == libc::EAGAIN {
            rest.len()
        } else {
            first_run
        };
        self.dropped += lost as u64;
        rest.get(lost..).unwrap_or_default()
    }

    /// How many datagrams each send takes: runs of one size, of which the last may be shorter.
    fn runs(&self, datagrams: &[&[u8]]) -> Vec<usize> {
        let mut runs = Vec::with_capacity(datagrams.len());
        let mut at = 0;
        while let Some(first) = datagrams.get(at) {
            let mut run = 1;
            if self.segmentation && !first.is_empty() {
                let room = SEGMENTED_BYTES / first.len();
                while let Some(next) = datagrams.get(at + run).filter(|_| run < room) {
                    if next.len() > first.len() || next.is_empty() {
                        break;
                    }
                    run += 1;
                    if next.len() < first.len() {
                        break;
                    }
                }
            }
            runs.push(run);
            at += run;
        }
        runs
    }

    /// One `sendmmsg`. Returns how many runs the kernel took.
    fn send_runs(
        &self,
        to: SocketAddrV4,
        datagrams: &[&[u8]],
        runs: &[usize],
    ) -> io::Result<usize> {
        let mut name = ipv4(to);
        let mut vectors: Vec<libc::iovec> =
            datagrams.iter().map(|datagram| vector(datagram)).collect();
        let mut controls: Vec<Control> = vec![[0; 3]; runs.len()];
        let mut headers = Vec::with_capacity(runs.len());
        let mut at = 0;
        for (run, control) in runs.iter().zip(&mut controls) {
            let Some(parts) = vectors.get_mut(at..at + run) else {
                break;
            };
            let segment = parts.first().map_or(0, |part| part.iov_len);
            let mut header = empty_header();
            header.msg_hdr.msg_name = (&raw mut name).cast();
            header.msg_hdr.msg_namelen = std::mem::size_of_val(&name) as libc::socklen_t;
            header.msg_hdr.msg_iov = parts.as_mut_ptr();
            header.msg_hdr.msg_iovlen = *run;
            if *run > 1 {
                write_segment_size(&mut header.msg_hdr, control, segment as u16);
            }
            headers.push(header);
            at += run;
        }
        let fd = self.socket.as_raw_fd();
        let count = headers.len() as libc::c_uint;
        // SAFETY: every header points to `name`, `vectors` and `controls`, which live through the call, with true lengths;
        // the datagrams behind the vectors are only read.
        let sent = unsafe { libc::sendmmsg(fd, headers.as_mut_ptr(), count, libc::MSG_DONTWAIT) };
        checked(sent).map(|sent| sent as usize)
    }

    /// Throw away the ICMP reports that wait: they were counted by their errno.
    fn clear_reports(&self) {
        let mut header = empty_header().msg_hdr;
        let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
        for _ in 0..CHUNK {
            // SAFETY: a header without buffers is valid: the report is cut to nothing.
            if unsafe { libc::recvmsg(self.socket.as_raw_fd(), &mut header, flags) } < 0 {
                return;
            }
        }
    }

    pub(crate) fn snapshot(&self, name: &str) -> SubscriberSnapshot {
        let mut refused = BTreeMap::new();
        for (errno, count) in &self.refused {
            *refused
                .entry(crate::errors::errno_name(*errno).to_owned())
                .or_default() += count;
        }
        SubscriberSnapshot {
            name: name.to_owned(),
            datagrams: self.datagrams,
            bytes: self.bytes,
            dropped: self.dropped,
            refused,
            segmentation: self.segmentation,
        }
    }
}

fn vector(datagram: &[u8]) -> libc::iovec {
    libc::iovec {
        iov_base: datagram.as_ptr().cast_mut().cast(),
        iov_len: datagram.len(),
    }
}

fn empty_header() -> libc::mmsghdr {
    // SAFETY: all zero is a valid message header without buffers.
    unsafe { std::mem::zeroed() }
}

/// udp(7), UDP_SEGMENT: a control message with the size of each segment.
fn write_segment_size(header: &mut libc::msghdr, control: &mut Control, bytes: u16) {
    header.msg_control = control.as_mut_ptr().cast();
    // SAFETY: this only computes from the length.
    header.msg_controllen = unsafe { libc::CMSG_SPACE(2) } as usize;
    // SAFETY: the control buffer has room for one header with two bytes (CMSG_SPACE(2) is its 24 bytes) and is aligned to
    // words, so the first header exists and its data may be written.
    unsafe {
        let message = libc::CMSG_FIRSTHDR(header);
        if !message.is_null() {
            (*message).cmsg_level = libc::SOL_UDP;
            (*message).cmsg_type = libc::UDP_SEGMENT;
            (*message).cmsg_len = libc::CMSG_LEN(2) as usize;
            libc::CMSG_DATA(message)
                .cast::<u16>()
                .write_unaligned(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, UdpSocket};
    use std::time::Duration;

    fn receiver() -> (UdpSocket, SocketAddrV4) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(2)))
            .unwrap();
        let port = socket.local_addr().unwrap().port();
        (socket, SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
    }

    #[test]
    fn runs_are_of_one_size_and_end_at_the_first_shorter_one() {
        let output = Output::open().unwrap();
        let sizes = [10, 10, 4, 10, 12, 12, 0, 5];
        let bytes = [0u8; 16];
        let datagrams: Vec<&[u8]> = sizes.iter().map(|size| &bytes[..*size]).collect();
        assert_eq!(output.runs(&datagrams), [3, 1, 2, 1, 1]);
        let big = vec![0u8; 40_000];
        assert_eq!(output.runs(&[&big, &big]), [1, 1]);
    }

    #[test]
    fn everything_arrives_in_order_with_and_without_segmentation() {
        let (socket, address) = receiver();
        for segmentation in [true, false] {
            let mut output = Output::open().unwrap();
            output.segmentation = segmentation;
            let datagrams: Vec<Vec<u8>> = (0..150u8)
                .map(|n| vec![n; if n % 7 == 0 { 30 } else { 90 }])
                .collect();
            let views: Vec<&[u8]> = datagrams.iter().map(Vec::as_slice).collect();
            output.send(address, &views);
            let mut buffer = [0u8; 2000];
            for datagram in &datagrams {
                let size = socket.recv(&mut buffer).unwrap();
                assert_eq!(&buffer[..size], datagram.as_slice());
            }
            assert_eq!(output.segmentation, segmentation);
            assert_eq!((output.datagrams, output.dropped), (150, 0));
        }
    }

    #[test]
    fn the_largest_pair_that_one_segmented_send_takes_arrives() {
        let (socket, address) = receiver();
        let mut output = Output::open().unwrap();
        let big = vec![7u8; SEGMENTED_BYTES / 2];
        assert_eq!(output.runs(&[&big, &big]), [2]);
        output.send(address, &[&big, &big]);
        let mut buffer = vec![0u8; 65_536];
        for _ in 0..2 {
            assert_eq!(socket.recv(&mut buffer).unwrap(), big.len());
        }
        assert_eq!(output.dropped, 0);
    }

    #[test]
    fn nobody_listening_is_counted_and_later_datagrams_still_leave() {
        let (socket, address) = receiver();
        drop(socket);
        let mut output = Output::open().unwrap();
        for _ in 0..20 {
            output.send(address, &[b"x"]);
        }
        assert!(
            output
                .refused
                .get(&libc::ECONNREFUSED)
                .copied()
                .unwrap_or(0)
                > 0,
            "{:?}",
            output.refused
        );
        assert_eq!(output.datagrams + output.dropped, 20);
    }
}
