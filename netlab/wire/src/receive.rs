//! Writes what arrives on a set of UDP addresses, with the kernel's receive time.

use std::fs;
use std::io::{BufWriter, Write};
use std::net::SocketAddrV4;
use std::os::fd::AsRawFd;
use std::path::Path;

use serde_json::json;
use socket2::{Domain, Protocol, Socket, Type};

use crate::clock::{self, StepMeter};
use crate::files;
use crate::poller::Poller;
use crate::socket::{self, ReceiveBatch, BATCH};
use crate::tell::{tell, tell_progress};
use crate::Failure;

/// The largest UDP payload (RFC 768 with IPv4's 20-byte header: 65,507 bytes).
const DATAGRAM_BYTES: usize = 65_507;

const PROGRESS_NS: u64 = 100_000_000;

/// How much of one socket is read before the others have their turn.
const TURN_BATCHES: usize = 16;

struct Listener {
    socket: Socket,
    port: u16,
}

struct Receiver {
    listeners: Vec<Listener>,
    batch: ReceiveBatch,
    output: BufWriter<fs::File>,
    received: u64,
    truncated: u64,
}

/// Receive on `listen` until SIGTERM or the end of standard input, then print a summary.
pub fn run(listen: &[SocketAddrV4], output: &Path) -> Result<(), Failure> {
    let listeners = listen.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let mut poller = Poller::new(listeners.iter().map(|one| one.socket.as_raw_fd()))?;
    let batch = ReceiveBatch::new(DATAGRAM_BYTES);
    let file =
        fs::File::create(output).map_err(|error| format!("{}: {error}", output.display()))?;
    let mut file = BufWriter::with_capacity(1 << 20, file);
    file.write_all(files::OUTPUT_MAGIC)?;
    let mut receiver = Receiver {
        listeners,
        batch,
        output: file,
        received: 0,
        truncated: 0,
    };
    let meter = StepMeter::start();
    tell(&json!({"ready": true}))?;
    let (mut told, mut next_progress_ns) = (0, 0);
    loop {
        let woken = poller.wait(Some(PROGRESS_NS))?;
        for index in woken.ready {
            receiver.take(index, TURN_BATCHES)?;
        }
        if woken.stop {
            break;
        }
        let now_ns = clock::monotonic_ns();
        if told != receiver.received && now_ns >= next_progress_ns {
            (told, next_progress_ns) = (receiver.received, now_ns + PROGRESS_NS);
            tell_progress(&json!({"received": told}));
        }
    }
    for index in 0..receiver.listeners.len() {
        receiver.take(index, usize::MAX)?;
    }
    receiver.output.flush()?;
    let summary = json!({
        "received": receiver.received,
        "kernel_drops": receiver.kernel_drops()?,
        "truncated": receiver.truncated,
        "clock_step_ns": meter.step_ns(),
    });
    Ok(tell(&summary)?)
}

fn open(address: &SocketAddrV4) -> Result<Listener, Failure> {
    let bound = || -> std::io::Result<Socket> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.bind(&(*address).into())?;
        let fd = socket.as_raw_fd();
        socket::set_option(
            fd,
            libc::SOL_SOCKET,
            libc::SO_TIMESTAMPNS,
            1,
            "SO_TIMESTAMPNS",
        )?;
        socket::grow_buffer(fd, libc::SO_RCVBUFFORCE, libc::SO_RCVBUF, 64 << 20)?;
        Ok(socket)
    };
    let socket = bound().map_err(|error| format!("listening on {address}: {error}"))?;
    Ok(Listener {
        socket,
        port: address.port(),
    })
}

impl Receiver {
    fn kernel_drops(&self) -> std::io::Result<u64> {
        let drops = |one: &Listener| socket::kernel_drops(one.socket.as_raw_fd()).map(u64::from);
        self.listeners.iter().map(drops).sum()
    }

    /// Write what one socket holds, at most so many batches.
    fn take(&mut self, index: usize, batches: usize) -> Result<(), Failure> {
        let listener = &self.listeners[index];
        for _ in 0..batches {
            let count = self.batch.receive(listener.socket.as_raw_fd())?;
            for place in 0..count {
                let message = self.batch.message(place);
                let length = u16::try_from(message.bytes.len())?;
                self.output.write_all(&message.realtime_ns.to_le_bytes())?;
                self.output.write_all(&listener.port.to_le_bytes())?;
                self.output.write_all(&length.to_le_bytes())?;
                self.output.write_all(message.bytes)?;
                self.received += 1;
                self.truncated += u64::from(message.truncated);
            }
            if count < BATCH {
                break;
            }
        }
        Ok(())
    }
}
