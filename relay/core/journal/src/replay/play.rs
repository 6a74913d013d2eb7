//! The thread of a replay: reads, waits, sends.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Instant;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::pace::Pace;
use super::source::{Due, Source};
use super::{Progress, ReplayConfig, ReplayReport};
use crate::calls::errno_name;
use crate::reader::JournalReader;
use crate::records::Records;

const SEND_BUFFER_BYTES: usize = 4 << 20;

pub(crate) struct Play {
    progress: Arc<Progress>,
    records: Records,
    source: Source,
    sender: Sender,
    began: Instant,
}

struct Sender {
    socket: Socket,
    to: Vec<SockAddr>,
    pace: Pace,
    refused: BTreeMap<i32, u64>,
    /// When the first and the last datagram left.
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Play {
    pub(crate) fn open(
        journal: &JournalReader,
        config: ReplayConfig,
        progress: Arc<Progress>,
        began: Instant,
    ) -> io::Result<Self> {
        let source = Source::new(&config, &journal.lines()?)?;
        let from_ns = source.begins_ns(&config);
        let records = journal.records(Source::selection(&config), from_ns)?;
        let sender = Sender {
            socket: open_socket(&config)?,
            to: config
                .targets
                .iter()
                .map(|target| target.to.into())
                .collect(),
            pace: Pace::new(config.speed),
            refused: BTreeMap::new(),
            first: None,
            last: None,
        };
        Ok(Self {
            progress,
            records,
            source,
            sender,
            began,
        })
    }

    pub(crate) fn run(mut self) -> io::Result<ReplayReport> {
        let (progress, sender) = (&self.progress, &mut self.sender);
        let mut leave = |due: &Due| sender.send(due, progress);
        let mut going = true;
        for record in &mut self.records {
            let record = record?;
            if self.source.is_over(&record) {
                break;
            }
            going = self.source.take(&record, &mut leave);
            if !going {
                break;
            }
        }
        if going {
            going = self.source.finish(&mut leave);
        }
        Ok(self.report(!going))
    }

    fn report(&self, stopped: bool) -> ReplayReport {
        let (sender, late) = (&self.sender, &self.sender.pace.late);
        let nanoseconds = |from: Instant, to: Option<Instant>| {
            let elapsed = to.map_or(0, |to| to.saturating_duration_since(from).as_nanos());
            u64::try_from(elapsed).unwrap_or(u64::MAX)
        };
        let refused = sender.refused.iter();
        ReplayReport {
            datagrams: self.progress.datagrams.load(Ordering::Relaxed),
            bytes: self.progress.bytes.load(Ordering::Relaxed),
            at_ns: self.progress.at_ns.load(Ordering::Relaxed),
            refused: refused
                .map(|(errno, count)| (errno_name(*errno), *count))
                .collect(),
            first_datagram_ns: nanoseconds(self.began, sender.first),
            elapsed_ns: sender
                .pace
                .started()
                .map_or(0, |start| nanoseconds(start, sender.last)),
            lost_messages: self.source.lost_messages,
            late_p50_ns: late.quantile_ns(0.5),
            late_p99_ns: late.quantile_ns(0.99),
            late_max_ns: late.max_ns,
            stopped,
        }
    }
}

impl Sender {
    /// Returns whether to go on.
    fn send(&mut self, due: &Due, progress: &Progress) -> bool {
        let stopped = || progress.stop.load(Ordering::Relaxed);
        if !self.pace.wait(due.at_ns, stopped) {
            return false;
        }
        let Some(to) = self.to.get(due.target) else {
            return true;
        };
        match self.socket.send_to(&due.datagram, to) {
            Ok(_) => {
                progress.datagrams.fetch_add(1, Ordering::Relaxed);
                let bytes = due.datagram.len() as u64;
                progress.bytes.fetch_add(bytes, Ordering::Relaxed);
            }
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(0);
                *self.refused.entry(errno).or_default() += 1;
            }
        }
        progress.at_ns.store(due.at_ns, Ordering::Relaxed);
        self.last = Some(Instant::now());
        self.first = self.first.or(self.last);
        true
    }
}

fn open_socket(config: &ReplayConfig) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    // A blocking socket waits for room in this buffer instead of losing what does not fit.
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    socket.set_multicast_ttl_v4(config.ttl)?;
    if let Some(interface) = &config.interface {
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("interface {interface}: {error}"))
        };
        socket
            .bind_device(Some(interface.as_bytes()))
            .map_err(named)?;
    }
    Ok(socket)
}
