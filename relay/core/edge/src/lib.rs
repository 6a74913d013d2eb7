//! Sockets and one thread around the arbiter: receive a batch, arbitrate, send a batch.
//!
//! The thread owns every socket and every arbiter, so the packet path takes no lock. Others talk to it through a queue
//! that it looks at between batches; a snapshot of the counters is therefore consistent.

mod asking;
mod batch;
pub mod config;
pub mod engine;
pub mod errors;
mod input;
mod send;
pub mod snapshot;
mod system;
mod worker;

pub use config::EngineConfig;
pub use engine::Engine;
pub use errors::EngineError;
pub use snapshot::Snapshot;
