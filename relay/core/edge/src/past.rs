//! Answers from the journal, for what the memory has let go: disks are slow, so a thread of its own looks them up.

use std::io;
use std::net::SocketAddrV4;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{sync_channel, Receiver, RecvTimeoutError, SyncSender};
use std::sync::Arc;
use std::time::Duration;

use lanecast_relay_core::memory::Block;
use lanecast_relay_core::mold::Session;
use lanecast_relay_core::{EpochKey, Packet, Protocol};
use lanecast_relay_journal::Archive;
use socket2::Socket;

use crate::answered::{Later, Numbers};

/// Questions that may wait; whoever asks beyond that asks again later.
const WAITING: usize = 256;

/// When nobody has asked for so long, no file is kept open: one that is deleted gives its room back only then.
const REST_AFTER: Duration = Duration::from_secs(1);

/// A question that the memory could not answer.
pub(crate) struct Question {
    pub socket: Arc<Socket>,
    pub to: SocketAddrV4,
    pub feed: String,
    pub channel: String,
    pub protocol: &'static Protocol,
    pub session: Session,
    pub stream: u64,
    pub epoch: EpochKey,
    /// The arbiter's numbers `first..end`.
    pub first: u64,
    pub end: u64,
    pub room_bytes: usize,
    pub counted: Arc<Counted>,
    /// Who asked.
    pub later: Later,
}

/// What became of the questions of one channel.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub asked: AtomicU64,
    pub answers: AtomicU64,
    pub answer_bytes: AtomicU64,
    pub not_found: AtomicU64,
    pub errors: AtomicU64,
}

/// Takes questions; the thread ends when this is dropped.
pub(crate) struct Past(SyncSender<Question>);

impl Past {
    /// The journal itself is opened when somebody asks: a disk that fails costs nobody anything else.
    pub(crate) fn open(directory: &Path) -> io::Result<Self> {
        let directory = directory.to_owned();
        let (sender, receiver) = sync_channel(WAITING);
        std::thread::Builder::new()
            .name("relay-past".to_owned())
            .spawn(move || answer_all(&directory, &receiver))?;
        Ok(Self(sender))
    }

    /// Returns whether there was room.
    pub(crate) fn ask(&self, question: Question) -> bool {
        let counted = Arc::clone(&question.counted);
        let taken = self.0.try_send(question).is_ok();
        if taken {
            counted.asked.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }
}

fn answer_all(directory: &Path, questions: &Receiver<Question>) {
    let mut archive = None;
    while let Some(question) = next(questions, &mut archive) {
        let counted = &question.counted;
        let found = match &mut archive {
            Some(archive) => find(archive, &question),
            None => {
                Archive::open(directory).and_then(|opened| find(archive.insert(opened), &question))
            }
        };
        let counter = match found {
            Ok(Some(packet)) => {
                let (socket, to) = (&question.socket, question.to);
                let numbers = Numbers::of(&packet, question.stream, question.epoch);
                match question.later.send(socket, to, &packet, numbers) {
                    Ok(true) => {
                        let bytes = packet.len() as u64;
                        counted.answer_bytes.fetch_add(bytes, Ordering::Relaxed);
                        &counted.answers
                    }
                    Ok(false) => &counted.not_found,
                    Err(_) => &counted.errors,
                }
            }
            Ok(None) => &counted.not_found,
            // A disk that fails is the journal's to report; here it has nothing to give.
            Err(_) => &counted.errors,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

fn next(questions: &Receiver<Question>, archive: &mut Option<Archive>) -> Option<Question> {
    match questions.recv_timeout(REST_AFTER) {
        Err(RecvTimeoutError::Timeout) => {
            if let Some(archive) = archive {
                archive.rest();
            }
            questions.recv().ok()
        }
        question => question.ok(),
    }
}

/// One datagram's worth of what is asked for, as far as it is there without a gap.
fn find(archive: &mut Archive, question: &Question) -> io::Result<Option<Vec<u8>>> {
    let protocol = question.protocol;
    let mut block = Block::new(question.session, question.first, question.room_bytes);
    let mut number = question.first;
    while number < question.end {
        let wire = protocol.numbers().wire(number);
        let (feed, channel) = (&question.feed, &question.channel);
        let found = archive.packet(feed, channel, question.stream, question.epoch, wire)?;
        let Some(datagram) = found else {
            break;
        };
        let Some((packet, first)) = packet_with(protocol, &datagram, question.stream, number)
        else {
            break;
        };
        let bytes = datagram.get(packet.start..packet.end).unwrap_or_default();
        let last = first.saturating_add(packet.count);
        if !block.take(protocol, bytes, (first, last, 0), question.end) {
            break;
        }
        number = last;
    }
    Ok(block.finish(protocol))
}

/// The packet of `datagram` that has the arbiter's `number`, and its first number.
fn packet_with(
    protocol: &Protocol,
    datagram: &[u8],
    stream: u64,
    number: u64,
) -> Option<(Packet, u64)> {
    let wire = protocol.numbers().wire(number);
    let packets = protocol.packets(datagram).ok()?;
    let holds = |packet: &&Packet| {
        let offset = wire.checked_sub(packet.first);
        packet.stream == stream && offset.is_some_and(|offset| offset < packet.count)
    };
    let packet = *packets.iter().find(holds)?;
    Some((packet, number - (wire - packet.first)))
}
