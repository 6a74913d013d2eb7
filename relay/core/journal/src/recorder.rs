//! The packet thread's side: one call a datagram, which makes a finished block in memory and nothing else.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddrV4;
use std::sync::atomic::{fence, Ordering};
use std::sync::mpsc::{channel, sync_channel, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::buffer::{add, get, Buffer, Line, Shared, BUFFER_BYTES};
use crate::calls::{errno_name, Machine, ThisMachine};
use crate::pcapng::{packet_block_bytes, Frame, LONGEST_DATAGRAM_BYTES};
use crate::settings::{JournalSettings, LineIdentity};
use crate::writer::Writer;

/// With fewer there would be none to fill while one is written.
const FEWEST_BUFFERS: usize = 4;

/// How long the end of a relay waits for its disk.
const CLOSE_WITHIN: Duration = Duration::from_secs(10);

/// What opens a journal for writing.
pub struct Journal;

impl Journal {
    /// Make the directory, lock it, repair what a crash left, and start the writer. An error is a directory that another
    /// relay writes; a disk that is full or fails is none: the writer says so and goes on trying.
    pub fn open(settings: JournalSettings) -> io::Result<Recorder> {
        let (recorder, writer) = Recorder::with_writer(settings, Box::new(ThisMachine::new()))?;
        std::thread::Builder::new()
            .name("relay-journal".to_owned())
            .spawn(move || writer.run())?;
        Ok(recorder)
    }
}

/// A writer, and its ends of what leads to the recorder and back.
pub(crate) struct Running {
    pub writer: Writer,
    pub full: Receiver<Box<Buffer>>,
    pub free: Sender<Box<Buffer>>,
    /// Dropped at the end; the recorder waits for that.
    _ending: SyncSender<()>,
}

impl Running {
    fn run(self) {
        self.writer.run(&self.full, &self.free);
    }
}

impl Recorder {
    pub(crate) fn with_writer(
        settings: JournalSettings,
        machine: Box<dyn Machine>,
    ) -> io::Result<(Self, Running)> {
        let buffers = (settings.queue_bytes / BUFFER_BYTES).max(FEWEST_BUFFERS);
        let shared = Arc::new(Shared::default());
        let (full, from_recorder) = sync_channel(buffers);
        let (to_recorder, free) = channel();
        let writer = Writer::open(settings, Arc::clone(&shared), machine)?;
        let (ending, ended) = sync_channel(1);
        let recorder = Self {
            shared,
            full: Some(full),
            free,
            spare: (0..buffers).map(|_| Box::new(Buffer::new())).collect(),
            current: None,
            frames: Vec::new(),
            order: 0,
            recorded: 0,
            ended,
        };
        let running = Running {
            writer,
            full: from_recorder,
            free: to_recorder,
            _ending: ending,
        };
        Ok((recorder, running))
    }
}

/// One line of the journal: an interface of its segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineHandle(u32);

/// What the journal did so far. `recorded` = `written` + `failed` + what is on its way to the disk.
#[derive(Clone, Debug, Default, Serialize)]
pub struct JournalCounters {
    /// `writing`, or why nothing is written, and since when.
    pub state: String,
    /// Datagrams that were taken.
    pub recorded: u64,
    /// Datagrams that are in segments and safe on disk, and all bytes of them.
    pub written: u64,
    pub written_bytes: u64,
    /// Datagrams that were not taken, because everything that may wait for the disk was waiting.
    pub dropped: u64,
    pub dropped_bytes: u64,
    /// Datagrams that were taken and that the disk refused, when they were written or when they were synced.
    pub failed: u64,
    pub failed_bytes: u64,
    /// What the disk refused, by errno.
    pub errors: BTreeMap<String, u64>,
    /// Segments that are kept, and that were begun since the start.
    pub segments: u64,
    pub segments_opened: u64,
    /// What they take on disk, with their indexes.
    pub kept_bytes: u64,
    /// When the oldest datagram that is kept came. `CLOCK_REALTIME`; 0: there is none.
    pub oldest_ns: u64,
    /// Whatever was published before this moment of `CLOCK_REALTIME` is safe on disk, or counted as not.
    pub synced_ns: u64,
}

/// Records datagrams. Belongs to one thread; dropping it lets the writer finish on its own, [`Self::close`] waits.
pub struct Recorder {
    shared: Arc<Shared>,
    full: Option<SyncSender<Box<Buffer>>>,
    free: Receiver<Box<Buffer>>,
    /// The last one back is the first to be filled again: its memory is still in the cache, and others stay untouched.
    #[expect(clippy::vec_box, reason = "the box is what changes hands")]
    spare: Vec<Box<Buffer>>,
    current: Option<Box<Buffer>>,
    frames: Vec<Frame>,
    order: u64,
    recorded: u64,
    /// Nothing is ever sent on it; it ends when the writer does.
    ended: Receiver<()>,
}

impl Recorder {
    /// Make a line known, at any time. The same line again is the same handle.
    pub fn line(&mut self, line: &LineIdentity) -> LineHandle {
        let name = line.name();
        let mut lines = self.shared.lines();
        let place = lines.iter().position(|known| known.name == name);
        let place = place.unwrap_or_else(|| {
            let protocol = Some(line.protocol);
            lines.push(Line { name, protocol });
            self.frames
                .push(Frame::new(self.frames.len() as u32, line.endpoint));
            lines.len() - 1
        });
        LineHandle(place as u32)
    }

    /// Record one datagram. Waits for nothing and allocates nothing: where there is no room it is dropped and counted.
    #[inline]
    pub fn record(
        &mut self,
        line: LineHandle,
        received_ns: u64,
        source: SocketAddrV4,
        datagram: &[u8],
    ) {
        let frame = self.frames.get(line.0 as usize);
        let Some(frame) = frame.filter(|_| datagram.len() <= LONGEST_DATAGRAM_BYTES) else {
            return self.shared.note_dropped(datagram);
        };
        let need = packet_block_bytes(datagram.len());
        if let Some(buffer) = &mut self.current {
            if buffer.bytes.len() + need <= BUFFER_BYTES {
                frame.append(&mut buffer.bytes, received_ns, source, datagram);
                buffer.datagrams += 1;
                self.recorded += 1;
                return;
            }
        }
        self.record_in_next(line, received_ns, source, datagram);
    }

    /// The end of a batch: what was recorded is the writer's as soon as it wants it.
    #[inline]
    pub fn publish(&mut self) {
        let Some(buffer) = self.current.take() else {
            return;
        };
        self.shared.slot.store(Some(buffer));
        self.shared
            .published
            .store(self.recorded, Ordering::Release);
        // Either the writer sees the buffer, or it is seen here that the writer wants it.
        fence(Ordering::SeqCst);
        if self.shared.wanted.load(Ordering::Relaxed) {
            self.hand_over_wanted();
        }
    }

    #[must_use]
    pub fn counters(&self) -> JournalCounters {
        counters(&self.shared, self.recorded)
    }

    /// Write and sync everything, close the segment, and return the last counters. A disk that hangs is not waited for.
    pub fn close(mut self) -> JournalCounters {
        self.publish();
        self.full = None;
        if self.ended.recv_timeout(CLOSE_WITHIN) == Err(RecvTimeoutError::Timeout) {
            let left = format!("the disk did not take the rest within {CLOSE_WITHIN:?}");
            *self.shared.state() = left;
        }
        self.counters()
    }

    #[cold]
    fn hand_over_wanted(&mut self) {
        self.shared.wanted.store(false, Ordering::Relaxed);
        if let Some(buffer) = self.shared.slot.take() {
            self.hand_over(buffer);
        }
    }

    /// With no buffer in hand, or one without room.
    #[cold]
    fn record_in_next(
        &mut self,
        line: LineHandle,
        received_ns: u64,
        source: SocketAddrV4,
        datagram: &[u8],
    ) {
        if let Some(full) = self.current.take() {
            self.hand_over(full);
        }
        // What was published and is not yet taken goes on being filled.
        self.current = self.shared.slot.take().or_else(|| self.next_buffer());
        let need = packet_block_bytes(datagram.len());
        if self.current.is_none() {
            return self.shared.note_dropped(datagram);
        }
        let used = self.current.as_ref().map_or(0, |buffer| buffer.bytes.len());
        if used + need > BUFFER_BYTES {
            return self.record_in_next(line, received_ns, source, datagram);
        }
        self.record(line, received_ns, source, datagram);
    }

    fn next_buffer(&mut self) -> Option<Box<Buffer>> {
        self.spare.extend(self.free.try_iter());
        let mut buffer = self.spare.pop()?;
        self.order += 1;
        buffer.order = self.order;
        Some(buffer)
    }

    fn hand_over(&mut self, full: Box<Buffer>) {
        let refused = match &self.full {
            Some(queue) => queue.try_send(full).err(),
            None => return,
        };
        // The queue has room for every buffer there is; only a writer that is gone refuses one.
        if let Some(error) = refused {
            use std::sync::mpsc::TrySendError::{Disconnected, Full};
            let (Full(mut buffer) | Disconnected(mut buffer)) = error;
            *self.shared.state() = "the writer ended; restart the relay".to_owned();
            add(&self.shared.dropped, buffer.datagrams);
            add(&self.shared.dropped_bytes, buffer.bytes.len() as u64);
            self.recorded -= buffer.datagrams;
            buffer.clear();
            self.spare.push(buffer);
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.publish();
    }
}

impl Shared {
    #[cold]
    fn note_dropped(&self, datagram: &[u8]) {
        add(&self.dropped, 1);
        add(&self.dropped_bytes, datagram.len() as u64);
    }
}

fn counters(shared: &Shared, recorded: u64) -> JournalCounters {
    let errors = shared.errors();
    JournalCounters {
        state: shared.state().clone(),
        recorded,
        written: get(&shared.written),
        written_bytes: get(&shared.written_bytes),
        dropped: get(&shared.dropped),
        dropped_bytes: get(&shared.dropped_bytes),
        failed: get(&shared.failed),
        failed_bytes: get(&shared.failed_bytes),
        errors: errors
            .iter()
            .map(|(errno, count)| (errno_name(*errno), *count))
            .collect(),
        segments: get(&shared.segments),
        segments_opened: get(&shared.segments_opened),
        kept_bytes: get(&shared.kept_bytes),
        oldest_ns: get(&shared.oldest_ns),
        synced_ns: get(&shared.synced_ns),
    }
}
