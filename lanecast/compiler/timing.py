"""Protocol timers as routers carry them."""

from __future__ import annotations

NANOSECONDS_PER_SECOND = 10**9

MAXIMUM_RESPONSE_DECISECONDS = 10
"""RFC 3376, 8.3 asks for less than the query interval; one second tells leaves fast on a segment of a few hosts."""


def seconds(nanoseconds: int) -> int:
    """Whole seconds, at least one."""
    return max(1, nanoseconds // NANOSECONDS_PER_SECOND)
