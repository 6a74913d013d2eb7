"""What a replay takes over from the relay's file where it says nothing; other defaults stand with their sections."""

DEFAULT_HOLE_WAIT_NS = 20_000_000
"""How long a hole waits for the other line unless the feed says otherwise (design, "The relay")."""

DEFAULT_RECOVERY_WAIT_NS = 200_000_000
"""How long a hole is asked for, after hole-wait, before its loss is declared."""

RECOVERY_LINE = "recovery"
"""What the counters and the journal call the answers of re-request servers."""
