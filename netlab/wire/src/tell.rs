//! What the tool says on standard output: one JSON object a line.

use std::io::{self, Write};

use serde_json::Value;

/// Print an object that the caller waits for.
pub fn tell(object: &Value) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{object}")?;
    output.flush()
}

/// Print progress. Who no longer listens must not cost what is being sent or recorded.
pub fn tell_progress(object: &Value) {
    tell(object).unwrap_or_default();
}
