//! Sockets and threads around the arbiter.
