//! Records MoldUDP64 datagrams of two lines into a journal, for tests and for measuring.
//!
//! `record DIRECTORY --datagrams N [--rate PPS] [--start NUMBER] …` makes datagram `n` of each line as
//! [`datagram`] says, so that whoever reads the journal knows what must stand in it. It ends with its counters as
//! a line of JSON; with `--tell` it says them each few milliseconds, and which number was recorded before the last sync.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a tool for tests: what goes wrong ends it

use std::io::Write;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use lanecast_relay_core::find;
use lanecast_relay_journal::{Journal, JournalCounters, JournalSettings, LineIdentity};

#[derive(Parser)]
struct Options {
    directory: std::path::PathBuf,
    /// How many numbers; each is recorded on every line.
    #[arg(long)]
    datagrams: u64,
    /// Numbers a second; 0: as fast as can be.
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// How far apart the receive times are; none: the clock's own time.
    #[arg(long)]
    spacing_ns: Option<u64>,
    #[arg(long, default_value_t = 1_700_000_000_000_000_000)]
    start_ns: u64,
    #[arg(long, default_value_t = 1)]
    start: u64,
    #[arg(long, default_value_t = 160)]
    bytes: usize,
    #[arg(long, default_value_t = 2)]
    lines: u8,
    /// How much later the second line has each datagram.
    #[arg(long, default_value_t = 1000)]
    skew_ns: u64,
    /// Line A lacks every so many-th number; line B the one after it.
    #[arg(long)]
    lose_every: Option<u64>,
    #[arg(long, default_value_t = 64 << 20)]
    segment_bytes: u64,
    #[arg(long, default_value_t = 10 << 30)]
    max_bytes: u64,
    #[arg(long, default_value_t = u64::MAX / 2)]
    max_age_ns: u64,
    #[arg(long, default_value_t = 100_000_000)]
    sync_interval_ns: u64,
    #[arg(long, default_value_t = 64 << 20)]
    queue_bytes: usize,
    /// How many datagrams a batch has.
    #[arg(long, default_value_t = 64)]
    batch: u64,
    /// Wait where the queue is full, so that everything is recorded however slow the disk is.
    #[arg(long)]
    patient: bool,
    #[arg(long)]
    tell: bool,
}

/// What line `line` has as number `number`.
fn datagram(number: u64, bytes: usize, to: &mut Vec<u8>) {
    to.clear();
    to.extend(b"SESSION001");
    to.extend(number.to_be_bytes());
    to.extend(1u16.to_be_bytes());
    let body = bytes.saturating_sub(22).max(8);
    to.extend((body as u16).to_be_bytes());
    to.extend((number.wrapping_mul(0x9E37_79B9_7F4A_7C15)).to_be_bytes());
    to.resize(22 + body, number as u8);
}

fn realtime_ns() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_nanos() as u64
}

fn main() {
    let options = Options::parse();
    let mut recorder = Journal::open(JournalSettings {
        directory: options.directory.clone(),
        max_bytes: options.max_bytes,
        max_age_ns: options.max_age_ns,
        segment_bytes: options.segment_bytes,
        sync_interval_ns: options.sync_interval_ns,
        queue_bytes: options.queue_bytes,
    })
    .expect("the journal opens");
    let lines: Vec<_> = (0..options.lines)
        .map(|line| {
            recorder.line(&LineIdentity {
                feed: "quotes".to_owned(),
                channel: "main".to_owned(),
                line: char::from(b'A' + line).to_string(),
                protocol: find("moldudp64").unwrap(),
                endpoint: format!("239.10.{}.1:20001", line + 1).parse().unwrap(),
            })
        })
        .collect();
    let source: SocketAddrV4 = "192.0.2.1:31001".parse().unwrap();
    let (mut bytes, began) = (Vec::new(), Instant::now());
    let mut published: std::collections::VecDeque<(u64, u64)> = std::collections::VecDeque::new();
    let mut synced = 0;
    let mut told = Instant::now();
    let last = options.start + options.datagrams;
    let mut number = options.start;
    while number < last {
        let batch = options.batch.min(last - number);
        for at in number..number + batch {
            datagram(at, options.bytes, &mut bytes);
            let now_ns = match options.spacing_ns {
                Some(spacing) => options.start_ns + (at - options.start) * spacing,
                None => realtime_ns(),
            };
            for (line, handle) in (0u64..).zip(&lines) {
                if options
                    .lose_every
                    .is_some_and(|every| at % every == line + 1)
                {
                    continue;
                }
                if options.patient {
                    while recorder.counters().recorded
                        - recorder.counters().written
                        - recorder.counters().failed
                        > (options.queue_bytes / 2 / options.bytes.max(64)) as u64
                    {
                        recorder.publish();
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
                recorder.record(*handle, now_ns + line * options.skew_ns, source, &bytes);
            }
        }
        recorder.publish();
        number += batch;
        if options.tell {
            published.push_back((realtime_ns(), number - 1));
            let synced_ns = recorder.counters().synced_ns;
            while published.front().is_some_and(|(when, _)| *when < synced_ns) {
                synced = published.pop_front().unwrap().1;
            }
            if told.elapsed() > Duration::from_millis(2) {
                tell(&recorder.counters(), synced, number - 1, began.elapsed());
                told = Instant::now();
            }
        }
        if options.rate > 0 {
            let due =
                Duration::from_secs_f64((number - options.start) as f64 / options.rate as f64);
            std::thread::sleep(due.saturating_sub(began.elapsed()));
        }
    }
    let counters = recorder.close();
    tell(&counters, last - 1, last - 1, began.elapsed());
}

/// One line: the time, the counters, the last number that is synced and the last that was recorded by then, and the memory
/// in use.
fn tell(counters: &JournalCounters, synced: u64, recorded: u64, elapsed: Duration) {
    let status = std::fs::read_to_string("/proc/self/status").expect("proc is mounted");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let resident = resident.and_then(|line| line.trim().strip_suffix(" kB"));
    let told = serde_json::json!({"at_ns": realtime_ns(), "counters": counters, "synced": synced, "recorded": recorded,
        "resident_kib": resident.and_then(|text| text.parse::<u64>().ok()), "elapsed_s": elapsed.as_secs_f64()});
    println!("{told}");
    std::io::stdout().flush().expect("someone listens");
}
