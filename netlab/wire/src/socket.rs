//! Sockets in batches: `recvmmsg` with the kernel's receive time, `sendmmsg`, and packet sockets.

use std::ffi::CString;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

pub const BATCH: usize = 64;

/// Room for the receive time of one message (cmsg(3)).
const CONTROL_BYTES: usize = 64;

/// Set an integer socket option; `what` names it in the error.
pub fn set_option(fd: RawFd, level: i32, option: i32, value: i32, what: &str) -> io::Result<()> {
    // SAFETY: the pointer and length describe `value`, which outlives the call.
    let status = unsafe {
        libc::setsockopt(
            fd,
            level,
            option,
            (&raw const value).cast(),
            mem::size_of::<i32>() as libc::socklen_t,
        )
    };
    if status == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    Err(io::Error::new(error.kind(), format!("{what}: {error}")))
}

/// Read a socket option that is an array of 32-bit integers; those that the kernel does not fill stay 0.
fn get_option<const N: usize>(fd: RawFd, level: i32, option: i32) -> io::Result<[u32; N]> {
    let mut values = [0u32; N];
    let mut length = mem::size_of_val(&values) as libc::socklen_t;
    // SAFETY: the pointer and length describe `values`; the kernel writes no more than `length`.
    let status = unsafe {
        libc::getsockopt(
            fd,
            level,
            option,
            values.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if status == 0 {
        Ok(values)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// What the kernel has dropped on this UDP socket so far, also after the last message that was read.
pub fn kernel_drops(fd: RawFd) -> io::Result<u32> {
    const SK_MEMINFO_DROPS: usize = 8; // include/uapi/linux/sock_diag.h
    get_option::<9>(fd, libc::SOL_SOCKET, libc::SO_MEMINFO).map(|values| values[SK_MEMINFO_DROPS])
}

/// What the kernel has dropped on this packet socket since this was last asked (packet(7): tpacket_stats).
pub fn packet_drops(fd: RawFd) -> io::Result<u32> {
    get_option::<2>(fd, libc::SOL_PACKET, libc::PACKET_STATISTICS).map(|[_, drops]| drops)
}

/// Ask for a buffer beyond the machine's limit, or for as much as an unprivileged process may have.
pub fn grow_buffer(fd: RawFd, force: i32, plain: i32, bytes: i32) -> io::Result<()> {
    set_option(fd, libc::SOL_SOCKET, force, bytes, "buffer")
        .or_else(|_| set_option(fd, libc::SOL_SOCKET, plain, bytes, "buffer"))
}

/// The index of an interface of this network namespace.
pub fn interface_index(name: &str) -> io::Result<i32> {
    let text = CString::new(name)?;
    // SAFETY: `text` is a C string that outlives the call.
    let index = unsafe { libc::if_nametoindex(text.as_ptr()) };
    i32::try_from(index)
        .ok()
        .filter(|index| *index > 0)
        .ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                format!("no interface is called {name}"),
            )
        })
}

/// A packet socket on one interface that sees every frame coming in, whatever its address, and none going out.
pub fn packet_socket(interface: &str) -> io::Result<OwnedFd> {
    let index = interface_index(interface)?;
    let protocol = (libc::ETH_P_ALL as u16).to_be();
    // SAFETY: takes integers only; a descriptor that it returns is ours to own.
    let fd = unsafe {
        let fd = libc::socket(
            libc::AF_PACKET,
            libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
            i32::from(protocol),
        );
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(fd)
    };
    let raw = fd.as_raw_fd();
    set_option(
        raw,
        libc::SOL_PACKET,
        libc::PACKET_IGNORE_OUTGOING,
        1,
        "PACKET_IGNORE_OUTGOING",
    )?;
    set_option(
        raw,
        libc::SOL_SOCKET,
        libc::SO_TIMESTAMPNS,
        1,
        "SO_TIMESTAMPNS",
    )?;
    grow_buffer(raw, libc::SO_RCVBUFFORCE, libc::SO_RCVBUF, 32 << 20)?;
    grow_buffer(raw, libc::SO_SNDBUFFORCE, libc::SO_SNDBUF, 32 << 20)?;
    bind_packet(raw, index, protocol)?;
    promiscuous(raw, index)?;
    Ok(fd)
}

fn bind_packet(fd: RawFd, index: i32, protocol: u16) -> io::Result<()> {
    // SAFETY: all-zero is a valid sockaddr_ll.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = protocol;
    address.sll_ifindex = index;
    // SAFETY: the pointer and length describe `address`, which outlives the call.
    let status = unsafe {
        libc::bind(
            fd,
            (&raw const address).cast(),
            mem::size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        )
    };
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn promiscuous(fd: RawFd, index: i32) -> io::Result<()> {
    // SAFETY: all-zero is a valid packet_mreq.
    let mut membership: libc::packet_mreq = unsafe { mem::zeroed() };
    membership.mr_ifindex = index;
    membership.mr_type = libc::PACKET_MR_PROMISC as u16;
    // SAFETY: the pointer and length describe `membership`, which outlives the call.
    let status = unsafe {
        libc::setsockopt(
            fd,
            libc::SOL_PACKET,
            libc::PACKET_ADD_MEMBERSHIP,
            (&raw const membership).cast(),
            mem::size_of::<libc::packet_mreq>() as libc::socklen_t,
        )
    };
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// What came with one message.
pub struct Received<'batch> {
    pub bytes: &'batch [u8],
    /// The kernel's receive time, `CLOCK_REALTIME`; 0 when it gave none.
    pub realtime_ns: u64,
    /// Whether the message was longer than the buffer.
    pub truncated: bool,
}

/// Buffers for one `recvmmsg` call, used again and again.
pub struct ReceiveBatch {
    room: usize,
    data: Vec<u8>,
    control: Vec<[u64; CONTROL_BYTES / 8]>,
    headers: Vec<libc::mmsghdr>,
    vectors: Vec<libc::iovec>,
}

impl ReceiveBatch {
    /// Buffers for messages of at most `room` bytes.
    pub fn new(room: usize) -> Self {
        // SAFETY: all-zero is a valid mmsghdr and iovec; `receive` fills them before the kernel sees them.
        let (headers, vectors) =
            unsafe { (vec![mem::zeroed(); BATCH], vec![mem::zeroed(); BATCH]) };
        Self {
            room,
            data: vec![0; room * BATCH],
            control: vec![[0; CONTROL_BYTES / 8]; BATCH],
            headers,
            vectors,
        }
    }

    /// Take what a socket holds, at most [`BATCH`] messages, without waiting. Returns how many.
    pub fn receive(&mut self, fd: RawFd) -> io::Result<usize> {
        for index in 0..BATCH {
            self.vectors[index] = libc::iovec {
                iov_base: self.data[index * self.room..].as_mut_ptr().cast(),
                iov_len: self.room,
            };
            let header = &mut self.headers[index].msg_hdr;
            header.msg_iov = &raw mut self.vectors[index];
            header.msg_iovlen = 1;
            header.msg_control = self.control[index].as_mut_ptr().cast();
            header.msg_controllen = CONTROL_BYTES as _;
            header.msg_flags = 0;
        }
        loop {
            // SAFETY: every header points to a vector and a control buffer of this struct, of the lengths given.
            let count = unsafe {
                libc::recvmmsg(
                    fd,
                    self.headers.as_mut_ptr(),
                    BATCH as u32,
                    libc::MSG_DONTWAIT,
                    std::ptr::null_mut(),
                )
            };
            if count >= 0 {
                return Ok(count as usize);
            }
            let error = io::Error::last_os_error();
            match error.kind() {
                io::ErrorKind::WouldBlock => return Ok(0),
                io::ErrorKind::Interrupted => {}
                _ => return Err(error),
            }
        }
    }

    /// The message at `index` of the last [`ReceiveBatch::receive`].
    pub fn message(&self, index: usize) -> Received<'_> {
        let header = &self.headers[index];
        let length = (header.msg_len as usize).min(self.room);
        let mut received = Received {
            bytes: &self.data[index * self.room..index * self.room + length],
            realtime_ns: 0,
            truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
        };
        // SAFETY: the kernel filled msg_control up to msg_controllen; the CMSG macros stay inside it.
        unsafe {
            let mut cursor = libc::CMSG_FIRSTHDR(&raw const header.msg_hdr);
            while !cursor.is_null() {
                let data = libc::CMSG_DATA(cursor);
                let kind = ((*cursor).cmsg_level, (*cursor).cmsg_type);
                if kind == (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) {
                    let time: libc::timespec = std::ptr::read_unaligned(data.cast());
                    received.realtime_ns = time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64;
                }
                cursor = libc::CMSG_NXTHDR(&raw const header.msg_hdr, cursor);
            }
        }
        received
    }
}

/// Send messages in one call, each to its address or, with none, to where the socket is bound. Returns how many left;
/// the error is that of the first one, and none left. Nothing is waited for: a full buffer is an error (EAGAIN).
pub fn send_batch(
    fd: RawFd,
    messages: &[(&[u8], Option<libc::sockaddr_in>)],
) -> (usize, Option<io::Error>) {
    let mut vectors: Vec<libc::iovec> = messages
        .iter()
        .map(|(bytes, _)| libc::iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        })
        .collect();
    let mut headers: Vec<libc::mmsghdr> = messages
        .iter()
        .zip(&mut vectors)
        .map(|((_, address), vector)| {
            // SAFETY: all-zero is a valid mmsghdr.
            let mut header: libc::mmsghdr = unsafe { mem::zeroed() };
            header.msg_hdr.msg_iov = &raw mut *vector;
            header.msg_hdr.msg_iovlen = 1;
            if let Some(address) = address {
                header.msg_hdr.msg_name = (&raw const *address).cast_mut().cast();
                header.msg_hdr.msg_namelen = mem::size_of::<libc::sockaddr_in>() as u32;
            }
            header
        })
        .collect();
    // SAFETY: headers point to vectors and addresses that outlive the call; the kernel only reads payloads.
    let count = unsafe {
        libc::sendmmsg(
            fd,
            headers.as_mut_ptr(),
            headers.len() as u32,
            libc::MSG_DONTWAIT,
        )
    };
    if count < 0 {
        return (0, Some(io::Error::last_os_error()));
    }
    (count as usize, None)
}
