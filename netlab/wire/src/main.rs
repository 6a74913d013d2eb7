//! The lab's native tool: delays frames, sends schedules, answers re-requests and records what arrives (docs/wire-tool-formats.md).

mod answer;
mod archive;
mod clock;
mod delay;
mod files;
mod offloads;
mod poller;
mod receive;
mod send;
mod socket;
mod stalls;
mod tell;

use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What could not be done, in words for a person.
pub type Failure = Box<dyn std::error::Error>;

const ABOUT: &str = "\
Every command prints JSON, one object a line: {\"ready\": true} once it works, its figures at the end.
It ends with 0, or with 2 and a sentence on standard error when it could not do what it was asked.
`delay`, `receive`, `answer` and `stalls` end on SIGTERM, SIGINT or the end of standard input: keep that open while they work.

A wire of 2 ms between the outer halves of two veths, whose inner halves nodes have as eth0:
  ip netns exec A lanecast-wire plain-offloads eth0
  ip netns exec B lanecast-wire plain-offloads eth0
  lanecast-wire delay --pair circuit,outer-a,outer-b,2000000

A schedule sent from A and recorded in B:
  ip netns exec B lanecast-wire receive --listen 10.0.0.2:5000 --output arrived
  ip netns exec A lanecast-wire send --schedule due --record sent --lead-ms 500

docs/wire-tool-formats.md describes the files.";

#[derive(Parser)]
#[command(version, about = "Sends, delays, repeats and receives packets for the lab.", after_help = ABOUT)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Carry every frame between two interfaces after a constant delay, both ways, until SIGTERM or end of input.
    ///
    /// The delay counts from the kernel's receive time of a frame. Run `plain-offloads` on the inner halves first: a
    /// wire carries finished frames of at most 9,216 bytes and counts what it drops. Both sides need the same MTU;
    /// 802.1Q tags are not kept.
    Delay {
        /// NAME,INTERFACE_A,INTERFACE_B,DELAY_NS; repeat for several.
        #[arg(long = "pair", required = true)]
        pairs: Vec<delay::PairArgument>,
    },
    /// Make a veth send plain frames: no segmentation or checksum offloads, which a wire could not carry.
    ///
    /// Run it where the interface is: on the half inside each node. Prints the features that were on.
    PlainOffloads {
        /// Interfaces of the current network namespace.
        #[arg(required = true)]
        interfaces: Vec<String>,
    },
    /// Send each datagram of a schedule at its due time.
    ///
    /// From its own source address, multicast with a time to live of 16 and not looped back. The whole schedule is
    /// checked before anything leaves. A datagram that the kernel refuses is counted and not sent again.
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
    /// Answer re-requests for what a sender sent, until SIGTERM or end of input (MoldUDP64 1.0).
    ///
    /// From the address that was asked, one downstream packet of at most 1,472 bytes. A message is there to be asked for
    /// from its due time on. What cannot be answered gets no answer; each request is recorded.
    Answer {
        /// ADDRESS:PORT,ARCHIVE; repeat for several, also for one address or one archive.
        #[arg(long = "serve", required = true)]
        serve: Vec<answer::ServeArgument>,
        /// The record of the sender, which says when its schedule began.
        #[arg(long)]
        sender_record: PathBuf,
        /// Where to write what was asked and answered.
        #[arg(long)]
        output: PathBuf,
        /// Requests a second of one asking address that are looked at, and as many at once.
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
        rate: u64,
    },
    /// Note when this machine's processors stood still, until SIGTERM or end of input.
    ///
    /// What a run measures then is the machine's lateness, not the network's.
    Stalls {
        /// Where to write from when to when.
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
        Command::Answer {
            serve,
            sender_record,
            output,
            rate,
        } => answer::run(&serve, &sender_record, &output, rate),
        Command::Stalls { output } => stalls::run(&output),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("lanecast-wire: {failure}");
            ExitCode::from(2)
        }
    }
}
