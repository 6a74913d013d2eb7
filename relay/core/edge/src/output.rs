//! Where one channel goes for one subscriber: a socket of its own, which never waits.
//!
//! The socket is connected, so that a send needs no look-up of the route. A route that is not there yet must not keep the
//! relay from starting: such an output is connected once there is one. A subscriber that refuses, or whose queue is full,
//! loses datagrams of its own and delays nobody.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddrV4;
use std::os::fd::{AsRawFd, RawFd};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::burst::Burst;
use crate::snapshot::SubscriberSnapshot;
use crate::system::{get_option, set_option};

const SEND_BUFFER_BYTES: libc::c_int = 4 << 20;

/// How long a failed connect waits before it is tried again.
const RECONNECT_NS: u64 = 100_000_000;

/// Reports in a socket's error queue that are thrown away at a time.
const REPORTS: usize = 64;

pub(crate) struct Output {
    pub to: SocketAddrV4,
    socket: Socket,
    connected: bool,
    reconnect_ns: u64,
    /// Whether the system takes segmented sends; the first refusal turns them off for good.
    pub segmentation: bool,
    datagrams: u64,
    bytes: u64,
    dropped: u64,
    refused: BTreeMap<i32, u64>,
}

/// What to do after a refusal.
enum After {
    Again,
    Skip(usize),
    SkipAll,
    WithoutSegmentation,
}

impl Output {
    pub(crate) fn open(to: SocketAddrV4) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        let fd = socket.as_raw_fd();
        let forced = set_option(
            fd,
            libc::SOL_SOCKET,
            libc::SO_SNDBUFFORCE,
            &SEND_BUFFER_BYTES,
        );
        if forced.is_err() {
            set_option(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, &SEND_BUFFER_BYTES)?;
        }
        // ip(7): with it every ICMP report is heard, those of routers included.
        set_option(fd, libc::IPPROTO_IP, libc::IP_RECVERR, &1i32)?;
        let mut output = Self {
            to,
            socket,
            connected: false,
            reconnect_ns: 0,
            segmentation: true,
            datagrams: 0,
            bytes: 0,
            dropped: 0,
            refused: BTreeMap::new(),
        };
        // A failure is no mistake yet, and is counted when something has to leave.
        output.connected = output.connect().is_ok();
        Ok(output)
    }

    /// Send `burst`, in order, from run `from` on; what the kernel does not take is counted and gone. Returns the
    /// datagram to go on from with an unsegmented burst, when the system turns out to take no other.
    pub(crate) fn send(
        &mut self,
        burst: &mut Burst<'_>,
        from: usize,
        now_ns: u64,
    ) -> Option<usize> {
        self.send_after(burst, from, None, now_ns)
    }

    /// The same, where run `from` was tried already and met `failure`.
    pub(crate) fn send_after(
        &mut self,
        burst: &mut Burst<'_>,
        from: usize,
        mut failure: Option<io::Error>,
        now_ns: u64,
    ) -> Option<usize> {
        let (runs, mut run, mut retried) = (burst.runs(), from, false);
        if !self.is_connected(now_ns) {
            self.dropped += (burst.start(runs) - burst.start(run)) as u64;
            return None;
        }
        while run < runs {
            let (start, first_end) = (burst.start(run), burst.start(run + 1));
            let tried = failure
                .take()
                .map_or_else(|| burst.send(self.socket.as_raw_fd(), run), Err);
            match tried {
                Ok(sent) => {
                    let end = burst.start(run + sent);
                    self.count_sent(end - start, burst.bytes(start, end));
                    run += sent;
                    retried = false;
                }
                Err(error) => match self.after(&error, first_end - start, &mut retried) {
                    After::Again => {}
                    After::Skip(datagrams) => {
                        self.dropped += datagrams as u64;
                        run += 1;
                    }
                    After::SkipAll => {
                        self.dropped += (burst.start(runs) - start) as u64;
                        run = runs;
                    }
                    After::WithoutSegmentation => return Some(start),
                },
            }
        }
        None
    }

    /// The socket, where it can be sent on.
    pub(crate) fn connected_socket(&mut self, now_ns: u64) -> Option<RawFd> {
        self.is_connected(now_ns).then(|| self.socket.as_raw_fd())
    }

    /// From where and how large its datagrams go; none while there is no route.
    pub(crate) fn path(&self) -> Option<(SocketAddrV4, usize)> {
        let from = self.socket.local_addr().ok()?.as_socket_ipv4()?;
        let mtu_bytes =
            get_option::<libc::c_int>(self.socket.as_raw_fd(), libc::IPPROTO_IP, libc::IP_MTU);
        self.connected.then_some(())?;
        Some((from, usize::try_from(mtu_bytes.ok()?).ok()?))
    }

    /// They left by another way than this socket.
    pub(crate) fn count_sent(&mut self, datagrams: usize, bytes: u64) {
        self.datagrams += datagrams as u64;
        self.bytes += bytes;
    }

    /// `error` met a run of `first_run` datagrams.
    fn after(&mut self, error: &io::Error, first_run: usize, retried: &mut bool) -> After {
        let errno = error.raw_os_error().unwrap_or(0);
        if errno == libc::EINTR {
            return After::Again;
        }
        // udp(7): a device without checksum offload refuses segments with EIO, and a path that is too narrow with EINVAL.
        let unsegmented = matches!(
            errno,
            libc::EIO | libc::EINVAL | libc::EMSGSIZE | libc::EOPNOTSUPP
        );
        if first_run > 1 && unsegmented {
            self.segmentation = false;
            return After::WithoutSegmentation;
        }
        *self.refused.entry(errno).or_default() += 1;
        if !*retried && self.mend(errno) {
            *retried = true;
            return After::Again;
        }
        *retried = false;
        match errno {
            // The queue is full, or there is no way any more: all that follows would meet the same.
            libc::EAGAIN | libc::ENOBUFS => After::SkipAll,
            _ if !self.connected => After::SkipAll,
            _ => After::Skip(first_run),
        }
    }

    /// Whether it is worth trying again.
    fn mend(&mut self, errno: i32) -> bool {
        match errno {
            // An ICMP report about an earlier datagram comes back from the next call, which then sends nothing.
            libc::ECONNREFUSED | libc::EPROTO => {
                self.clear_reports();
                true
            }
            // A report, or the source address that was chosen at first is gone: choose anew.
            libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EINVAL | libc::EADDRNOTAVAIL => {
                self.clear_reports();
                self.connected = self.connect().is_ok();
                self.connected
            }
            _ => false,
        }
    }

    fn is_connected(&mut self, now_ns: u64) -> bool {
        if !self.connected && now_ns >= self.reconnect_ns {
            self.reconnect_ns = now_ns.saturating_add(RECONNECT_NS);
            match self.connect() {
                Ok(()) => self.connected = true,
                Err(error) => {
                    let errno = error.raw_os_error().unwrap_or(0);
                    *self.refused.entry(errno).or_default() += 1;
                }
            }
        }
        self.connected
    }

    fn connect(&self) -> io::Result<()> {
        self.socket.connect(&SockAddr::from(self.to))
    }

    /// Throw away the ICMP reports that wait: they were counted by their errno.
    fn clear_reports(&self) {
        // SAFETY: all zero is a valid message header without buffers.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
        for _ in 0..REPORTS {
            // SAFETY: a header without buffers is valid: the report is cut to nothing.
            if unsafe { libc::recvmsg(self.socket.as_raw_fd(), &mut header, flags) } < 0 {
                return;
            }
        }
    }

    /// Add what this output sent to `snapshot`.
    pub(crate) fn add_to(&self, snapshot: &mut SubscriberSnapshot) {
        snapshot.datagrams += self.datagrams;
        snapshot.bytes += self.bytes;
        snapshot.dropped += self.dropped;
        snapshot.segmentation &= self.segmentation;
        for (errno, count) in &self.refused {
            let name = crate::errors::errno_name(*errno).to_owned();
            *snapshot.refused.entry(name).or_default() += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::burst::Room;
    use crate::config::Delivery as Form;
    use crate::delivery::{Deliveries, Delivery, Sending};
    use lanecast_relay_core::{find, Content};
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

    fn send(output: &mut Output, datagrams: &[&[u8]], segmented: bool) {
        let mut room = Room::default();
        let mut burst = Burst::new(&mut room, datagrams, segmented);
        assert_eq!(output.send(&mut burst, 0, 1), None);
    }

    #[test]
    fn everything_arrives_in_order_with_and_without_segmentation() {
        let (socket, address) = receiver();
        for segmented in [true, false] {
            let mut output = Output::open(address).unwrap();
            let datagrams: Vec<Vec<u8>> = (0..150u8)
                .map(|n| vec![n; if n % 7 == 0 { 30 } else { 90 }])
                .collect();
            let views: Vec<&[u8]> = datagrams.iter().map(Vec::as_slice).collect();
            send(&mut output, &views, segmented);
            let mut buffer = [0u8; 2000];
            for datagram in &datagrams {
                let size = socket.recv(&mut buffer).unwrap();
                assert_eq!(&buffer[..size], datagram.as_slice());
            }
            assert!(output.segmentation);
            assert_eq!((output.datagrams, output.dropped), (150, 0));
            assert_eq!(
                output.bytes,
                views.iter().map(|view| view.len() as u64).sum::<u64>()
            );
        }
    }

    #[test]
    fn the_largest_pair_that_one_segmented_send_takes_arrives() {
        let (socket, address) = receiver();
        let mut output = Output::open(address).unwrap();
        let big = vec![7u8; 32_500];
        send(&mut output, &[&big, &big], true);
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
        let mut output = Output::open(address).unwrap();
        for _ in 0..20 {
            send(&mut output, &[b"x"], true);
        }
        let refused = output.refused.get(&libc::ECONNREFUSED).copied();
        assert!(refused.unwrap_or(0) > 0, "{:?}", output.refused);
        assert_eq!(output.datagrams + output.dropped, 20);
        let late = UdpSocket::bind(address).unwrap();
        late.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        send(&mut output, &[b"y"], true);
        let mut buffer = [0u8; 10];
        assert_eq!(late.recv(&mut buffer).unwrap(), 1);
    }

    #[test]
    fn a_destination_that_cannot_be_is_counted() {
        let mut output = Output::open(SocketAddrV4::new(Ipv4Addr::BROADCAST, 9)).unwrap();
        send(&mut output, &[b"x", b"y"], true);
        assert_eq!((output.datagrams, output.dropped), (0, 2));
        assert_eq!(output.refused.get(&libc::EACCES), Some(&1));
    }

    /// UDP-Lite (RFC 3828) is where the kernel has no segmentation offload to give: it says EIO, as it does on a path
    /// through IPsec, and before Linux 6.11 on one without checksum offload.
    fn lite() -> Option<Socket> {
        let lite = Protocol::from(libc::IPPROTO_UDPLITE);
        match Socket::new(Domain::IPV4, Type::DGRAM, Some(lite)) {
            Ok(socket) => Some(socket),
            // A kernel that has no UDP-Lite.
            Err(error) if error.raw_os_error() == Some(libc::EPROTONOSUPPORT) => None,
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn a_socket_that_takes_no_segments_gets_the_whole_batch_one_by_one() {
        let (Some(refusing), Some(far)) = (lite(), lite()) else {
            return;
        };
        let anywhere = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);
        far.bind(&SockAddr::from(anywhere)).unwrap();
        far.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let to = far.local_addr().unwrap().as_socket_ipv4().unwrap();
        let mut first = Output::open(to).unwrap();
        first.socket = refusing;
        first.connect().unwrap();
        let (other_far, other_to) = receiver();
        let channel = ("feed", "main");
        let mut deliveries = Deliveries::new(channel.0, channel.1, find("raw").unwrap());
        let other = Output::open(other_to).unwrap();
        deliveries.add(Delivery::new("first", Form::Native, first));
        deliveries.add(Delivery::new("other", Form::Native, other));
        let datagrams: Vec<Vec<u8>> = (0..100u8).map(|n| vec![n; 90]).collect();
        let views: Vec<&[u8]> = datagrams.iter().map(Vec::as_slice).collect();
        let contents = vec![Content::Other; views.len()];
        let mut sending = Sending::default();
        for _ in 0..2 {
            deliveries.send_native(&views, &contents, 1, &mut sending);
        }
        let far = UdpSocket::from(far);
        let mut buffer = [0u8; 2000];
        for datagram in datagrams.iter().chain(&datagrams) {
            for socket in [&far, &other_far] {
                let size = socket.recv(&mut buffer).unwrap();
                assert_eq!(&buffer[..size], datagram.as_slice());
            }
        }
        let outputs: Vec<&Output> = deliveries.iter().map(|it| &it.output).collect();
        let told = |output: &Output| (output.segmentation, output.datagrams, output.dropped);
        assert_eq!(told(outputs[0]), (false, 200, 0));
        assert_eq!(told(outputs[1]), (true, 200, 0));
        assert!(outputs[0].refused.is_empty(), "{:?}", outputs[0].refused);
    }
}
