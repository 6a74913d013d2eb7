//! What the fuzz targets check; each target in `bin/` hands its bytes to one of these.
//!
//! A check panics when something that has to hold does not. It gets any bytes, and reads out of them what to do.
#![forbid(unsafe_code)]

#[path = "../../pure/tests/common/framings.rs"]
pub mod framings;

pub mod arbiter;
pub mod input;
pub mod journal;
pub mod memory;
pub mod protocol;
pub mod re_requests;
pub mod reframing;
