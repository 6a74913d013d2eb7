//! Datagrams made ready once for any number of sockets: what leaves a channel in one go goes to every subscriber.
//!
//! Segmented sends (udp(7), UDP_SEGMENT) carry runs of datagrams of one size, of which the last may be shorter. The order
//! of datagrams is never changed to make longer runs.

use std::io;
use std::marker::PhantomData;
use std::os::fd::RawFd;

use crate::ring::{Failed, Ring};
use crate::system::checked;

/// udp(7): one segmented send is one IP datagram to begin with, so header and segments fit 65535 bytes.
const SEGMENTED_BYTES: usize = 65_000;

/// UDP_MAX_SEGMENTS of kernels before 6.9 (include/linux/udp.h).
const SEGMENTS: usize = 64;

/// One control message with a `u16`: header and value, both padded to the word.
type Control = [u64; 3];

/// Room for headers, used again for each burst.
#[derive(Default)]
pub(crate) struct Room {
    vectors: Vec<libc::iovec>,
    controls: Vec<Control>,
    headers: Vec<libc::mmsghdr>,
    /// Datagrams before each run, and at last all of them.
    starts: Vec<usize>,
    /// Bytes before each datagram, and at last all of them.
    sizes: Vec<u64>,
}

// SAFETY: the pointers inside are rewritten by `Burst::new` before each use and not followed in between.
unsafe impl Send for Room {}

/// Datagrams in runs, ready to be sent.
pub(crate) struct Burst<'a> {
    room: &'a mut Room,
    datagrams: PhantomData<&'a [u8]>,
}

impl<'a> Burst<'a> {
    /// Make `datagrams` ready, in runs when `segmented`.
    pub(crate) fn new(room: &'a mut Room, datagrams: &[&'a [u8]], segmented: bool) -> Self {
        room.prepare(datagrams, segmented);
        Self {
            room,
            datagrams: PhantomData,
        }
    }

    /// How many sends it takes.
    pub(crate) fn runs(&self) -> usize {
        self.room.headers.len()
    }

    /// How many datagrams lie before run `run`.
    pub(crate) fn start(&self, run: usize) -> usize {
        self.room.starts.get(run).copied().unwrap_or_default()
    }

    /// Bytes of the datagrams `from..to`.
    pub(crate) fn bytes(&self, from: usize, to: usize) -> u64 {
        let before = |at: usize| self.room.sizes.get(at).copied().unwrap_or_default();
        before(to).saturating_sub(before(from))
    }

    /// Bytes of the largest datagram.
    pub(crate) fn largest_bytes(&self) -> usize {
        let vectors = self.room.vectors.iter();
        vectors.map(|vector| vector.iov_len).max().unwrap_or(0)
    }

    /// Send on a connected socket until the kernel refuses. Returns how many runs it took.
    pub(crate) fn send_all(&mut self, fd: RawFd) -> usize {
        let mut run = 0;
        while run < self.runs() {
            match self.send(fd, run) {
                Ok(sent) => run += sent,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        run
    }

    /// Send run `run` once on each of `sockets` by `ring`; see [`Ring::send`].
    pub(crate) fn send_by_ring(
        &self,
        ring: &mut Ring,
        run: usize,
        sockets: &[(usize, RawFd)],
        failed: &mut Vec<Failed>,
    ) -> io::Result<()> {
        let Some(header) = self.room.headers.get(run) else {
            return Ok(());
        };
        // SAFETY: as in `send`; the ring keeps nothing of it when it returns.
        unsafe { ring.send(&header.msg_hdr, sockets, failed) }
    }

    /// One `sendmmsg` on a connected socket, from run `from` on. Returns how many runs the kernel took.
    pub(crate) fn send(&mut self, fd: RawFd, from: usize) -> io::Result<usize> {
        let Some(headers) = self.room.headers.get_mut(from..) else {
            return Ok(0);
        };
        // One datagram to send is the common case where latency counts; send(2) has less to read than sendmmsg(2).
        if let [header] = headers {
            if header.msg_hdr.msg_iovlen == 1 && header.msg_hdr.msg_controllen == 0 {
                // SAFETY: as below; a header has as many vectors as its `msg_iovlen` says.
                let sent = unsafe {
                    let vector = *header.msg_hdr.msg_iov;
                    libc::send(fd, vector.iov_base, vector.iov_len, libc::MSG_DONTWAIT)
                };
                return checked(sent).map(|_| 1);
            }
        }
        let count = headers.len() as libc::c_uint;
        // SAFETY: `Burst::new` made every header point to vectors and controls of the room, which this burst borrows, with
        // true lengths; the datagrams behind the vectors live as long as the burst and are only read.
        let sent = unsafe { libc::sendmmsg(fd, headers.as_mut_ptr(), count, libc::MSG_DONTWAIT) };
        checked(sent).map(|sent| sent as usize)
    }
}

impl Room {
    fn prepare(&mut self, datagrams: &[&[u8]], segmented: bool) {
        self.vectors.clear();
        self.vectors
            .extend(datagrams.iter().map(|datagram| vector(datagram)));
        self.sizes.clear();
        self.sizes.push(0);
        let mut bytes = 0;
        self.sizes.extend(datagrams.iter().map(|datagram| {
            bytes += datagram.len() as u64;
            bytes
        }));
        self.starts.clear();
        self.starts.push(0);
        let mut at = 0;
        while at < datagrams.len() {
            let rest = datagrams.get(at..).unwrap_or_default();
            at += if segmented { run(rest) } else { 1 };
            self.starts.push(at);
        }
        let runs = self.starts.len() - 1;
        self.controls.clear();
        self.controls.resize(runs, [0; 3]);
        self.headers.clear();
        let ends = self.starts.iter().skip(1);
        let places = self.starts.iter().zip(ends).zip(&mut self.controls);
        for ((start, end), control) in places {
            let Some(parts) = self.vectors.get_mut(*start..*end) else {
                break;
            };
            self.headers.push(header_of(parts, control));
        }
    }
}

/// How many of `datagrams` go out in one send: of one size, but the last may be shorter.
fn run(datagrams: &[&[u8]]) -> usize {
    let Some(first) = datagrams.first().filter(|first| !first.is_empty()) else {
        return 1;
    };
    let room = (SEGMENTED_BYTES / first.len()).min(SEGMENTS);
    let mut run = 1;
    for next in datagrams.iter().take(room).skip(1) {
        if next.len() > first.len() || next.is_empty() {
            break;
        }
        run += 1;
        if next.len() < first.len() {
            break;
        }
    }
    run
}

fn header_of(parts: &mut [libc::iovec], control: &mut Control) -> libc::mmsghdr {
    let segment = parts.first().map_or(0, |part| part.iov_len);
    // SAFETY: all zero is a valid message header without buffers.
    let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
    header.msg_hdr.msg_iov = parts.as_mut_ptr();
    header.msg_hdr.msg_iovlen = parts.len();
    if parts.len() > 1 {
        write_segment_size(&mut header.msg_hdr, control, segment as u16);
    }
    header
}

fn vector(datagram: &[u8]) -> libc::iovec {
    libc::iovec {
        iov_base: datagram.as_ptr().cast_mut().cast(),
        iov_len: datagram.len(),
    }
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

    fn starts(sizes: &[usize]) -> Vec<usize> {
        let bytes = vec![0u8; 65_000];
        let datagrams: Vec<&[u8]> = sizes.iter().map(|size| &bytes[..*size]).collect();
        let mut room = Room::default();
        Burst::new(&mut room, &datagrams, true).room.starts.clone()
    }

    #[test]
    fn runs_are_of_one_size_and_end_at_the_first_shorter_one() {
        assert_eq!(starts(&[10, 10, 4, 10, 12, 12, 0, 5]), [0, 3, 4, 6, 7, 8]);
        assert_eq!(starts(&[40_000, 40_000]), [0, 1, 2]);
        assert_eq!(starts(&[9; 130]), [0, 64, 128, 130]);
        assert_eq!(starts(&[]), [0]);
    }

    #[test]
    fn bytes_are_those_of_the_datagrams_between() {
        let bytes = [0u8; 20];
        let mut room = Room::default();
        let burst = Burst::new(&mut room, &[&bytes[..5], &bytes[..5], &bytes[..7]], true);
        assert_eq!((burst.runs(), burst.start(1)), (2, 2));
        assert_eq!((burst.bytes(0, 3), burst.bytes(1, 2)), (17, 5));
    }
}
