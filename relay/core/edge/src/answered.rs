//! What one subscriber was answered of one channel: for the records of who received what.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddrV4;
use std::sync::{Arc, Mutex, PoisonError};

use lanecast_relay_core::EpochKey;
use socket2::{SockAddr, Socket};

use crate::channel::epoch_text;
use crate::snapshot::{AnsweredRange, SubscriberSnapshot};

/// Streams and epochs whose numbers are remembered; answers beyond are counted without.
const RANGES_KEPT: usize = 1000;

/// The messages of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers {
    pub stream: u64,
    pub epoch: EpochKey,
    /// As on the wire.
    pub first: u64,
    pub last: u64,
}

impl Numbers {
    /// Of a MoldUDP64 packet with messages (1.0, Downstream Packet: sequence number 10:8, message count 18:2).
    pub(crate) fn of(packet: &[u8], stream: u64, epoch: EpochKey) -> Option<Self> {
        let first = u64::from_be_bytes(packet.get(10..18)?.try_into().ok()?);
        let count = u16::from_be_bytes(packet.get(18..20)?.try_into().ok()?);
        let last = first.checked_add(u64::from(count).checked_sub(1)?)?;
        Some(Self {
            stream,
            epoch,
            first,
            last,
        })
    }
}

#[derive(Debug, Default)]
pub(crate) struct Answered {
    answers: u64,
    bytes: u64,
    /// By stream and epoch, the lowest and the highest number.
    ranges: BTreeMap<(u64, [u8; EpochKey::BYTES]), (u64, u64)>,
}

impl Answered {
    pub(crate) fn count(&mut self, bytes: usize, numbers: Option<Numbers>) {
        self.answers += 1;
        self.bytes += bytes as u64;
        let Some(numbers) = numbers else {
            return;
        };
        let key = (numbers.stream, numbers.epoch.0);
        if let Some((first, last)) = self.ranges.get_mut(&key) {
            *first = numbers.first.min(*first);
            *last = numbers.last.max(*last);
        } else if self.ranges.len() < RANGES_KEPT {
            self.ranges.insert(key, (numbers.first, numbers.last));
        }
    }

    /// Add it, and what the journal's thread answered, to `snapshot`.
    pub(crate) fn add_to(
        &self,
        later: &Later,
        (feed, channel): (&str, &str),
        snapshot: &mut SubscriberSnapshot,
    ) {
        let later = later.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ranges = self.ranges.clone();
        for one in [self, &later.answered] {
            snapshot.answers += one.answers;
            snapshot.answer_bytes += one.bytes;
        }
        for (key, (first, last)) in &later.answered.ranges {
            let range = ranges.entry(*key).or_insert((*first, *last));
            *range = (range.0.min(*first), range.1.max(*last));
        }
        for ((stream, epoch), (first, last)) in ranges {
            snapshot.answered.push(AnsweredRange {
                feed: feed.to_owned(),
                channel: channel.to_owned(),
                stream,
                epoch: epoch_text(EpochKey(epoch)),
                first,
                last,
            });
        }
    }
}

/// What the journal's thread answers one subscriber. It holds the lock while it sends, so that nothing leaves once
/// [`Later::end`] has returned, and all that left is counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Later(Arc<Mutex<LaterAnswers>>);

#[derive(Debug, Default)]
struct LaterAnswers {
    ended: bool,
    answered: Answered,
}

impl Later {
    /// Send `packet`, unless the subscriber is gone; returns whether it left.
    pub(crate) fn send(
        &self,
        socket: &Socket,
        to: SocketAddrV4,
        packet: &[u8],
        numbers: Option<Numbers>,
    ) -> io::Result<bool> {
        let mut later = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if later.ended {
            return Ok(false);
        }
        socket.send_to(packet, &SockAddr::from(to))?;
        later.answered.count(packet.len(), numbers);
        Ok(true)
    }

    /// Nothing more is sent.
    pub(crate) fn end(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).ended = true;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::net::{Ipv4Addr, UdpSocket};

    fn packet(first: u64, count: u16) -> Vec<u8> {
        let mut packet = b"SESSION001".to_vec();
        packet.extend(first.to_be_bytes());
        packet.extend(count.to_be_bytes());
        packet
    }

    #[test]
    fn what_the_journal_finds_for_who_is_gone_does_not_leave() {
        let there = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        there.set_nonblocking(true).unwrap();
        let std::net::SocketAddr::V4(to) = there.local_addr().unwrap() else {
            unreachable!("it was bound to an IPv4 address");
        };
        let socket = Socket::from(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        let (later, epoch) = (Later::default(), EpochKey(*b"SESSION001"));
        let asked = later.clone();
        let send = |first| {
            let packet = packet(first, 3);
            let numbers = Numbers::of(&packet, 7, epoch);
            asked.send(&socket, to, &packet, numbers).unwrap()
        };
        assert!(send(10));
        assert!(send(5));
        later.end();
        assert!(!send(1));
        let mut snapshot = SubscriberSnapshot::new("app");
        Answered::default().add_to(&later, ("quotes", "main"), &mut snapshot);
        assert_eq!((snapshot.answers, snapshot.answer_bytes), (2, 40));
        let ranges: Vec<_> = snapshot
            .answered
            .iter()
            .map(|it| (it.stream, it.epoch.as_str(), it.first, it.last))
            .collect();
        assert_eq!(ranges, [(7, "SESSION001", 5, 12)]);
        let mut buffer = [0; 100];
        assert_eq!(there.recv(&mut buffer).unwrap(), 20);
        assert_eq!(there.recv(&mut buffer).unwrap(), 20);
        assert!(there.recv(&mut buffer).is_err(), "a third one");
    }

    #[test]
    fn ranges_of_both_threads_are_one() {
        let (mut memory, later) = (Answered::default(), Later::default());
        let epoch = EpochKey(*b"SESSION001");
        memory.count(20, Numbers::of(&packet(50, 1), 0, epoch));
        for (first, count, stream) in [(1, 2, 0), (9, 1, 3)] {
            let numbers = Numbers::of(&packet(first, count), stream, epoch);
            later.0.lock().unwrap().answered.count(20, numbers);
        }
        let mut snapshot = SubscriberSnapshot::new("app");
        memory.add_to(&later, ("quotes", "main"), &mut snapshot);
        assert_eq!(snapshot.answers, 3);
        let ranges: Vec<_> = snapshot
            .answered
            .iter()
            .map(|it| (it.stream, it.first, it.last))
            .collect();
        assert_eq!(ranges, [(0, 1, 50), (3, 9, 9)]);
    }

    #[test]
    fn a_packet_without_messages_has_no_numbers() {
        let epoch = EpochKey([0; EpochKey::BYTES]);
        assert!(Numbers::of(&packet(5, 0), 0, epoch).is_none());
        assert!(Numbers::of(b"short", 0, epoch).is_none());
    }
}
