//! Sockets and one thread around the arbiter: receive a batch, arbitrate, send a batch.
//!
//! The thread owns every socket and every arbiter, so the packet path takes no lock. Others talk to it through a queue
//! that it looks at between batches; a snapshot of the counters is therefore consistent.

mod answered;
mod answering;
mod asking;
mod batch;
mod burst;
mod channel;
pub mod config;
mod delivery;
pub mod engine;
pub mod errors;
mod histogram;
mod input;
mod kernel;
mod opened;
mod output;
mod past;
mod poller;
mod ring;
pub mod snapshot;
mod step;
mod system;
mod worker;

pub use config::EngineConfig;
pub use engine::{Engine, Reloaded};
pub use errors::EngineError;
pub use kernel::{Way, Ways};
pub use opened::Change;
pub use snapshot::{Ranges, Snapshot};
