//! Starting the packet thread, changing what it does, and talking to it.

use std::sync::mpsc::{channel, sync_channel, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use lanecast_relay_journal::{Journal, JournalSettings, Recorder};
use serde::Serialize;

use crate::config::EngineConfig;
use crate::errors::EngineError;
use crate::kernel::Ways;
use crate::opened::{Change, Opened};
use crate::past::Past;
use crate::snapshot::{Ranges, Snapshot, SubscriberSnapshot};
use crate::system::{pin_to, raise_file_limit, sleep_exactly, Wake};
use crate::worker::{Request, Worker};

/// A batch takes microseconds; a thread that does not answer for this long is stuck.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// A running relay. Dropping it stops the thread without waiting for it.
pub struct Engine {
    requests: Sender<Request>,
    wake: Arc<Wake>,
    thread: Option<JoinHandle<std::io::Result<Snapshot>>>,
    /// Held while a change is made, so that changes follow each other.
    opened: Mutex<Opened>,
}

/// What a reload did.
#[derive(Debug, Serialize)]
pub struct Reloaded {
    pub changes: Vec<Change>,
    /// What the outputs that were taken away had sent, by subscriber.
    pub ended: Vec<SubscriberSnapshot>,
}

impl Engine {
    /// Open and join everything, then forward on a thread of its own. On an error nothing is left open.
    pub fn start(config: &EngineConfig) -> Result<Self, EngineError> {
        raise_file_limit();
        let wake = Arc::new(Wake::new().map_err(EngineError::open("cannot make an eventfd"))?);
        let (requests, receiver) = channel();
        let difference = Opened::default().difference(config)?;
        let watch = "cannot watch the sockets";
        let journal = config.journal.clone().map(open_journal).transpose()?;
        let talk = (Arc::clone(&wake), receiver);
        let mut worker = Worker::new(config, journal, talk).map_err(EngineError::open(watch))?;
        worker
            .change(difference.steps)
            .map_err(EngineError::open(watch))?;
        let cpu = config.cpu;
        let (pinned, was_pinned) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("relay-packets".to_owned())
            .spawn(move || {
                let result = sleep_exactly().and_then(|()| cpu.map_or(Ok(()), pin_to));
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
                opened: Mutex::new(difference.opened),
            }),
        }
    }

    /// Go on with `config`: what it adds is opened first, and everything changes between two batches. On an error the
    /// relay runs on as it was. Its name and CPU stay as they were at the start.
    pub fn reload(&self, config: &EngineConfig) -> Result<Reloaded, EngineError> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let difference = opened.difference(config)?;
        let (reply, answer) = sync_channel(1);
        self.ask(Request::Change(difference.steps, reply))?;
        let ended = answer.recv_timeout(ANSWER_WITHIN).map_err(|_| ended())?;
        *opened = difference.opened;
        Ok(Reloaded {
            changes: difference.changes,
            ended,
        })
    }

    /// Tell how frames reach the subscribers' addresses; who has no way is served by a socket.
    pub fn set_ways(&self, ways: Ways) -> Result<(), EngineError> {
        self.ask(Request::Ways(ways))
    }

    /// The counters now, taken between two batches.
    pub fn counters(&self, ranges: Ranges) -> Result<Snapshot, EngineError> {
        let (reply, answer) = sync_channel(1);
        self.ask(Request::Counters(ranges, reply))?;
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

    fn ask(&self, request: Request) -> Result<(), EngineError> {
        self.requests.send(request).map_err(|_| ended())?;
        self.wake.wake();
        Ok(())
    }

    fn ask_to_stop(&self) {
        // The thread may have ended; joining it tells why.
        drop(self.requests.send(Request::Stop));
        self.wake.wake();
    }
}

fn open_journal(settings: JournalSettings) -> Result<(Recorder, Past), EngineError> {
    let directory = settings.directory.clone();
    let place = format!("cannot keep a journal in {}", directory.display());
    let recorder = Journal::open(settings).map_err(EngineError::open(place.clone()))?;
    let past = Past::open(&directory).map_err(EngineError::open(place))?;
    Ok((recorder, past))
}

fn ended() -> EngineError {
    EngineError::Ended("it does not answer".to_owned())
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.ask_to_stop();
        }
    }
}
