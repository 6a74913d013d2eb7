//! One socket for each line and channel, bound to its group (or address) and port.

use std::ffi::CString;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use lanecast_relay_journal::LineHandle;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::config::LineConfig;
use crate::errors::EngineError;
use crate::histogram::Histogram;
use crate::snapshot::LineSnapshot;
use crate::system::{checked, set_option};

/// RFC 3678, section 5.1: a source-specific join that names the interface by its index.
#[repr(C)]
#[derive(Clone, Copy)]
struct GroupSourceRequest {
    interface: u32,
    group: libc::sockaddr_storage,
    source: libc::sockaddr_storage,
}

pub(crate) struct Input {
    pub socket: Arc<Socket>,
    /// Which channel it belongs to, and the line's place in it.
    pub channel: u64,
    pub line: usize,
    /// The group, or the address that is listened on.
    pub endpoint: SocketAddrV4,
    /// The line as the journal knows it.
    pub recorded_as: Option<LineHandle>,
    /// From where datagrams are taken; empty: from anywhere.
    pub sources: Vec<Ipv4Addr>,
    pub filtered: u64,
    pub received_bytes: u64,
    pub receive_errors: u64,
    pub receive_buffer_bytes: usize,
    /// What the kernel had dropped on the socket before it was this input's.
    dropped_before: u64,
    pub latency: Histogram,
}

impl Input {
    /// Open the socket of one channel of `line`; `feed` is named in errors.
    pub(crate) fn open(
        feed: &str,
        line: &LineConfig,
        endpoint: SocketAddrV4,
        (channel, index): (u64, usize),
        receive_buffer_bytes: usize,
    ) -> Result<Self, EngineError> {
        let who = format!("feed {feed}, line {}", line.name);
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))
            .and_then(|socket| socket.set_nonblocking(true).map(|()| socket))
            .and_then(|socket| stamp(&socket).map(|()| socket))
            .map_err(EngineError::open(format!("{who}: cannot open a socket")))?;
        let granted = enlarge_receive_buffer(&socket, receive_buffer_bytes).map_err(
            EngineError::open(format!("{who}: cannot set the receive buffer")),
        )?;
        if line.interface.is_some() {
            // Several lines may share a group; each gets only what its own join asks for.
            socket
                .set_reuse_address(true)
                .and_then(|()| {
                    set_option(
                        socket.as_raw_fd(),
                        libc::IPPROTO_IP,
                        libc::IP_MULTICAST_ALL,
                        &0i32,
                    )
                })
                .map_err(EngineError::open(format!(
                    "{who}: cannot prepare for multicast"
                )))?;
        }
        socket
            .bind(&SockAddr::from(endpoint))
            .map_err(EngineError::open(format!(
                "{who}: cannot bind to {endpoint}"
            )))?;
        if let (Some(interface), Some(source)) = (&line.interface, line.source) {
            join(socket.as_raw_fd(), interface, *endpoint.ip(), source).map_err(
                EngineError::open(format!(
                "{who}: cannot join group {endpoint} from source {source} on interface {interface}"
            )),
            )?;
        }
        let sources = line.source.into_iter().collect();
        let place = (channel, index);
        Ok(Self::new(socket, endpoint, place, sources, granted))
    }

    /// `line` reads a socket that was somebody else's at the same address, and goes on as that one stops.
    pub(crate) fn taken_over(
        socket: Socket,
        line: &LineConfig,
        endpoint: SocketAddrV4,
        place: (u64, usize),
        receive_buffer_bytes: usize,
    ) -> Result<Self, EngineError> {
        let granted = stamp(&socket)
            .and_then(|()| enlarge_receive_buffer(&socket, receive_buffer_bytes))
            .map_err(EngineError::open(format!("cannot go on at {endpoint}")))?;
        let sources = line.source.into_iter().collect();
        let mut input = Self::new(socket, endpoint, place, sources, granted);
        input.dropped_before = input.kernel_drops();
        Ok(input)
    }

    fn new(
        socket: Socket,
        endpoint: SocketAddrV4,
        (channel, line): (u64, usize),
        sources: Vec<Ipv4Addr>,
        receive_buffer_bytes: usize,
    ) -> Self {
        Self {
            socket: Arc::new(socket),
            channel,
            line,
            endpoint,
            recorded_as: None,
            sources,
            filtered: 0,
            received_bytes: 0,
            receive_errors: 0,
            receive_buffer_bytes,
            dropped_before: 0,
            latency: Histogram::default(),
        }
    }

    /// Open the socket from which `servers` are asked for a channel's lost messages, and on which they answer.
    pub(crate) fn open_recovery(
        feed: &str,
        servers: &[SocketAddrV4],
        (channel, line): (u64, usize),
        receive_buffer_bytes: usize,
    ) -> Result<Self, EngineError> {
        let who = format!("feed {feed}, recovery");
        let open = || {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
            socket.set_nonblocking(true)?;
            stamp(&socket)?;
            let granted = enlarge_receive_buffer(&socket, receive_buffer_bytes)?;
            let anywhere = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
            socket.bind(&SockAddr::from(anywhere))?;
            let endpoint = socket.local_addr()?.as_socket_ipv4().unwrap_or(anywhere);
            io::Result::Ok((socket, granted, endpoint))
        };
        let (socket, granted, endpoint) =
            open().map_err(EngineError::open(format!("{who}: cannot open a socket")))?;
        let sources = servers.iter().map(|server| *server.ip()).collect();
        let place = (channel, line);
        Ok(Self::new(socket, endpoint, place, sources, granted))
    }

    /// Whether a datagram from there is none of this line's.
    #[inline]
    pub(crate) fn is_stranger(&self, sender: SocketAddrV4) -> bool {
        !self.sources.is_empty() && !self.sources.contains(sender.ip())
    }

    /// Add what the socket knows to what the arbiter counted.
    pub(crate) fn add_to(&self, line: &mut LineSnapshot) {
        line.received += self.filtered;
        line.filtered = self.filtered;
        line.kernel_drops = self.kernel_drops().saturating_sub(self.dropped_before);
        line.received_bytes = self.received_bytes;
        line.receive_errors = self.receive_errors;
        line.receive_buffer_bytes = self.receive_buffer_bytes;
        line.latency = self.latency.snapshot();
    }

    /// What the kernel dropped on this socket so far, whoever read it (its receive buffer was full, or a checksum was wrong).
    ///
    /// `SO_MEMINFO` has the same counter as `SO_RXQ_OVFL`, without a control message on every datagram.
    fn kernel_drops(&self) -> u64 {
        const SK_MEMINFO_DROPS: usize = 8; // include/uapi/linux/sock_diag.h
        const SO_MEMINFO: libc::c_int = 55; // include/uapi/asm-generic/socket.h
        let mut info = [0u32; SK_MEMINFO_DROPS + 1];
        let mut size = std::mem::size_of_val(&info) as libc::socklen_t;
        let fd = self.socket.as_raw_fd();
        // SAFETY: at most `size` bytes are written to `info`, and `size` is its length.
        let got = unsafe {
            libc::getsockopt(
                fd,
                libc::SOL_SOCKET,
                SO_MEMINFO,
                info.as_mut_ptr().cast(),
                &mut size,
            )
        };
        checked(got).map_or(0, |_| u64::from(info[SK_MEMINFO_DROPS]))
    }
}

/// Ask beyond the machine's limit first, which needs CAP_NET_ADMIN, then within it. Returns what was granted.
fn enlarge_receive_buffer(socket: &Socket, bytes: usize) -> io::Result<usize> {
    let wanted = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    if set_option(
        socket.as_raw_fd(),
        libc::SOL_SOCKET,
        libc::SO_RCVBUFFORCE,
        &wanted,
    )
    .is_err()
    {
        set_option(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVBUF,
            &wanted,
        )?;
    }
    socket.recv_buffer_size()
}

/// Have the kernel say when each datagram came (socket(7), SO_TIMESTAMPNS).
fn stamp(socket: &Socket) -> io::Result<()> {
    set_option(
        socket.as_raw_fd(),
        libc::SOL_SOCKET,
        libc::SO_TIMESTAMPNS,
        &1i32,
    )
}

fn join(fd: RawFd, interface: &str, group: Ipv4Addr, source: Ipv4Addr) -> io::Result<()> {
    let request = GroupSourceRequest {
        interface: interface_index(interface)?,
        group: storage(group),
        source: storage(source),
    };
    set_option(
        fd,
        libc::IPPROTO_IP,
        libc::MCAST_JOIN_SOURCE_GROUP,
        &request,
    )
}

pub(crate) fn interface_index(name: &str) -> io::Result<u32> {
    let name = CString::new(name)?;
    // SAFETY: `name` is a string closed by a zero that lives through the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index),
    }
}

fn storage(address: Ipv4Addr) -> libc::sockaddr_storage {
    let plain = ipv4(SocketAddrV4::new(address, 0));
    // SAFETY: all zero is a valid socket address of no family.
    let mut storage: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    // SAFETY: a sockaddr_storage is larger than, and aligned for, every socket address.
    unsafe {
        std::ptr::from_mut(&mut storage)
            .cast::<libc::sockaddr_in>()
            .write(plain)
    };
    storage
}

/// The system's form of an address.
pub(crate) fn ipv4(address: SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from_ne_bytes(address.ip().octets()),
        },
        sin_zero: [0; 8],
    }
}
