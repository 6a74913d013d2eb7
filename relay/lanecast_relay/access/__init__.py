"""Who may have what: tokens, one-time codes, destinations, leases. Nothing here opens a socket."""
