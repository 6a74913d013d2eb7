//! Asking re-request servers for lost messages, one after the other.

use std::collections::VecDeque;
use std::net::SocketAddrV4;

use lanecast_relay_core::{EpochKey, Protocol};
use socket2::{SockAddr, Socket};

/// How many holes are remembered with the server that was asked: twice as many as are asked for at a time.
const HOLES: usize = 64;

/// A hole as it was last asked for, and the server.
#[derive(Clone, Copy, Debug)]
struct Asked {
    epoch: EpochKey,
    first: u64,
    last: u64,
    server: usize,
}

/// Puts questions for one channel. Answers come to the same socket, which the worker reads as a line.
pub(crate) struct Asker {
    socket: Socket,
    servers: Vec<SocketAddrV4>,
    /// Whose turn it is to be asked for a hole that nobody was asked for.
    turn: usize,
    /// Oldest first.
    asked: VecDeque<Asked>,
    /// Questions that were sent, and that the kernel did not take.
    pub requests: u64,
    pub request_errors: u64,
}

impl Asker {
    pub(crate) fn new(socket: Socket, servers: Vec<SocketAddrV4>) -> Self {
        Self {
            socket,
            servers,
            turn: 0,
            asked: VecDeque::new(),
            requests: 0,
            request_errors: 0,
        }
    }

    /// Ask a server for the numbers `first..=last`: holes go to all in turn, and each hole from one to the next.
    pub(crate) fn ask(&mut self, protocol: &Protocol, epoch: EpochKey, first: u64, last: u64) {
        let Some(request) = protocol.request(epoch, first, last) else {
            return;
        };
        let index = self.server_for(epoch, first, last);
        let Some(server) = self.servers.get(index) else {
            return;
        };
        match self.socket.send_to(&request, &SockAddr::from(*server)) {
            Ok(_) => self.requests += 1,
            Err(_) => self.request_errors += 1,
        }
    }

    /// One that brought a part is asked for the rest, one that brought nothing is followed by the next. Holes only shrink or
    /// fall apart, so what was asked for before contains them.
    fn server_for(&mut self, epoch: EpochKey, first: u64, last: u64) -> usize {
        let count = self.servers.len().max(1);
        let is_of = |one: &Asked| one.epoch == epoch && one.first <= first && last <= one.last;
        let before = self.asked.iter().rposition(is_of);
        let server = match before.and_then(|at| self.asked.get(at).copied()) {
            Some(one) if one.last == last && one.first < first => one.server,
            Some(one) => (one.server + 1) % count,
            None => {
                self.turn = (self.turn + 1) % count;
                self.turn
            }
        };
        let asked = Asked {
            epoch,
            first,
            last,
            server,
        };
        match before {
            Some(at) if self.asked.get(at).is_some_and(|one| one.last == last) => {
                self.asked.remove(at);
            }
            _ if self.asked.len() >= HOLES => {
                self.asked.pop_front();
            }
            _ => {}
        }
        self.asked.push_back(asked);
        server
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test that cannot unwrap has failed
mod tests {
    use super::*;

    fn asker(servers: u16) -> Asker {
        let socket = Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
        let place = |at| SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 9000 + at);
        Asker::new(socket, (0..servers).map(place).collect())
    }

    #[test]
    fn as_many_holes_as_servers_are_each_put_to_all_of_them() {
        let epoch = EpochKey::default();
        for (servers, holes) in [(2, 2), (3, 3), (2, 4), (3, 32)] {
            let mut asker = asker(servers);
            let mut seen = vec![Vec::new(); holes];
            for _ in 0..servers {
                for (hole, seen) in seen.iter_mut().enumerate() {
                    let first = 100 * hole as u64;
                    seen.push(asker.server_for(epoch, first, first + 9));
                }
            }
            for mut seen in seen {
                seen.sort_unstable();
                assert_eq!(seen, (0..usize::from(servers)).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn whoever_brought_a_part_is_asked_for_the_rest() {
        let epoch = EpochKey::default();
        let mut asker = asker(2);
        let first = asker.server_for(epoch, 10, 19);
        assert_eq!(asker.server_for(epoch, 13, 19), first);
        assert_eq!(asker.server_for(epoch, 16, 19), first);
        assert_ne!(asker.server_for(epoch, 16, 19), first);
        // A line filled the middle of another hole.
        let other = asker.server_for(epoch, 30, 49);
        assert_ne!(asker.server_for(epoch, 30, 35), other);
        assert_eq!(asker.server_for(epoch, 30, 35), other);
    }
}
