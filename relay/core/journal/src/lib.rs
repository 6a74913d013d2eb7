//! The relay's journal: every datagram of every line as it came, on disk, and found again by number and by time.
//!
//! A journal is a directory of segments. A segment is a pcapng file, which any tool reads, and an index beside it;
//! `docs/journal-format.md` has both, byte by byte. The packet thread fills buffers with finished blocks
//! ([`Recorder`]), a thread of the journal's own writes them ([`writer`]); nothing that the disk does reaches the
//! packet thread but a buffer that does not come back. Readers ([`JournalReader`], [`Archive`]) need nobody's leave:
//! they look at a directory that is being written, or at what a crash left of it.
#![deny(unsafe_code)]

mod archive;
mod buffer;
mod calls;
mod contents;
mod directory;
pub mod index;
mod locate;
pub mod pcapng;
mod reader;
mod recorder;
mod records;
mod repair;
pub mod replay;
mod segment;
mod settings;
mod show;
mod timeline;
mod writer;

pub use archive::{Archive, Found};

pub use contents::Contents;
pub use locate::{Located, Position};
pub use reader::{JournalReader, Wanted};
pub use records::{Record, Records, Selection};
pub use repair::repair_all;

pub use recorder::{Journal, JournalCounters, LineHandle, Recorder};

pub use settings::{JournalSettings, LineIdentity, LineName};
pub use show::{show, Report};
