//! Opening everything, starting the packet thread, and talking to it.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::AsRawFd;
use std::sync::mpsc::{channel, sync_channel, Sender};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use lanecast_relay_core::{find, ChannelArbiter, Limits, Recovery};

use crate::asking::Asker;
use crate::config::{EngineConfig, FeedConfig};
use crate::errors::EngineError;
use crate::input::Input;
use crate::send::Output;
use crate::snapshot::Snapshot;
use crate::system::{pin_to, raise_file_limit, Poller, Timer, Wake};
use crate::worker::{Request, Stream, Worker, TOKEN_TIMER, TOKEN_WAKE};

/// A batch takes microseconds; a thread that does not answer for this long is stuck.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Bound on packets in hold a stream, beside the bound in bytes: small packets cost more than their bytes.
const HELD_PACKETS: usize = 65_536;

/// A running relay. Dropping it stops the thread without waiting for it.
#[derive(Debug)]
pub struct Engine {
    requests: Sender<Request>,
    wake: Arc<Wake>,
    thread: Option<JoinHandle<std::io::Result<Snapshot>>>,
}

impl Engine {
    /// Open and join everything, then forward on a thread of its own. On an error nothing is left open.
    pub fn start(config: &EngineConfig) -> Result<Self, EngineError> {
        raise_file_limit();
        let wake = Arc::new(Wake::new().map_err(EngineError::open("cannot make an eventfd"))?);
        let (requests, receiver) = channel();
        let (inputs, streams) = open_feeds(config)?;
        let mut worker = Worker {
            name: config.name.clone(),
            inputs,
            streams,
            subscribers: Vec::new(),
            poller: Poller::new().map_err(EngineError::open("cannot make an epoll"))?,
            timer: Timer::new().map_err(EngineError::open("cannot make a timer"))?,
            wake: Arc::clone(&wake),
            requests: receiver,
        };
        open_subscribers(config, &mut worker)?;
        watch(&worker).map_err(EngineError::open("cannot watch the sockets"))?;
        let cpu = config.cpu;
        let (pinned, was_pinned) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("relay-packets".to_owned())
            .spawn(move || {
                let result = cpu.map_or(Ok(()), pin_to);
                let failed = result.is_err();
                drop(pinned.send(result));
                if failed {
                    return Ok(Snapshot::default());
                }
                worker.run()
            })
            .map_err(EngineError::open("cannot start the packet thread"))?;
        match was_pinned.recv() {
            Ok(Err(error)) => Err(EngineError::open(format!(
                "cannot run on CPU {}",
                cpu.unwrap_or(0)
            ))(error)),
            _ => Ok(Self {
                requests,
                wake,
                thread: Some(thread),
            }),
        }
    }

    /// The counters now, taken between two batches.
    pub fn counters(&self) -> Result<Snapshot, EngineError> {
        let (reply, answer) = sync_channel(1);
        let ended = || EngineError::Ended("it does not answer".to_owned());
        self.requests
            .send(Request::Counters(reply))
            .map_err(|_| ended())?;
        self.wake.wake();
        answer.recv_timeout(ANSWER_WITHIN).map_err(|_| ended())
    }

    /// Drain, close everything and return the last counters.
    pub fn stop(mut self) -> Result<Snapshot, EngineError> {
        self.ask_to_stop();
        let Some(thread) = self.thread.take() else {
            return Err(EngineError::Ended("it was stopped before".to_owned()));
        };
        match thread.join() {
            Ok(Ok(snapshot)) => Ok(snapshot),
            Ok(Err(error)) => Err(EngineError::Ended(error.to_string())),
            Err(_) => Err(EngineError::Ended("it panicked".to_owned())),
        }
    }

    fn ask_to_stop(&self) {
        // The thread may have ended; joining it tells why.
        drop(self.requests.send(Request::Stop));
        self.wake.wake();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.ask_to_stop();
        }
    }
}

fn open_feeds(config: &EngineConfig) -> Result<(Vec<Input>, Vec<Stream>), EngineError> {
    let (mut inputs, mut streams) = (Vec::new(), Vec::new());
    for feed in &config.feeds {
        for (at, channel) in feed.channels.iter().enumerate() {
            let stream = streams.len();
            streams.push(open_stream(feed, channel)?);
            if let Some(recovery) = &feed.recovery {
                let place = (stream, feed.lines.len());
                let servers = recovery.servers.get(at).map_or(&[][..], Vec::as_slice);
                let bytes = config.receive_buffer_bytes;
                let input = Input::open_recovery(&feed.name, servers, place, bytes)?;
                let asking = input.socket.try_clone().map_err(EngineError::open(format!(
                    "feed {}, recovery: cannot share a socket",
                    feed.name
                )))?;
                if let Some(opened) = streams.last_mut() {
                    opened.asker = Some(Asker::new(asking, servers.to_vec()));
                }
                inputs.push(input);
            }
            for (index, line) in feed.lines.iter().enumerate() {
                let Some(endpoint) = line.endpoints.get(at) else {
                    let line = &line.name;
                    return Err(EngineError::Config(format!(
                        "feed {}, line {line}: no endpoint for channel {channel}",
                        feed.name
                    )));
                };
                inputs.push(Input::open(
                    &feed.name,
                    line,
                    *endpoint,
                    (stream, index),
                    config.receive_buffer_bytes,
                )?);
            }
        }
    }
    Ok((inputs, streams))
}

fn open_stream(feed: &FeedConfig, channel: &str) -> Result<Stream, EngineError> {
    let protocol = find(&feed.protocol).ok_or_else(|| {
        EngineError::Config(format!(
            "feed {}: unknown protocol {}",
            feed.name, feed.protocol
        ))
    })?;
    let limits = Limits {
        hole_wait_ns: feed.hole_wait_ns,
        held_bytes: feed.held_bytes,
        held_packets: HELD_PACKETS,
    };
    let mut lines: Vec<String> = feed.lines.iter().map(|line| line.name.clone()).collect();
    let mut arbiter = ChannelArbiter::new(
        protocol,
        feed.lines.len() + usize::from(feed.recovery.is_some()),
        limits,
    );
    if let Some(recovery) = &feed.recovery {
        arbiter = arbiter.with_recovery(Recovery {
            line: lines.len(),
            wait_ns: recovery.wait_ns,
            retry_ns: recovery.retry_ns,
        });
        lines.push("recovery".to_owned());
    }
    Ok(Stream {
        feed: feed.name.clone(),
        channel: channel.to_owned(),
        protocol,
        lines,
        arbiter,
        outputs: Vec::new(),
        losses: BTreeMap::new(),
        asker: None,
    })
}

fn open_subscribers(config: &EngineConfig, worker: &mut Worker) -> Result<(), EngineError> {
    let places = worker.streams.iter().enumerate();
    let places: HashMap<(String, String), usize> = places
        .map(|(index, stream)| ((stream.feed.clone(), stream.channel.clone()), index))
        .collect();
    for (index, subscriber) in config.subscribers.iter().enumerate() {
        let name = &subscriber.name;
        let output = Output::open().map_err(EngineError::open(format!(
            "subscriber {name}: cannot open a socket"
        )))?;
        worker.subscribers.push((name.clone(), output));
        for output in &subscriber.outputs {
            let place = places.get(&(output.feed.clone(), output.channel.clone()));
            let Some(stream) = place.and_then(|place| worker.streams.get_mut(*place)) else {
                let (feed, channel) = (&output.feed, &output.channel);
                return Err(EngineError::Config(format!(
                    "subscriber {name}: no channel {channel} in feed {feed}"
                )));
            };
            stream.outputs.push((index, output.to));
        }
    }
    Ok(())
}

fn watch(worker: &Worker) -> std::io::Result<()> {
    worker.poller.add(worker.wake.as_raw_fd(), TOKEN_WAKE)?;
    worker.poller.add(worker.timer.as_raw_fd(), TOKEN_TIMER)?;
    for (token, input) in (0u64..).zip(&worker.inputs) {
        worker.poller.add(input.socket.as_raw_fd(), token)?;
    }
    Ok(())
}
