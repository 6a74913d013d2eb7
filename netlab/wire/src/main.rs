//! The lab's native tool: delays frames, sends schedules and records what arrives (docs/wire-tool-formats.md).

mod clock;
mod delay;
mod files;
mod offloads;
mod poller;
mod receive;
mod send;
mod socket;

use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What could not be done, in words for a person.
pub type Failure = Box<dyn std::error::Error>;

#[derive(Parser)]
#[command(version, about = "Sends, delays and receives packets for the lab.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Carry every frame between two interfaces after a constant delay, both ways, until SIGTERM.
    Delay {
        /// NAME,INTERFACE_A,INTERFACE_B,DELAY_NS; repeat for several.
        #[arg(long = "pair", required = true)]
        pairs: Vec<delay::PairArgument>,
    },
    /// Make a veth send plain frames: no segmentation or checksum offloads, which a wire could not carry.
    PlainOffloads {
        /// Interfaces of the current network namespace.
        #[arg(required = true)]
        interfaces: Vec<String>,
    },
    /// Send each datagram of a schedule at its due time.
    Send {
        /// The schedule's file.
        #[arg(long)]
        schedule: PathBuf,
        /// Where to write when each datagram left.
        #[arg(long)]
        record: PathBuf,
        /// Milliseconds from start to the first datagram's due time.
        #[arg(long, default_value_t = 500)]
        lead_ms: u64,
    },
    /// Write each datagram that arrives, with the kernel's receive time, until SIGTERM or end of input.
    Receive {
        /// ADDRESS:PORT to bind; repeat for several.
        #[arg(long = "listen", required = true)]
        listen: Vec<SocketAddrV4>,
        /// Where to write what arrives.
        #[arg(long)]
        output: PathBuf,
    },
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Delay { pairs } => delay::run(&pairs),
        Command::PlainOffloads { interfaces } => offloads::run(&interfaces),
        Command::Send {
            schedule,
            record,
            lead_ms,
        } => send::run(&schedule, &record, lead_ms),
        Command::Receive { listen, output } => receive::run(&listen, &output),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("lanecast-wire: {failure}");
            ExitCode::from(2)
        }
    }
}
