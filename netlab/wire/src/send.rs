//! Sends a schedule: each datagram at its due time, from its own source address.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufWriter, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::path::Path;

use serde_json::{json, Value};
use socket2::{Domain, Protocol, Socket, Type};

use crate::clock::{self, StepMeter};
use crate::files::{self, Entry};
use crate::socket;
use crate::tell::{tell, tell_progress};
use crate::Failure;

/// Through a few routers; multicast routers forward nothing whose time to live runs out.
const TIME_TO_LIVE: u32 = 16;

const PROGRESS_NS: u64 = 200_000_000;

/// Datagrams a call at most: they share one record of when they left.
const BATCH: usize = 16;

/// Send `schedule`, write `record`, print progress and a summary.
pub fn run(schedule: &Path, record: &Path, lead_ms: u64) -> Result<(), Failure> {
    let bytes = fs::read(schedule).map_err(|error| format!("{}: {error}", schedule.display()))?;
    let entries = files::parse_schedule(&bytes)
        .map_err(|error| format!("{}: {error}", schedule.display()))?;
    let sockets = open_sockets(&entries)?;
    let output =
        fs::File::create(record).map_err(|error| format!("{}: {error}", record.display()))?;
    clock::wake_exactly();
    tell(&json!({"ready": true}))?;
    let meter = StepMeter::start();
    let start_ns = clock::realtime_ns().saturating_add(lead_ms.saturating_mul(1_000_000));
    let mut output = BufWriter::new(output);
    // Before anything leaves: who answers re-requests reads there what was due by when.
    output.write_all(files::RECORD_MAGIC)?;
    output.write_all(&start_ns.to_le_bytes())?;
    output.flush()?;
    let mut sender = Sender::new(&entries, &sockets, start_ns);
    sender.send_all();
    for sent_ns in &sender.sent_ns {
        output.write_all(&sent_ns.to_le_bytes())?;
    }
    output.flush()?;
    Ok(tell(&sender.summary(&meter))?)
}

fn open_sockets(entries: &[Entry<'_>]) -> Result<BTreeMap<Ipv4Addr, Socket>, Failure> {
    let mut sockets = BTreeMap::new();
    for source in entries.iter().map(|entry| entry.source) {
        if let std::collections::btree_map::Entry::Vacant(place) = sockets.entry(source) {
            place.insert(
                open_socket(source).map_err(|error| format!("sending from {source}: {error}"))?,
            );
        }
    }
    Ok(sockets)
}

fn open_socket(source: Ipv4Addr) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.bind(&SocketAddrV4::new(source, 0).into())?;
    socket.set_multicast_if_v4(&source)?;
    socket.set_multicast_ttl_v4(TIME_TO_LIVE)?;
    socket.set_multicast_loop_v4(false)?;
    socket::grow_buffer(
        socket.as_raw_fd(),
        libc::SO_SNDBUFFORCE,
        libc::SO_SNDBUF,
        16 << 20,
    )?;
    Ok(socket)
}

struct Sender<'schedule> {
    entries: &'schedule [Entry<'schedule>],
    sockets: &'schedule BTreeMap<Ipv4Addr, Socket>,
    start_ns: u64,
    sent_ns: Vec<u64>,
    refused: BTreeMap<String, u64>,
    next_progress_ns: u64,
}

impl<'schedule> Sender<'schedule> {
    fn new(
        entries: &'schedule [Entry<'schedule>],
        sockets: &'schedule BTreeMap<Ipv4Addr, Socket>,
        start_ns: u64,
    ) -> Self {
        let sent_ns = vec![0; entries.len()];
        Self {
            entries,
            sockets,
            start_ns,
            sent_ns,
            refused: BTreeMap::new(),
            next_progress_ns: 0,
        }
    }

    fn send_all(&mut self) {
        let mut next = 0;
        while next < self.entries.len() {
            clock::sleep_until_realtime(self.start_ns.saturating_add(self.entries[next].due_ns));
            next = self.send_due(next);
            self.progress(next);
        }
    }

    /// Send what is due from `next` on, in runs of one source; returns the first one that is not.
    fn send_due(&mut self, mut next: usize) -> usize {
        let elapsed_ns = clock::realtime_ns().saturating_sub(self.start_ns);
        while self
            .entries
            .get(next)
            .is_some_and(|entry| entry.due_ns <= elapsed_ns)
        {
            let source = self.entries[next].source;
            let run = self.entries[next..].iter().take(BATCH);
            let run = run.take_while(|entry| entry.source == source && entry.due_ns <= elapsed_ns);
            let messages: Vec<_> = run
                .map(|entry| (entry.payload, Some(address(entry))))
                .collect();
            // Taken before the call, in which a veth's other end may already receive: nothing arrives before it left.
            let sent_ns = clock::realtime_ns();
            let (sent, error) = socket::send_batch(self.sockets[&source].as_raw_fd(), &messages);
            self.sent_ns[next..next + sent].fill(sent_ns);
            next += sent;
            if let Some(error) = error {
                let name = error
                    .raw_os_error()
                    .map_or_else(|| error.to_string(), errno_name);
                *self.refused.entry(name).or_default() += 1;
                next += 1;
            }
        }
        next
    }

    fn progress(&mut self, sent: usize) {
        let now_ns = clock::monotonic_ns();
        if now_ns >= self.next_progress_ns {
            self.next_progress_ns = now_ns + PROGRESS_NS;
            tell_progress(&json!({"sent": sent}));
        }
    }

    fn summary(&self, meter: &StepMeter) -> Value {
        let pairs = self
            .entries
            .iter()
            .zip(&self.sent_ns)
            .filter(|(_, sent_ns)| **sent_ns > 0);
        let mut late_ns: Vec<u64> = pairs
            .map(|(entry, sent_ns)| sent_ns.saturating_sub(self.start_ns + entry.due_ns))
            .collect();
        json!({
            "sent": late_ns.len(),
            "refused": self.entries.len() - late_ns.len(),
            "errors": self.refused,
            "late_p50_ns": clock::percentile(&mut late_ns, 50),
            "late_p99_ns": clock::percentile(&mut late_ns, 99),
            "late_max_ns": clock::percentile(&mut late_ns, 100),
            "clock_step_ns": meter.step_ns(),
        })
    }
}

fn address(entry: &Entry<'_>) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: entry.port.to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from(entry.destination).to_be(),
        },
        sin_zero: [0; 8],
    }
}

fn errno_name(errno: i32) -> String {
    match errno {
        libc::ENOBUFS => "ENOBUFS".into(),
        libc::EAGAIN => "EAGAIN".into(),
        libc::ENETUNREACH => "ENETUNREACH".into(),
        libc::ECONNREFUSED => "ECONNREFUSED".into(),
        libc::EMSGSIZE => "EMSGSIZE".into(),
        libc::EPERM => "EPERM".into(),
        other => format!("errno {other}"),
    }
}
