//! Asking re-request servers for lost messages, one after the other.

use std::net::SocketAddrV4;

use lanecast_relay_core::{EpochKey, Protocol};
use socket2::{SockAddr, Socket};

/// Puts questions for one channel. Answers come to the same socket, which the worker reads as a line.
pub(crate) struct Asker {
    socket: Socket,
    servers: Vec<SocketAddrV4>,
    turn: usize,
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
            requests: 0,
            request_errors: 0,
        }
    }

    /// Ask the next server for the numbers `first..=last`: one that does not answer is followed by another.
    pub(crate) fn ask(&mut self, protocol: &Protocol, epoch: EpochKey, first: u64, last: u64) {
        let server = self.servers.get(self.turn % self.servers.len().max(1));
        let (Some(server), Some(request)) = (server, protocol.request(epoch, first, last)) else {
            return;
        };
        self.turn = self.turn.wrapping_add(1);
        match self.socket.send_to(&request, &SockAddr::from(*server)) {
            Ok(_) => self.requests += 1,
            Err(_) => self.request_errors += 1,
        }
    }
}
