//! Framing and arbitration of market-data lines, without I/O.
