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
use crate::Failure;

/// The largest UDP payload (RFC 768 with IPv4's 20-byte header: 65,507 bytes).
const DATAGRAM_BYTES: usize = 65_507;

const PROGRESS_NS: u64 = 100_000_000;

struct Listener {
    socket: Socket,
    port: u16,
    drops: u32,
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
    let mut file = BufWriter::with_capacity(1 << 20, fs::File::create(output)?);
    file.write_all(files::OUTPUT_MAGIC)?;
    let listeners = listen.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let mut poller = Poller::new(listeners.iter().map(|one| one.socket.as_raw_fd()))?;
    let batch = ReceiveBatch::new(DATAGRAM_BYTES);
    let mut receiver = Receiver {
        listeners,
        batch,
        output: file,
        received: 0,
        truncated: 0,
    };
    let meter = StepMeter::start();
    println!("{}", json!({"ready": true}));
    let (mut told, mut next_progress_ns) = (0, 0);
    loop {
        let woken = poller.wait(Some(PROGRESS_NS))?;
        for index in woken.ready {
            receiver.take(index)?;
        }
        if woken.stop {
            break;
        }
        let now_ns = clock::monotonic_ns();
        if told != receiver.received && now_ns >= next_progress_ns {
            (told, next_progress_ns) = (receiver.received, now_ns + PROGRESS_NS);
            println!("{}", json!({"received": told}));
        }
    }
    for index in 0..receiver.listeners.len() {
        receiver.take(index)?;
    }
    receiver.output.flush()?;
    let kernel_drops: u64 = receiver
        .listeners
        .iter()
        .map(|one| u64::from(one.drops))
        .sum();
    println!(
        "{}",
        json!({
            "received": receiver.received,
            "kernel_drops": kernel_drops,
            "truncated": receiver.truncated,
            "clock_step_ns": meter.step_ns(),
        })
    );
    Ok(())
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
        socket::set_option(fd, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1, "SO_RXQ_OVFL")?;
        socket::grow_buffer(fd, libc::SO_RCVBUFFORCE, libc::SO_RCVBUF, 64 << 20)?;
        Ok(socket)
    };
    let socket = bound().map_err(|error| format!("listening on {address}: {error}"))?;
    Ok(Listener {
        socket,
        port: address.port(),
        drops: 0,
    })
}

impl Receiver {
    /// Write everything that one socket holds.
    fn take(&mut self, index: usize) -> Result<(), Failure> {
        let listener = &mut self.listeners[index];
        loop {
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
                listener.drops = message.drops.unwrap_or(listener.drops);
            }
            if count < BATCH {
                return Ok(());
            }
        }
    }
}
