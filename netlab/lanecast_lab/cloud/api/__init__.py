"""The emulated cloud's HTTP API: signed requests in, JSON out, everything kept in one SQLite file."""
