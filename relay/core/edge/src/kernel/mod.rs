//! Fan-out in the kernel: a datagram is sent once, and clones of it leave to every subscriber of a group.
//!
//! An option, because it needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, and Linux 6.6. Which subscribers can be reached so is decided
//! outside the packet path (who knows the route and the neighbour says it as a [`Way`]); everybody else, and everybody
//! while no way is known, is served by sockets.

mod bpf;
mod program;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;

use serde::Deserialize;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::input::interface_index;
pub(crate) use program::MEMBERS;
use program::{GROUP_ADDRESS, GROUP_BYTES, GROUP_HEADER_BYTES, MEMBER_BYTES};

/// Groups at a time: one for each channel and form, or more where there are many subscribers.
const GROUPS: u32 = 16_384;

/// The discard service's port (RFC 863): what the program leaves alone, for want of a group, is thrown away there.
const DISCARD_PORT: u16 = 9;

/// IPv4's and UDP's headers.
const HEADERS_BYTES: usize = 28;

/// How frames reach an address: decided by whoever reads routes and neighbours.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Way {
    pub interface_index: u32,
    /// Link-layer addresses of the next hop and of the interface.
    pub to: [u8; 6],
    pub from: [u8; 6],
}

/// By destination address.
pub type Ways = BTreeMap<Ipv4Addr, Way>;

/// One member of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub way: Way,
    /// What the member's own socket would send from, so that it makes no difference which of the two sends.
    pub from: SocketAddrV4,
    pub to: SocketAddrV4,
    /// Of the path, in bytes.
    pub mtu_bytes: usize,
}

/// The program, attached, and its groups.
pub(crate) struct Kernel {
    map: bpf::Map,
    /// Clones that the kernel could not send, of groups that are no more.
    failed_before: Cell<u64>,
    _program: OwnedFd,
    _link: OwnedFd,
}

/// Sends to all of its members at once.
pub(crate) struct Group {
    pub socket: Socket,
    key: [u8; 4],
    /// The largest datagram that needs no fragments on any member's way.
    pub payload_bytes: usize,
}

impl Kernel {
    /// Load and attach the program.
    pub(crate) fn open() -> io::Result<Self> {
        let map = bpf::Map::create(GROUP_BYTES, GROUPS)?;
        let program = bpf::load(&program::program(map.descriptor()))?;
        let link = bpf::attach(&program, interface_index("lo")?)?;
        Ok(Self {
            map,
            failed_before: Cell::new(0),
            _program: program,
            _link: link,
        })
    }

    /// Make groups of `members`, each as large as the program takes.
    pub(crate) fn groups(&self, members: &[Member]) -> io::Result<Vec<Group>> {
        members
            .chunks(MEMBERS)
            .map(|members| self.group(members))
            .collect()
    }

    fn group(&self, members: &[Member]) -> io::Result<Group> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        let to = SocketAddrV4::new(GROUP_ADDRESS, DISCARD_PORT);
        socket.connect(&SockAddr::from(to))?;
        let own = socket.local_addr()?.as_socket_ipv4();
        let own = own.ok_or_else(|| io::Error::from_raw_os_error(libc::EAFNOSUPPORT))?;
        let [a, b] = own.port().to_be_bytes();
        let [c, d] = DISCARD_PORT.to_be_bytes();
        let key = [a, b, c, d];
        let first = network(own, to);
        self.map.insert(key, &value(&first, members))?;
        let mtu_bytes = members.iter().map(|member| member.mtu_bytes).min();
        Ok(Group {
            socket,
            key,
            payload_bytes: mtu_bytes.unwrap_or(0).saturating_sub(HEADERS_BYTES),
        })
    }

    /// How many clones of the group the kernel could not send.
    pub(crate) fn failed(&self, group: &Group) -> u64 {
        let value = self.map.get(group.key).unwrap_or_default();
        let bytes = value.get(8..16).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u64::from_ne_bytes)
    }

    /// The same of all groups that are no more.
    pub(crate) fn failed_before(&self) -> u64 {
        self.failed_before.get()
    }

    /// The group is no more; its failed clones stay counted. Whoever calls is the one who sends, so none fails in between.
    pub(crate) fn dissolve(&self, group: &Group) {
        let failed = self.failed_before.get() + self.failed(group);
        self.failed_before.set(failed);
        // It may be gone already: then there is nothing to do.
        drop(self.map.remove(group.key));
    }
}

/// Source, destination and ports as they lie in the frame.
fn network(from: SocketAddrV4, to: SocketAddrV4) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&from.ip().octets());
    bytes[4..8].copy_from_slice(&to.ip().octets());
    bytes[8..10].copy_from_slice(&from.port().to_be_bytes());
    bytes[10..].copy_from_slice(&to.port().to_be_bytes());
    bytes
}

/// The map's entry: every member's addresses, and how the checksums differ from those of the one before.
fn value(first: &[u8; 12], members: &[Member]) -> Vec<u8> {
    let mut value = Vec::with_capacity(GROUP_BYTES);
    value.extend_from_slice(&(members.len() as u32).to_ne_bytes());
    value.resize(GROUP_HEADER_BYTES, 0);
    let mut before = *first;
    for member in members {
        let way = member.way;
        let after = network(member.from, member.to);
        value.extend_from_slice(&way.to);
        value.extend_from_slice(&way.from);
        value.extend_from_slice(&after);
        let addresses = difference(&before[..8], &after[..8]);
        let ports = difference(&before[8..], &after[8..]);
        value.extend_from_slice(&addresses.to_ne_bytes());
        value.extend_from_slice(&ports.to_ne_bytes());
        value.extend_from_slice(&way.interface_index.to_ne_bytes());
        value.extend_from_slice(&[0; 4]);
        before = after;
    }
    debug_assert_eq!(
        value.len(),
        GROUP_HEADER_BYTES + members.len() * MEMBER_BYTES
    );
    value.resize(GROUP_BYTES, 0);
    value
}

/// RFC 1624: what to add to a sum of 16-bit words when `before` becomes `after`, not folded yet. Words count as the machine
/// reads them, since that is how the kernel sums them.
fn difference(before: &[u8], after: &[u8]) -> u32 {
    let words = |bytes: &[u8]| -> Vec<u16> {
        let pairs = bytes.chunks_exact(2);
        pairs
            .map(|pair| u16::from_ne_bytes([pair[0], pair[1]]))
            .collect()
    };
    let gone = words(before).into_iter().map(|word| u32::from(!word));
    let come = words(after).into_iter().map(u32::from);
    gone.chain(come).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(mut sum: u32) -> u16 {
        while sum > 0xFFFF {
            sum = (sum & 0xFFFF) + (sum >> 16);
        }
        sum as u16
    }

    #[test]
    fn a_sum_that_is_mended_is_the_sum_of_what_came() {
        let before = [127, 0, 0, 1, 127, 0, 0, 1];
        let after = [10, 77, 16, 1, 10, 77, 17, 255];
        let sum = |bytes: &[u8]| {
            let pairs = bytes.chunks_exact(2);
            pairs
                .map(|pair| u32::from(u16::from_ne_bytes([pair[0], pair[1]])))
                .sum::<u32>()
        };
        let mended = sum(&before) + difference(&before, &after);
        assert_eq!(folded(mended), folded(sum(&after)));
    }

    #[test]
    fn a_group_has_the_size_of_the_map() {
        let way = Way {
            interface_index: 3,
            to: [1; 6],
            from: [2; 6],
        };
        let from = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 5000);
        let to = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 2), 6000);
        let member = Member {
            way,
            from,
            to,
            mtu_bytes: 1500,
        };
        let value = value(&[0; 12], &[member; MEMBERS]);
        assert_eq!(value.len(), GROUP_BYTES);
        assert_eq!(value[..4], 256u32.to_ne_bytes());
        assert_eq!(value[16..28], [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2]);
        assert_eq!(
            value[28..40],
            [10, 0, 0, 1, 10, 0, 0, 2, 0x13, 0x88, 0x17, 0x70]
        );
    }
}
