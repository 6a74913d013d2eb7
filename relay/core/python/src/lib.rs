//! The engine as the Python module `lanecast_relay._core`: JSON in, JSON out, and no Python on the packet path.

mod journal;

use lanecast_relay_core::{find, Kind, Packet, Protocol, PROTOCOLS};
use lanecast_relay_edge as edge;
use pyo3::create_exception;
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

create_exception!(
    lanecast_relay._core,
    OpenError,
    PyOSError,
    "The system refused a socket, a join or a thread."
);
create_exception!(
    lanecast_relay._core,
    MalformedDatagram,
    PyValueError,
    "The bytes are not a packet of the protocol."
);

/// The one place where the engine's errors become Python's.
fn raised(error: edge::EngineError) -> PyErr {
    match error {
        edge::EngineError::Config(message) => PyValueError::new_err(message),
        edge::EngineError::Open { .. } => OpenError::new_err(error.to_string()),
        edge::EngineError::Ended(_) => PyRuntimeError::new_err(error.to_string()),
    }
}

fn to_json(snapshot: &edge::Snapshot) -> PyResult<String> {
    serde_json::to_string(snapshot).map_err(|error| PyRuntimeError::new_err(error.to_string()))
}

/// A relay: made from its configuration, started once, stopped once.
#[pyclass(frozen, module = "lanecast_relay._core")]
struct Engine {
    config: edge::EngineConfig,
    running: std::sync::Mutex<State>,
}

enum State {
    Made,
    Running(edge::Engine),
    Stopped(String),
}

impl Engine {
    /// The state; a thread that panicked with it in hand has left it whole.
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.running
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[pymethods]
impl Engine {
    #[new]
    fn new(config_json: &str) -> PyResult<Self> {
        let config = serde_json::from_str(config_json)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        let running = std::sync::Mutex::new(State::Made);
        Ok(Self { config, running })
    }

    /// Open and join everything and forward on a thread of its own.
    fn start(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| {
            let mut state = self.state();
            if !matches!(*state, State::Made) {
                return Err(PyRuntimeError::new_err("an engine is started once"));
            }
            *state = State::Running(edge::Engine::start(&self.config).map_err(raised)?);
            Ok(())
        })
    }

    /// Go on with another configuration; on an error nothing has changed. Returns what changed as JSON.
    fn reload(&self, py: Python<'_>, config_json: &str) -> PyResult<String> {
        let config: edge::EngineConfig = serde_json::from_str(config_json)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        py.detach(|| match &*self.state() {
            State::Running(engine) => {
                let reloaded = engine.reload(&config).map_err(raised)?;
                serde_json::to_string(&reloaded)
                    .map_err(|error| PyRuntimeError::new_err(error.to_string()))
            }
            _ => Err(PyRuntimeError::new_err("the engine is not running")),
        })
    }

    /// Tell how frames reach subscribers' addresses, for fan-out in the kernel: JSON, by address.
    fn set_ways(&self, py: Python<'_>, ways_json: &str) -> PyResult<()> {
        let ways: edge::Ways = serde_json::from_str(ways_json)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        py.detach(|| match &*self.state() {
            State::Running(engine) => engine.set_ways(ways).map_err(raised),
            _ => Err(PyRuntimeError::new_err("the engine is not running")),
        })
    }

    /// Drain and close; the counters stay readable.
    fn stop(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| {
            let mut state = self.state();
            match std::mem::replace(&mut *state, State::Stopped("null".to_owned())) {
                State::Running(engine) => {
                    *state = State::Stopped(to_json(&engine.stop().map_err(raised)?)?)
                }
                other => *state = other,
            }
            Ok(())
        })
    }

    /// The counters as JSON: now, with `none`, the `new` or `all` ranges of numbers, or as they were at the end.
    fn counters(&self, py: Python<'_>, ranges: &str) -> PyResult<String> {
        let ranges = match ranges {
            "none" => edge::Ranges::None,
            "new" => edge::Ranges::New,
            "all" => edge::Ranges::All,
            other => return Err(PyValueError::new_err(format!("no such ranges: {other}"))),
        };
        py.detach(|| match &*self.state() {
            State::Made => Err(PyRuntimeError::new_err("the engine was not started")),
            State::Running(engine) => to_json(&engine.counters(ranges).map_err(raised)?),
            State::Stopped(counters) => Ok(counters.clone()),
        })
    }
}

/// The names of the framings that the engine parses.
#[pyfunction]
fn protocols() -> Vec<&'static str> {
    PROTOCOLS.iter().map(|protocol| protocol.name).collect()
}

/// `(stream, kind, epoch, first, count, reset)`.
type Parsed<'py> = (u64, &'static str, Bound<'py, PyBytes>, u64, u64, bool);

/// Read one datagram's packets: `(stream, kind, epoch, first, count, reset)` each, where `first` is the next number for
/// a packet without messages. For tests and tools, not for the packet path.
#[pyfunction]
fn parse<'py>(py: Python<'py>, protocol: &str, datagram: &[u8]) -> PyResult<Vec<Parsed<'py>>> {
    let packets = known(protocol)?
        .packets(datagram)
        .map_err(|error| MalformedDatagram::new_err(error.to_string()))?;
    let parsed = |packet: &Packet| {
        let epoch = PyBytes::new(py, &packet.epoch.0);
        let (stream, first, count) = (packet.stream, packet.number(), packet.count);
        (stream, name(packet.kind), epoch, first, count, packet.reset)
    };
    Ok(packets.iter().map(parsed).collect())
}

/// A copy of one packet without its first `skip` messages; none when nothing is left, or it cannot be split. For tests
/// and tools.
#[pyfunction]
fn trim<'py>(
    py: Python<'py>,
    protocol: &str,
    packet: &[u8],
    skip: u64,
) -> PyResult<Option<Bound<'py, PyBytes>>> {
    let trimmed = known(protocol)?.trim(packet, skip);
    Ok(trimmed.map(|bytes| PyBytes::new(py, &bytes)))
}

fn known(protocol: &str) -> PyResult<&'static Protocol> {
    find(protocol).ok_or_else(|| PyValueError::new_err(format!("unknown protocol {protocol}")))
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Data => "data",
        Kind::Heartbeat { .. } => "heartbeat",
        Kind::EndOfSession { .. } => "end-of-session",
        Kind::Restart { .. } => "restart",
        Kind::Unsequenced => "unsequenced",
        Kind::Keepalive => "keepalive",
    }
}

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Engine>()?;
    module.add_function(wrap_pyfunction!(protocols, module)?)?;
    module.add_function(wrap_pyfunction!(parse, module)?)?;
    module.add_function(wrap_pyfunction!(trim, module)?)?;
    module.add_class::<journal::Journal>()?;
    module.add_class::<journal::Replay>()?;
    module.add_function(wrap_pyfunction!(journal::journal_show, module)?)?;
    module.add("OpenError", module.py().get_type::<OpenError>())?;
    module.add(
        "MalformedDatagram",
        module.py().get_type::<MalformedDatagram>(),
    )
}
