//! The journal's own thread: it writes what it is handed, syncs, begins and deletes segments, and survives its disk.
//!
//! ```text
//! state     event                                        what happens                                     next state
//! --------  -------------------------------------------  -----------------------------------------------  ----------
//! (start)   the directory is ours                        repair what a crash left                         WRITING
//! (start)   the disk refuses the directory               count the errno                                  FAILING
//! (start)   another relay has the directory              end with an error                                (ended)
//! WRITING   a full buffer, or time to sync               write it; a segment that is full or old closes   WRITING
//! WRITING   the disk refuses, or the directory is gone   give up the segment; count the errno, and as     FAILING
//!                                                        failed what was not synced
//! FAILING   a buffer                                     count its datagrams as failed, give it back      FAILING
//! FAILING   a second is over                             begin a new segment, in a new directory if need  WRITING
//! any       the recorder is gone                         write what is left, close, end                   (ended)
//! ```

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io;
use std::sync::atomic::{fence, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::Arc;
use std::time::Duration;

use crate::buffer::{add, set, Buffer, Line, Shared};
use crate::calls::{errno_name, is_at, lock, Machine};
use crate::directory::{bytes_of, orphans, remove, segments, SegmentName};
use crate::index::Ending;
use crate::pcapng::{Blocks, Content};
use crate::repair::{read_end, repair, repair_all};
use crate::segment::Segment;
use crate::settings::JournalSettings;

/// What a journal's writer holds.
pub(crate) const LOCK: &str = "lock";

/// How long a disk that refused is left alone. Nanoseconds.
const RETRY_NS: u64 = 1_000_000_000;

/// A segment is closed when it is this part of the longest age, so that what is older can go.
const SEGMENTS_AN_AGE: u64 = 8;
const SHORTEST_SEGMENT_NS: u64 = 1_000_000_000;

/// Overruns are told in steps of this, so that one that grows is not told each time. Nanoseconds.
const OVERRUN_STEP_NS: u64 = 1_000_000;

/// A segment that gets no more.
#[derive(Debug)]
struct Kept {
    name: SegmentName,
    /// When its last datagram came, on the monotonic clock, so that it grows old whatever is done to the other one. That may
    /// have been before that clock began.
    last_ns: i64,
    bytes: u64,
}

pub(crate) struct Writer {
    settings: JournalSettings,
    shared: Arc<Shared>,
    machine: Box<dyn Machine>,
    /// Held while this process writes here; none while the directory cannot be had.
    lock: Option<File>,
    kept: Vec<Kept>,
    next_sequence: u64,
    segment: Option<Segment>,
    /// Datagrams and bytes that the segment got since its last sync.
    unsynced: (u64, u64),
    lines: Vec<Line>,
    /// While the disk refuses: when it is tried again. Monotonic.
    retry_ns: Option<u64>,
    /// When to sync next. Monotonic.
    due_ns: u64,
    /// When everything was to be safe that was published after the last sync that missed nothing began. Monotonic.
    promised_ns: u64,
    /// By how much that was late at most, so far.
    overrun_ns: u64,
    /// What the segments say was not recorded.
    noted: (u64, u64),
    /// Datagrams that came here so far, and whether some that were published when it was time to sync did not.
    taken: u64,
    is_late: bool,
}

impl Writer {
    /// An error is another relay's lock; whatever else stands in the way of writing is told and tried again.
    pub(crate) fn open(
        settings: JournalSettings,
        shared: Arc<Shared>,
        machine: Box<dyn Machine>,
    ) -> io::Result<Self> {
        let due_ns = machine.monotonic_ns() + settings.sync_interval_ns;
        let mut writer = Self {
            settings,
            shared,
            machine,
            lock: None,
            kept: Vec::new(),
            next_sequence: 1,
            segment: None,
            unsynced: (0, 0),
            lines: Vec::new(),
            retry_ns: None,
            due_ns,
            promised_ns: due_ns,
            overrun_ns: 0,
            noted: (0, 0),
            taken: 0,
            is_late: false,
        };
        *writer.shared.state() = "writing".to_owned();
        match writer.take_over() {
            Ok(true) => writer.make_room(0),
            Ok(false) => return Err(held_by_another()),
            Err(error) => writer.fail(&error),
        }
        Ok(writer)
    }

    /// Write until the recorder is gone.
    pub(crate) fn run(mut self, full: &Receiver<Box<Buffer>>, free: &Sender<Box<Buffer>>) {
        loop {
            let left_ns = self.due_ns.saturating_sub(self.machine.monotonic_ns());
            match full.recv_timeout(Duration::from_nanos(left_ns)) {
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
            if self.machine.monotonic_ns() >= self.due_ns {
                self.on_time_to_sync(full, free);
            }
        }
    }

    fn on_time_to_sync(&mut self, full: &Receiver<Box<Buffer>>, free: &Sender<Box<Buffer>>) {
        // From here and not from the end: what comes while the disk works waits for the next round.
        let began_ns = self.machine.monotonic_ns();
        let now_ns = self.machine.realtime_ns();
        self.due_ns = began_ns + self.settings.sync_interval_ns;
        self.take_all_published(full, free);
        if self.lock.is_none() && self.may_try() {
            match self.take_over() {
                Ok(true) => {}
                Ok(false) => self.fail(&held_by_another()),
                Err(error) => self.fail(&error),
            }
        }
        self.note_unrecorded();
        let synced = self.sync_segment().and_then(|()| self.measure());
        if let Err(error) = synced {
            self.fail(&error);
            self.promised_ns = self.due_ns; // nothing waits any more
        }
        let old_ns = (self.settings.max_age_ns / SEGMENTS_AN_AGE).max(SHORTEST_SEGMENT_NS);
        let is_old = |segment: &Segment| began_ns.saturating_sub(segment.began_ns) >= old_ns;
        if self.segment.as_ref().is_some_and(is_old) {
            self.close_segment();
        }
        self.make_room(0);
        if self.retry_ns.is_none() && !self.is_late {
            set(&self.shared.synced_ns, now_ns);
        }
    }

    /// Everything that is published by now, unless it is being filled right now: then it comes after the batch.
    fn take_all_published(&mut self, full: &Receiver<Box<Buffer>>, free: &Sender<Box<Buffer>>) {
        let published = self.shared.published.load(Ordering::Acquire);
        self.take_published(full, free);
        if self.taken < published {
            // It is being filled right now, with what was published in it.
            self.shared.wanted.store(true, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            self.take_published(full, free);
        }
        self.is_late = self.taken < published;
    }

    /// What was published before this round began is safe, unless some of it is late. Tell when that took longer than ever.
    fn measure(&mut self) -> io::Result<()> {
        if self.is_late {
            return Ok(());
        }
        let late_ns = self.machine.monotonic_ns().saturating_sub(self.promised_ns);
        self.promised_ns = self.due_ns;
        if late_ns <= self.overrun_ns {
            return Ok(());
        }
        self.overrun_ns = late_ns.next_multiple_of(OVERRUN_STEP_NS);
        match &mut self.segment {
            Some(segment) => segment.note_overrun(self.overrun_ns),
            None => Ok(()),
        }
    }

    fn note_unrecorded(&mut self) {
        let unrecorded = self.shared.unrecorded();
        let since = (unrecorded.0 - self.noted.0, unrecorded.1 - self.noted.1);
        if since == (0, 0) {
            return;
        }
        if let Some(segment) = &mut self.segment {
            segment.note_unrecorded(self.machine.realtime_ns(), since);
            self.noted = unrecorded;
        }
    }

    fn sync_segment(&mut self) -> io::Result<()> {
        if let Some(segment) = &mut self.segment {
            segment.sync(&*self.machine)?;
            self.settle_unsynced(true);
        }
        Ok(())
    }

    /// What the segment got since its last sync is safe on disk, or lost.
    fn settle_unsynced(&mut self, is_safe: bool) {
        let shared = &self.shared;
        let (datagrams, bytes) = std::mem::take(&mut self.unsynced);
        if is_safe {
            add(&shared.written, datagrams);
            add(&shared.written_bytes, bytes);
        } else {
            add(&shared.failed, datagrams);
            add(&shared.failed_bytes, bytes);
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
        self.taken += buffer.datagrams;
        let mut at = 0;
        while at < buffer.bytes.len() {
            let rest = buffer.bytes.get(at..).unwrap_or_default();
            match self.write_some(rest) {
                Ok((bytes, datagrams)) => {
                    at += bytes;
                    self.unsynced.0 += datagrams;
                    self.unsynced.1 += bytes as u64;
                }
                Err(error) => {
                    if let Some(error) = error {
                        self.fail(&error);
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
    fn write_some(&mut self, bytes: &[u8]) -> Result<(usize, u64), Option<io::Error>> {
        if !self.may_try() {
            return Err(None);
        }
        let limit = self.settings.segment_bytes;
        for _ in 0..2 {
            let mut segment = match self.segment.take() {
                Some(segment) => segment,
                None => self.begin_segment(bytes)?,
            };
            let lines = self.shared.lines();
            if lines.len() > self.lines.len() {
                self.lines = lines.clone();
            }
            drop(lines);
            let taken = segment
                .add_lines(&self.lines)
                .and_then(|()| segment.take(bytes, limit, self.machine.monotonic_ns()));
            self.segment = Some(segment);
            match taken? {
                (0, _) if !self.close_segment() => return Err(None),
                (0, _) => {}
                taken => return Ok(taken),
            }
        }
        Err(Some(io::Error::other("a buffer without a block")))
    }

    /// Whether the disk is not being left alone.
    fn may_try(&self) -> bool {
        let is_over = |retry_ns| self.machine.monotonic_ns() >= retry_ns;
        self.retry_ns.is_none_or(is_over)
    }

    fn begin_segment(&mut self, bytes: &[u8]) -> io::Result<Segment> {
        let directory = self.settings.directory.clone();
        // Someone may have moved the directory away, and another relay may have made its own there.
        let is_ours = match &self.lock {
            Some(held) => is_at(held, &directory.join(LOCK))?,
            None => false,
        };
        if !is_ours && !self.take_over()? {
            return Err(held_by_another());
        }
        // An index takes far less than its segment; an eighth is room enough.
        let room = self.settings.segment_bytes + self.settings.segment_bytes / 8;
        self.make_room(room);
        let first_ns = Blocks::new(bytes).find_map(|block| match block.content {
            Content::Packet(packet) => Some(packet.received_ns),
            _ => None,
        });
        let name = SegmentName {
            sequence: self.next_sequence,
            first_ns: first_ns.unwrap_or_else(|| self.machine.realtime_ns()),
        };
        self.next_sequence += 1;
        let costs_ns = (self.settings.sync_interval_ns, self.overrun_ns);
        let made = Segment::create(&directory, name, costs_ns, self.machine.monotonic_ns());
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

    /// Returns whether nothing went wrong.
    fn close_segment(&mut self) -> bool {
        if let Err(error) = self.sync_segment() {
            self.fail(&error);
            return false;
        }
        let Some(segment) = self.segment.take() else {
            return true;
        };
        let name = segment.name;
        let closed = segment.close(&*self.machine);
        match &closed {
            Ok(bytes) => self.keep(name, *bytes),
            // What it holds is safe; its index is not.
            Err(error) => {
                self.repair_failed(name);
                self.fail(error);
            }
        }
        self.tell_kept();
        closed.is_ok()
    }

    /// The disk refused: give up the segment and leave the disk alone for a while.
    fn fail(&mut self, error: &io::Error) {
        let errno = self.count(error);
        if self.retry_ns.is_none() {
            let (now_ns, name) = (self.machine.realtime_ns(), errno_name(errno));
            *self.shared.state() = format!("failing since {now_ns}: {name}: {error}");
        }
        self.retry_ns = Some(self.machine.monotonic_ns().saturating_add(RETRY_NS));
        if let Some(segment) = self.segment.take() {
            let name = segment.name;
            let is_safe = segment.give_up(&*self.machine);
            self.settle_unsynced(is_safe);
            self.repair_failed(name);
        }
        self.tell_kept();
    }

    /// Count what the disk refused, by errno.
    fn count(&self, error: &io::Error) -> i32 {
        let is_held = error.kind() == io::ErrorKind::ResourceBusy;
        let other = if is_held { libc::EBUSY } else { 0 };
        let errno = error.raw_os_error().unwrap_or(other);
        *self.shared.errors().entry(errno).or_default() += 1;
        errno
    }

    /// Close as well as can be done what could not be written on; a reader does without.
    fn repair_failed(&mut self, name: SegmentName) {
        let directory = &self.settings.directory;
        if let Err(error) = repair(directory, name, Ending::Failed) {
            self.count(&error);
        }
        if name.data(directory).exists() {
            self.keep(name, bytes_of(directory, name));
        }
    }

    /// The segment gets no more.
    fn keep(&mut self, name: SegmentName, bytes: u64) {
        let last_ns = signed(self.machine.monotonic_ns());
        self.kept.push(Kept {
            name,
            last_ns,
            bytes,
        });
    }

    /// Make the directory, lock it and see what is there. Returns false where another relay has it.
    fn take_over(&mut self) -> io::Result<bool> {
        self.lock = None;
        self.kept.clear();
        fs::create_dir_all(&self.settings.directory)?;
        let held = lock(&self.settings.directory.join(LOCK))?;
        if held.is_some() {
            self.take_stock()?;
        }
        self.lock = held;
        Ok(self.lock.is_some())
    }

    /// Learn which segments there are, repair those that were not closed, and remove what belongs to none. A file that the
    /// disk refuses is counted, and costs nothing but itself.
    fn take_stock(&mut self) -> io::Result<()> {
        let directory = self.settings.directory.clone();
        for orphan in orphans(&directory)? {
            if let Err(error) = fs::remove_file(orphan) {
                self.count(&error);
            }
        }
        for error in repair_all(&directory)? {
            self.count(&error);
        }
        let (now_ns, here_ns) = (self.machine.realtime_ns(), self.machine.monotonic_ns());
        for name in segments(&directory)? {
            self.next_sequence = self.next_sequence.max(name.sequence + 1);
            // An index that cannot be read was counted when it could not be repaired.
            let end = read_end(&directory, name).ok().flatten();
            let last_ns = end.map_or(name.first_ns, |end| end.last_ns);
            // What seems to come from the future is as old as the clock was wrong, at least not older than now.
            let age_ns = signed(now_ns.saturating_sub(last_ns));
            self.kept.push(Kept {
                name,
                last_ns: signed(here_ns).saturating_sub(age_ns),
                bytes: bytes_of(&directory, name),
            });
        }
        self.tell_kept();
        Ok(())
    }

    /// Delete the oldest segments until the rest is young enough, and leaves `room` bytes.
    fn make_room(&mut self, room: u64) {
        let now_ns = signed(self.machine.monotonic_ns());
        let oldest_allowed_ns = now_ns.saturating_sub(signed(self.settings.max_age_ns));
        let current = self.segment.as_ref().map_or(0, Segment::bytes);
        let mut total: u64 = self.kept.iter().map(|kept| kept.bytes).sum::<u64>() + current;
        let mut gone = 0;
        for kept in &self.kept {
            let too_many = total + room > self.settings.max_bytes;
            if !too_many && kept.last_ns >= oldest_allowed_ns {
                break;
            }
            if let Err(error) = remove(&self.settings.directory, kept.name) {
                self.count(&error);
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
        let now_ns = self.machine.realtime_ns();
        self.note_unrecorded();
        self.close_segment();
        self.make_room(0);
        if self.retry_ns.is_none() {
            set(&self.shared.synced_ns, now_ns);
        }
    }
}

fn held_by_another() -> io::Error {
    io::Error::new(
        io::ErrorKind::ResourceBusy,
        "another relay writes this journal; give each relay a directory of its own",
    )
}

/// A time or duration that may be taken from an earlier one.
fn signed(ns: u64) -> i64 {
    i64::try_from(ns).unwrap_or(i64::MAX)
}
