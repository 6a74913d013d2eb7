"""Protocol timers as routers carry them."""

from __future__ import annotations

from lanecast.plan import model
from lanecast.router import Bfd

NANOSECONDS_PER_SECOND = 10**9

MAXIMUM_RESPONSE_DECISECONDS = 10
"""RFC 3376, 8.3 asks for less than the query interval; one second tells leaves fast on a segment of a few hosts."""


def seconds(nanoseconds: int) -> int:
    """Whole seconds, at least one."""
    return max(1, nanoseconds // NANOSECONDS_PER_SECOND)


NANOSECONDS_PER_MILLISECOND = 10**6


def bfd(planned: model.Bfd | None) -> Bfd | None:
    """A line's BFD timers as routers carry them: whole milliseconds."""
    return None if planned is None else Bfd(planned.interval_ns // NANOSECONDS_PER_MILLISECOND, planned.multiplier)
