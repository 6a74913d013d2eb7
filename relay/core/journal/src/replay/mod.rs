//! Sending what was recorded again: a line as it was, or what a relay would have made of all lines.

mod lateness;
mod pace;
mod play;
mod range;
mod source;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddrV4;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{sync_channel, Receiver, RecvTimeoutError};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use range::NumberRange;
use serde::{Deserialize, Serialize};

use crate::reader::JournalReader;

/// What is replayed, where to and how fast; all of it decided.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayConfig {
    pub feed: String,
    /// Receive times, `CLOCK_REALTIME`, both included. Nanoseconds.
    pub from_ns: u64,
    pub to_ns: u64,
    /// Where `numbers` begin or end, the times of these ends do not matter but that `from_ns` is the first copy's.
    pub numbers: Option<NumberRange>,
    /// How many times faster than it was recorded; none: as fast as can be.
    pub speed: Option<f64>,
    /// How long arbitration waits for another line, in recorded time. Nanoseconds.
    pub hole_wait_ns: u64,
    pub recovery: Recovery,
    pub targets: Vec<Target>,
    /// By which interface groups are sent to, and over how many hops.
    pub interface: Option<String>,
    pub ttl: u32,
}

/// One way that datagrams go.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    pub channel: String,
    /// None: each message of all lines once, in order.
    pub line: Option<String>,
    pub to: SocketAddrV4,
}

/// What relays call their servers' answers, and how long those are waited for after hole-wait where they were recorded.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recovery {
    pub line: String,
    /// In recorded time. Nanoseconds.
    pub wait_ns: u64,
}

/// How far a replay is, or what it came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ReplayReport {
    /// Datagrams that left, and their bytes.
    pub datagrams: u64,
    pub bytes: u64,
    /// What the kernel refused, by errno.
    pub refused: BTreeMap<String, u64>,
    /// When the last one was received. `CLOCK_REALTIME`, nanoseconds; 0: none left yet.
    pub at_ns: u64,
    /// From the start of the replay until the first datagram left. Nanoseconds.
    pub first_datagram_ns: u64,
    /// From when the first datagram was due until the last one left. Nanoseconds.
    pub elapsed_ns: u64,
    /// Messages that no line of the journal has, between others that were sent; of arbitrated channels.
    pub lost_messages: u64,
    /// How long after its time a datagram left. Nanoseconds; nothing where time did not matter.
    pub late_p50_ns: u64,
    pub late_p99_ns: u64,
    pub late_max_ns: u64,
    /// It was stopped before its end.
    pub stopped: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub stop: AtomicBool,
    pub datagrams: AtomicU64,
    pub bytes: AtomicU64,
    pub at_ns: AtomicU64,
}

/// A replay under way, on a thread of its own.
#[derive(Debug)]
pub struct Replay {
    progress: Arc<Progress>,
    ended: Receiver<()>,
    thread: Option<JoinHandle<io::Result<ReplayReport>>>,
}

impl Replay {
    /// Find the beginning and open the socket, and begin.
    pub fn start(journal: &JournalReader, config: ReplayConfig) -> io::Result<Self> {
        let began = Instant::now();
        let progress = Arc::new(Progress::default());
        let (ending, ended) = sync_channel(1);
        let play = play::Play::open(journal, config, Arc::clone(&progress), began)?;
        let thread = std::thread::Builder::new()
            .name("relay-replay".to_owned())
            .spawn(move || {
                let _ending = ending; // dropped when the thread ends, however it does
                play.run()
            })?;
        Ok(Self {
            progress,
            ended,
            thread: Some(thread),
        })
    }

    /// How far it is: datagrams, bytes and `at_ns`.
    #[must_use]
    pub fn progress(&self) -> ReplayReport {
        ReplayReport {
            datagrams: self.progress.datagrams.load(Ordering::Relaxed),
            bytes: self.progress.bytes.load(Ordering::Relaxed),
            at_ns: self.progress.at_ns.load(Ordering::Relaxed),
            ..ReplayReport::default()
        }
    }

    /// Ask it to end; [`Self::finish`] then returns soon.
    pub fn stop(&self) {
        self.progress.stop.store(true, Ordering::Relaxed);
    }

    /// Wait for the end, at most so long. Returns whether it is there.
    #[must_use]
    pub fn wait(&self, within: Duration) -> bool {
        matches!(
            self.ended.recv_timeout(within),
            Err(RecvTimeoutError::Disconnected)
        )
    }

    /// Wait for the end.
    pub fn finish(mut self) -> io::Result<ReplayReport> {
        let thread = self.thread.take().map(JoinHandle::join);
        match thread {
            Some(Ok(report)) => report,
            _ => Err(io::Error::other("the replay panicked")),
        }
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.stop();
    }
}
