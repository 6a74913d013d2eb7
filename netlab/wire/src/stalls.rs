//! Notes when the machine stood still: what a run measures is the network's only as far as the machine kept up.
//!
//! One thread on each processor sleeps for a millisecond at a time. When it wakes up late, that processor did not run it:
//! a hypervisor had taken the processor away, or other work would not give way. The same happens then to the packets of a
//! lab on this machine.

use std::fs;
use std::io::{BufWriter, Write};
use std::mem;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{mpsc, Arc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::json;

use crate::clock;
use crate::files;
use crate::poller::Poller;
use crate::tell::tell;
use crate::Failure;

const SLEEP_NS: u64 = 1_000_000;

/// Being later than this counts; less is what any busy machine does.
const LATE_NS: u64 = 1_000_000;

/// From when to when a processor did not run its thread, `CLOCK_REALTIME`.
type Stall = (u64, u64);

/// Watch every processor that this process may use until SIGTERM or the end of standard input.
pub fn run(output: &Path) -> Result<(), Failure> {
    let file =
        fs::File::create(output).map_err(|error| format!("{}: {error}", output.display()))?;
    let mut file = BufWriter::new(file);
    file.write_all(files::STALLS_MAGIC)?;
    let mut poller = Poller::new(std::iter::empty())?; // first: threads inherit its signal mask
    let stopped = Arc::new(AtomicBool::new(false));
    let (tell_stall, stalls) = mpsc::channel();
    let processors = processors()?;
    let watchers: Vec<JoinHandle<()>> = processors
        .iter()
        .map(|processor| watch(*processor, Arc::clone(&stopped), tell_stall.clone()))
        .collect();
    drop(tell_stall);
    tell(&json!({"ready": true}))?;
    while !poller.wait(None)?.stop {}
    stopped.store(true, Ordering::Relaxed);
    for watcher in watchers {
        watcher.join().map_err(|_| "a watcher failed")?;
    }
    let (mut count, mut longest_ns) = (0u64, 0);
    for (start_ns, end_ns) in stalls {
        file.write_all(&start_ns.to_le_bytes())?;
        file.write_all(&end_ns.to_le_bytes())?;
        count += 1;
        longest_ns = longest_ns.max(end_ns - start_ns);
    }
    file.flush()?;
    Ok(tell(
        &json!({"processors": processors.len(), "stalls": count, "longest_ns": longest_ns}),
    )?)
}

fn watch(
    processor: usize,
    stopped: Arc<AtomicBool>,
    stalls: mpsc::Sender<Stall>,
) -> JoinHandle<()> {
    thread::spawn(move || {
        stay_on(processor);
        clock::wake_exactly();
        while !stopped.load(Ordering::Relaxed) {
            let asleep_ns = clock::monotonic_ns();
            thread::sleep(Duration::from_nanos(SLEEP_NS));
            let (realtime_ns, awake_ns) = clock::both_ns();
            let late_ns = (awake_ns - asleep_ns).saturating_sub(SLEEP_NS);
            // Nobody reads after the end, and a stall then is of no interest.
            if late_ns >= LATE_NS && stalls.send((realtime_ns - late_ns, realtime_ns)).is_err() {
                return;
            }
        }
    })
}

/// The processors that this process may use (sched_getaffinity(2)).
fn processors() -> std::io::Result<Vec<usize>> {
    // SAFETY: an all-zero cpu_set_t is the empty set; the pointer and length describe it, and CPU_ISSET stays inside it.
    unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        if libc::sched_getaffinity(0, mem::size_of_val(&set), &raw mut set) != 0 {
            return Err(std::io::Error::last_os_error());
        }
        let all = 0..libc::CPU_SETSIZE as usize;
        Ok(all.filter(|one| libc::CPU_ISSET(*one, &set)).collect())
    }
}

/// Pin this thread; a processor that has gone since is watched from wherever the thread runs.
fn stay_on(processor: usize) {
    // SAFETY: as in `processors`; `processor` is below CPU_SETSIZE, being one of its results.
    unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        libc::CPU_SET(processor, &mut set);
        libc::sched_setaffinity(0, mem::size_of_val(&set), &raw const set);
    }
}
