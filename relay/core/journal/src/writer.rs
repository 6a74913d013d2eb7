//! The journal's own thread: it writes what it is handed, syncs, begins and deletes segments, and survives its disk.
//!
//! ```text
//! state     event                                        what happens                                     next state
//! --------  -------------------------------------------  -----------------------------------------------  ----------
//! WRITING   a full buffer, or time to sync               write it; a segment that is full or old closes   WRITING
//! WRITING   the disk refuses, or the directory is gone   cut and give up the segment; count the errno     FAILING
//! FAILING   a buffer                                     count its datagrams as failed, give it back      FAILING
//! FAILING   a second is over                             begin a new segment, in a new directory if need  WRITING
//! any       the recorder is gone                         write what is left, close, end                   (ended)
//! ```

use std::fs::{self, File};
use std::io;
use std::sync::atomic::{fence, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::buffer::{add, set, Buffer, Line, Shared};
use crate::calls::{errno_name, lock, realtime_ns};
use crate::directory::{bytes_of, remove, segments, SegmentName};
use crate::index::Ending;
use crate::pcapng::{Blocks, Content};
use crate::repair::{read_end, repair, repair_all};
use crate::segment::Segment;
use crate::settings::JournalSettings;

/// How long a disk that refused is left alone. Nanoseconds.
const RETRY_NS: u64 = 1_000_000_000;

/// A segment is closed when it is this part of the longest age, so that what is older can go.
const SEGMENTS_AN_AGE: u64 = 8;
const SHORTEST_SEGMENT_NS: u64 = 1_000_000_000;

/// A segment that gets no more.
#[derive(Debug)]
struct Kept {
    name: SegmentName,
    last_ns: u64,
    bytes: u64,
}

pub(crate) struct Writer {
    settings: JournalSettings,
    shared: Arc<Shared>,
    /// Held while this process writes here.
    _lock: File,
    kept: Vec<Kept>,
    next_sequence: u64,
    segment: Option<Segment>,
    lines: Vec<Line>,
    /// While the disk refuses: when it is tried again.
    retry_ns: Option<u64>,
    /// What the segments say was not recorded.
    noted: (u64, u64),
    /// Datagrams that came here so far, and whether some that were published when it was time to sync did not.
    taken: u64,
    is_late: bool,
}

impl Writer {
    pub(crate) fn open(settings: JournalSettings, shared: Arc<Shared>) -> io::Result<Self> {
        fs::create_dir_all(&settings.directory)?;
        let held = lock(&settings.directory.join("lock"))?;
        let mut writer = Self {
            settings,
            shared,
            _lock: held,
            kept: Vec::new(),
            next_sequence: 1,
            segment: None,
            lines: Vec::new(),
            retry_ns: None,
            noted: (0, 0),
            taken: 0,
            is_late: false,
        };
        *writer.shared.state() = "writing".to_owned();
        writer.take_stock()?;
        writer.make_room(0, realtime_ns());
        Ok(writer)
    }

    /// Write until the recorder is gone.
    pub(crate) fn run(mut self, full: &Receiver<Box<Buffer>>, free: &Sender<Box<Buffer>>) {
        let interval = Duration::from_nanos(self.settings.sync_interval_ns);
        let mut due = Instant::now() + interval;
        loop {
            match full.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(buffer) => {
                    self.write(buffer, free);
                    if self.is_late {
                        self.on_time_to_sync(full, free);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.take_published(full, free);
                    return self.finish();
                }
            }
            if Instant::now() >= due {
                self.on_time_to_sync(full, free);
                due = Instant::now() + interval;
            }
        }
    }

    fn on_time_to_sync(&mut self, full: &Receiver<Box<Buffer>>, free: &Sender<Box<Buffer>>) {
        let now_ns = realtime_ns();
        let published = self.shared.published.load(Ordering::Acquire);
        self.take_published(full, free);
        if self.taken < published {
            // It is being filled right now, with what was published in it.
            self.shared.wanted.store(true, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            self.take_published(full, free);
        }
        self.is_late = self.taken < published;
        let unrecorded = self.shared.unrecorded();
        if let Some(segment) = &mut self.segment {
            let since = (unrecorded.0 - self.noted.0, unrecorded.1 - self.noted.1);
            if since != (0, 0) {
                segment.note_unrecorded(now_ns, since);
                self.noted = unrecorded;
            }
            if let Err(error) = segment.sync(now_ns) {
                self.fail(&error, now_ns);
            }
        }
        let old = (self.settings.max_age_ns / SEGMENTS_AN_AGE).max(SHORTEST_SEGMENT_NS);
        let is_old = |segment: &Segment| now_ns.saturating_sub(segment.began_ns) >= old;
        if self.segment.as_ref().is_some_and(is_old) {
            self.close_segment(now_ns);
        }
        self.make_room(0, now_ns);
        if self.retry_ns.is_none() && !self.is_late {
            set(&self.shared.synced_ns, now_ns);
        }
    }

    /// The buffer that is being filled, after those that were filled before it.
    fn take_published(&mut self, full: &Receiver<Box<Buffer>>, free: &Sender<Box<Buffer>>) {
        let Some(published) = self.shared.slot.take() else {
            return;
        };
        let mut later = None;
        while later.is_none() {
            match full.try_recv() {
                Ok(buffer) if buffer.order < published.order => self.write(buffer, free),
                Ok(buffer) => later = Some(buffer),
                Err(_) => break,
            }
        }
        self.write(published, free);
        if let Some(buffer) = later {
            self.write(buffer, free);
        }
    }

    fn write(&mut self, mut buffer: Box<Buffer>, free: &Sender<Box<Buffer>>) {
        let now_ns = realtime_ns();
        self.taken += buffer.datagrams;
        let mut at = 0;
        while at < buffer.bytes.len() {
            let rest = buffer.bytes.get(at..).unwrap_or_default();
            match self.write_some(rest, now_ns) {
                Ok((bytes, datagrams)) => {
                    at += bytes;
                    add(&self.shared.written, datagrams);
                    add(&self.shared.written_bytes, bytes as u64);
                }
                Err(error) => {
                    if let Some(error) = error {
                        self.fail(&error, now_ns);
                    }
                    add(&self.shared.failed, Blocks::new(rest).count() as u64);
                    add(&self.shared.failed_bytes, rest.len() as u64);
                    break;
                }
            }
        }
        buffer.clear();
        // A recorder that is gone needs it no more.
        drop(free.send(buffer));
    }

    /// Returns how many bytes and datagrams were written, some at least. An error of none: the disk is being left alone.
    fn write_some(&mut self, bytes: &[u8], now_ns: u64) -> Result<(usize, u64), Option<io::Error>> {
        if self.retry_ns.is_some_and(|retry_ns| now_ns < retry_ns) {
            return Err(None);
        }
        let limit = self.settings.segment_bytes;
        for _ in 0..2 {
            let mut segment = match self.segment.take() {
                Some(segment) => segment,
                None => self.begin_segment(bytes, now_ns)?,
            };
            let lines = self.shared.lines();
            if lines.len() > self.lines.len() {
                self.lines = lines.clone();
            }
            drop(lines);
            let taken = segment
                .add_lines(&self.lines)
                .and_then(|()| segment.take(bytes, limit, now_ns));
            self.segment = Some(segment);
            match taken? {
                (0, _) => self.close_segment(now_ns),
                taken => return Ok(taken),
            }
        }
        Err(Some(io::Error::other("a buffer without a block")))
    }

    fn begin_segment(&mut self, bytes: &[u8], now_ns: u64) -> io::Result<Segment> {
        let directory = self.settings.directory.clone();
        if self.retry_ns.is_some() && !directory.join("lock").exists() {
            fs::create_dir_all(&directory)?;
            self._lock = lock(&directory.join("lock"))?;
            self.take_stock()?;
        }
        // An index takes far less than its segment; an eighth is room enough.
        let room = self.settings.segment_bytes + self.settings.segment_bytes / 8;
        self.make_room(room, now_ns);
        let first_ns = Blocks::new(bytes).find_map(|block| match block.content {
            Content::Packet(packet) => Some(packet.received_ns),
            _ => None,
        });
        let name = SegmentName {
            sequence: self.next_sequence,
            first_ns: first_ns.unwrap_or(now_ns),
        };
        self.next_sequence += 1;
        let interval_ns = self.settings.sync_interval_ns;
        let made = Segment::create(&directory, name, interval_ns, now_ns);
        if made.is_err() {
            // What was begun holds nothing; it may also be that nothing could be begun.
            drop(remove(&directory, name));
        }
        let segment = made?;
        add(&self.shared.segments_opened, 1);
        if self.retry_ns.take().is_some() {
            *self.shared.state() = "writing".to_owned();
        }
        self.tell_kept();
        Ok(segment)
    }

    fn close_segment(&mut self, now_ns: u64) {
        let Some(segment) = self.segment.take() else {
            return;
        };
        let name = segment.name;
        match segment.close(now_ns) {
            Ok(bytes) => self.kept.push(Kept {
                name,
                last_ns: now_ns,
                bytes,
            }),
            Err(error) => {
                self.repair_failed(name, now_ns);
                self.fail(&error, now_ns);
            }
        }
        self.tell_kept();
    }

    /// The disk refused: give up the segment and leave the disk alone for a while.
    fn fail(&mut self, error: &io::Error, now_ns: u64) {
        let errno = error.raw_os_error().unwrap_or(0);
        *self.shared.errors().entry(errno).or_default() += 1;
        if self.retry_ns.is_none() {
            let name = errno_name(errno);
            *self.shared.state() = format!("failing since {now_ns}: {name}: {error}");
        }
        self.retry_ns = Some(now_ns.saturating_add(RETRY_NS));
        if let Some(segment) = self.segment.take() {
            let name = segment.name;
            // What this cannot cut off is seen by whoever reads it, and cut off when the journal is opened.
            drop(segment.cut());
            self.repair_failed(name, now_ns);
        }
        self.tell_kept();
    }

    /// Close as well as can be done what could not be written on; a reader does without.
    fn repair_failed(&mut self, name: SegmentName, now_ns: u64) {
        let directory = &self.settings.directory;
        drop(repair(directory, name, Ending::Failed));
        if name.data(directory).exists() {
            self.kept.push(Kept {
                name,
                last_ns: now_ns,
                bytes: bytes_of(directory, name),
            });
        }
    }

    /// Learn which segments there are, and repair those that were not closed.
    fn take_stock(&mut self) -> io::Result<()> {
        let directory = &self.settings.directory;
        self.kept.clear();
        repair_all(directory)?;
        for name in segments(directory)? {
            self.next_sequence = self.next_sequence.max(name.sequence + 1);
            let end = read_end(directory, name)?;
            if name.data(directory).exists() {
                self.kept.push(Kept {
                    name,
                    last_ns: end.map_or(name.first_ns, |end| end.last_ns),
                    bytes: bytes_of(directory, name),
                });
            }
        }
        self.tell_kept();
        Ok(())
    }

    /// Delete the oldest segments until the rest is young enough, and leaves `room` bytes.
    fn make_room(&mut self, room: u64, now_ns: u64) {
        let oldest_allowed_ns = now_ns.saturating_sub(self.settings.max_age_ns);
        let current = self.segment.as_ref().map_or(0, Segment::bytes);
        let mut total: u64 = self.kept.iter().map(|kept| kept.bytes).sum::<u64>() + current;
        let mut gone = 0;
        for kept in &self.kept {
            let too_many = total + room > self.settings.max_bytes;
            if !too_many && kept.last_ns >= oldest_allowed_ns {
                break;
            }
            if let Err(error) = remove(&self.settings.directory, kept.name) {
                let errno = error.raw_os_error().unwrap_or(0);
                *self.shared.errors().entry(errno).or_default() += 1;
                break;
            }
            total -= kept.bytes;
            gone += 1;
        }
        self.kept.drain(..gone);
        set(&self.shared.kept_bytes, total);
        if gone > 0 {
            self.tell_kept();
        }
    }

    fn tell_kept(&self) {
        let shared = &self.shared;
        let open = self.segment.as_ref().map(|segment| segment.name);
        let oldest = self.kept.first().map(|kept| kept.name).or(open);
        set(&shared.oldest_ns, oldest.map_or(0, |name| name.first_ns));
        let count = self.kept.len() + usize::from(open.is_some());
        shared.segments.store(count as u64, Ordering::Relaxed);
    }

    fn finish(mut self) {
        let now_ns = realtime_ns();
        let unrecorded = self.shared.unrecorded();
        let since = (unrecorded.0 - self.noted.0, unrecorded.1 - self.noted.1);
        if let Some(segment) = self.segment.as_mut().filter(|_| since != (0, 0)) {
            segment.note_unrecorded(now_ns, since);
        }
        self.close_segment(now_ns);
        self.make_room(0, now_ns);
        if self.retry_ns.is_none() {
            set(&self.shared.synced_ns, now_ns);
        }
    }
}
