//! Journals as seen from Python: what one holds, and sending it again.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lanecast_relay_journal::replay;
use lanecast_relay_journal::{show, JournalReader, Wanted};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use serde::Serialize;

fn json(value: &impl Serialize) -> PyResult<String> {
    serde_json::to_string(value).map_err(|error| PyRuntimeError::new_err(error.to_string()))
}

/// What a journal holds, as JSON; `core/journal/src/show.rs` names the fields.
#[pyfunction]
pub(crate) fn journal_show(py: Python<'_>, directory: PathBuf) -> PyResult<String> {
    py.detach(|| json(&show(&directory)?))
}

/// A journal as it was found: what is asked several times is read once.
#[pyclass(frozen, module = "lanecast_relay._core")]
pub(crate) struct Journal {
    reader: JournalReader,
}

#[pymethods]
impl Journal {
    #[new]
    fn new(py: Python<'_>, directory: PathBuf) -> PyResult<Self> {
        let reader = py.detach(|| JournalReader::open(&directory))?;
        Ok(Self { reader })
    }

    /// The lines that it has, as JSON.
    fn lines(&self, py: Python<'_>) -> PyResult<String> {
        py.detach(|| json(&self.reader.lines()?))
    }

    /// The earliest and the latest receive time; none when nothing was received.
    fn times(&self, py: Python<'_>) -> PyResult<Option<(u64, u64)>> {
        py.detach(|| Ok(self.reader.times()?))
    }

    /// Where the newest epoch that has a number has it, as JSON; `null` when the journal does not have it.
    fn locate(
        &self,
        py: Python<'_>,
        feed: &str,
        channel: &str,
        stream: u64,
        number: u64,
    ) -> PyResult<String> {
        let wanted = Wanted {
            feed,
            channel,
            line: None,
            stream,
            epoch: None,
            number,
        };
        py.detach(|| json(&self.reader.locate(wanted)?))
    }
}

/// A replay: made from its configuration, started once.
#[pyclass(frozen, module = "lanecast_relay._core")]
pub(crate) struct Replay {
    config: replay::ReplayConfig,
    state: Mutex<State>,
}

enum State {
    Made,
    Running(replay::Replay),
    Ended(String),
}

impl Replay {
    /// The state; a thread that panicked with it in hand has left it whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Replay {
    #[new]
    fn new(config_json: &str) -> PyResult<Self> {
        let config = serde_json::from_str(config_json)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(Self {
            config,
            state: Mutex::new(State::Made),
        })
    }

    /// Open a socket, and begin to send what the journal has on a thread of its own.
    fn start(&self, py: Python<'_>, journal: &Journal) -> PyResult<()> {
        let reader = &journal.reader;
        py.detach(|| {
            let mut state = self.state();
            if !matches!(*state, State::Made) {
                return Err(PyRuntimeError::new_err("a replay is started once"));
            }
            *state = State::Running(replay::Replay::start(reader, self.config.clone())?);
            Ok(())
        })
    }

    /// Wait for the end, at most so many seconds. Returns whether it is there.
    fn wait(&self, py: Python<'_>, within_s: f64) -> PyResult<bool> {
        let within = Duration::try_from_secs_f64(within_s)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        py.detach(|| match &*self.state() {
            State::Made => Err(PyRuntimeError::new_err("the replay was not started")),
            State::Running(running) => Ok(running.wait(within)),
            State::Ended(_) => Ok(true),
        })
    }

    /// How far it is, as JSON.
    fn progress(&self, py: Python<'_>) -> PyResult<String> {
        py.detach(|| match &*self.state() {
            State::Made => Err(PyRuntimeError::new_err("the replay was not started")),
            State::Running(running) => json(&running.progress()),
            State::Ended(report) => Ok(report.clone()),
        })
    }

    /// End it where it is, unless it has ended, and return what it came to, as JSON.
    fn finish(&self, py: Python<'_>) -> PyResult<String> {
        py.detach(|| {
            let mut state = self.state();
            match std::mem::replace(&mut *state, State::Ended("null".to_owned())) {
                State::Made => Err(PyRuntimeError::new_err("the replay was not started")),
                State::Ended(report) => {
                    *state = State::Ended(report.clone());
                    Ok(report)
                }
                State::Running(running) => {
                    running.stop();
                    let report = json(&running.finish()?)?;
                    *state = State::Ended(report.clone());
                    Ok(report)
                }
            }
        })
    }
}
