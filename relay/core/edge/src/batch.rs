//! Receiving many datagrams with one system call.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::RawFd;

use crate::system::checked;

/// The largest UDP payload over IPv4 is 65507 bytes, so nothing is ever cut off. Pages that no datagram reaches stay
/// untouched.
const DATAGRAM_BYTES: usize = 65_536;

/// How far buffers are apart: a power of two would put the beginnings of all into the same few sets of the processor's
/// caches. 17 lines of 64 bytes more spread them.
const STRIDE_BYTES: usize = DATAGRAM_BYTES + 17 * 64;

const NOBODY: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);

/// Level and type of the kernel's time stamp, as they lie in one word of a control message.
const TIMESTAMP_KIND: u64 = {
    let (level, kind) = (libc::SOL_SOCKET as u32, libc::SCM_TIMESTAMPNS as u32);
    let (level, kind) = (level.to_ne_bytes(), kind.to_ne_bytes());
    u64::from_ne_bytes([
        level[0], level[1], level[2], level[3], kind[0], kind[1], kind[2], kind[3],
    ])
};

/// Room for one control message with a `timespec`: a header and two words, CMSG_SPACE(16).
type Control = [u64; 4];

/// A datagram that came, and from whom.
pub(crate) struct Received<'a> {
    pub sender: SocketAddrV4,
    pub datagram: &'a [u8],
}

/// Buffers for one `recvmmsg`.
pub(crate) struct Batch {
    bytes: Vec<u8>,
    names: Vec<libc::sockaddr_in>,
    /// One time stamp for each, as the kernel wrote it.
    controls: Vec<Control>,
    vectors: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
    /// How many came last, and thus how many headers the kernel has written into.
    count: usize,
}

// SAFETY: the pointers in `vectors` and `headers` lead into this batch's own heap memory, which moves with it and is never
// allocated anew.
unsafe impl Send for Batch {}

impl Batch {
    /// How many datagrams are taken at a time.
    pub(crate) const DATAGRAMS: usize = 64;

    pub(crate) fn new() -> Self {
        // SAFETY: all zero is a valid value of these plain system structures.
        let (name, header) = unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
        let vector = libc::iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: 0,
        };
        let mut batch = Self {
            bytes: vec![0; Self::DATAGRAMS * STRIDE_BYTES],
            names: vec![name; Self::DATAGRAMS],
            controls: vec![[0; 4]; Self::DATAGRAMS],
            vectors: vec![vector; Self::DATAGRAMS],
            headers: vec![header; Self::DATAGRAMS],
            count: Self::DATAGRAMS,
        };
        batch.prepare();
        batch
    }

    /// Take what `fd` has, without waiting. Returns how many datagrams came.
    pub(crate) fn receive(&mut self, fd: RawFd) -> io::Result<usize> {
        self.prepare();
        self.count = 0;
        let (headers, room) = (self.headers.as_mut_ptr(), Self::DATAGRAMS as libc::c_uint);
        // SAFETY: `prepare` made each of the `room` headers point to buffers of this batch with their true lengths, and has
        // set right again what the last call wrote.
        let got =
            unsafe { libc::recvmmsg(fd, headers, room, libc::MSG_DONTWAIT, std::ptr::null_mut()) };
        match checked(got) {
            Ok(count) => self.count = count as usize,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) => {}
            Err(error) => return Err(error),
        }
        Ok(self.count)
    }

    /// The datagrams that came last.
    pub(crate) fn datagrams(&self) -> impl Iterator<Item = Received<'_>> {
        (0..self.count).map(|index| Received {
            sender: self.names.get(index).map_or(NOBODY, |name| {
                let address = Ipv4Addr::from(name.sin_addr.s_addr.to_ne_bytes());
                SocketAddrV4::new(address, u16::from_be(name.sin_port))
            }),
            datagram: self.datagram(index),
        })
    }

    /// When the kernel had one of the datagrams that came last: nanoseconds since 1970, `CLOCK_REALTIME`; 0 where the kernel
    /// did not say.
    pub(crate) fn received_ns(&self, index: usize) -> u64 {
        let Some([_, kind, seconds, nanoseconds]) = self.controls.get(index) else {
            return 0;
        };
        // cmsg(3): the length is the first word, level and type share the second.
        if *kind != TIMESTAMP_KIND {
            return 0;
        }
        seconds
            .saturating_mul(1_000_000_000)
            .saturating_add(*nanoseconds)
    }

    /// One of the datagrams that came last.
    pub(crate) fn datagram(&self, index: usize) -> &[u8] {
        let length = self
            .headers
            .get(index)
            .map_or(0, |header| header.msg_len as usize);
        let start = index * STRIDE_BYTES;
        self.bytes.get(start..start + length).unwrap_or_default()
    }

    /// Make ready what was used last.
    fn prepare(&mut self) {
        let buffers = self.bytes.chunks_exact_mut(STRIDE_BYTES);
        let parts = self
            .headers
            .iter_mut()
            .take(self.count)
            .zip(&mut self.vectors)
            .zip(&mut self.names)
            .zip(&mut self.controls)
            .zip(buffers);
        for ((((header, vector), name), control), buffer) in parts {
            control[1] = 0;
            vector.iov_base = buffer.as_mut_ptr().cast();
            vector.iov_len = DATAGRAM_BYTES;
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_name = std::ptr::from_mut(name).cast();
            header.msg_hdr.msg_namelen =
                std::mem::size_of::<libc::sockaddr_in>() as libc::socklen_t;
            header.msg_hdr.msg_control = control.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = std::mem::size_of_val(control);
        }
    }
}
