//! What the packet thread and the writer share: buffers of finished blocks, and counters.
//!
//! A buffer has one owner at any time. Full ones go to the writer by a queue that has room for all of them, and come
//! back by another. The one that is being filled lies in [`Shared::slot`] between two batches, where the writer takes it
//! when it is time to sync; so nothing waits, and a batch costs two exchanges of a pointer. Where the writer comes while it
//! is being filled, it says so ([`Shared::wanted`]) and gets it after the batch.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crossbeam_utils::atomic::AtomicCell;
use lanecast_relay_core::Protocol;

use crate::settings::LineName;

/// Long enough that handing over costs nothing a datagram, short enough to be in a processor's cache when it is written.
pub(crate) const BUFFER_BYTES: usize = 256 << 10;

#[derive(Debug)]
pub(crate) struct Buffer {
    pub bytes: Vec<u8>,
    pub datagrams: u64,
    /// Which one it is; they are written in this order.
    pub order: u64,
}

impl Buffer {
    pub(crate) fn new() -> Self {
        // Written to once, so that the kernel gives the memory now and not when a packet waits.
        let mut bytes = vec![1; BUFFER_BYTES];
        bytes.clear();
        Self {
            bytes,
            datagrams: 0,
            order: 0,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.datagrams = 0;
    }
}

/// A line as the writer knows it.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub name: LineName,
    pub protocol: Option<&'static Protocol>,
}

#[derive(Default)]
pub(crate) struct Shared {
    pub slot: AtomicCell<Option<Box<Buffer>>>,
    /// The writer came for the buffer while it was being filled: it is to be handed over after the batch.
    pub wanted: AtomicBool,
    /// How many datagrams were published so far, wherever they are.
    pub published: AtomicU64,
    lines: Mutex<Vec<Line>>,
    errors: Mutex<BTreeMap<i32, u64>>,
    state: Mutex<String>,
    pub dropped: AtomicU64,
    pub dropped_bytes: AtomicU64,
    pub failed: AtomicU64,
    pub failed_bytes: AtomicU64,
    pub written: AtomicU64,
    pub written_bytes: AtomicU64,
    pub segments: AtomicU64,
    pub segments_opened: AtomicU64,
    pub kept_bytes: AtomicU64,
    pub oldest_ns: AtomicU64,
    pub synced_ns: AtomicU64,
}

impl Shared {
    pub(crate) fn lines(&self) -> MutexGuard<'_, Vec<Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn errors(&self) -> MutexGuard<'_, BTreeMap<i32, u64>> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Datagrams and bytes that are in no segment, for whatever reason.
    pub(crate) fn unrecorded(&self) -> (u64, u64) {
        (
            get(&self.dropped) + get(&self.failed),
            get(&self.dropped_bytes) + get(&self.failed_bytes),
        )
    }
}

pub(crate) fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Each counter has one thread that writes it.
pub(crate) fn set(counter: &AtomicU64, value: u64) {
    counter.store(value, Ordering::Relaxed);
}

pub(crate) fn add(counter: &AtomicU64, value: u64) {
    set(counter, get(counter).wrapping_add(value));
}
