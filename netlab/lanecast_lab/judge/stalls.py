"""When the machine under the lab stood still, and how much of a message's time on its way that was.

A lab measures a network with processes of one machine. When a hypervisor takes a processor away for 50 ms, every
message that was under way seems 50 ms slower; no network of the plan would have been.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate


class Stalls:
    """Intervals in which a processor of the machine did not run what was due, CLOCK_REALTIME in nanoseconds."""

    def __init__(self, intervals: Iterable[tuple[int, int]]) -> None:
        found = sorted(intervals)
        self.count = len(found)
        self.longest_ns = max((end - start for start, end in found), default=0)
        merged: list[tuple[int, int]] = []
        for start, end in found:
            # What piled up in a stall is worked off after it, which takes as long again when it is half as fast as it
            # can be; until then what follows is late for the stall's sake.
            recovered = end + (end - start)
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(merged[-1][1], recovered))
            else:
                merged.append((start, recovered))
        self._starts = [start for start, _ in merged]
        self._ends = [end for _, end in merged]
        self._before = [0, *accumulate(end - start for start, end in merged)]
        """Stalled time before each interval."""

    @property
    def total_ns(self) -> int:
        """All disturbed time: the stalls and the recovery after each."""
        return self._before[-1]

    def within(self, start_ns: int, end_ns: int) -> int:
        """How much of the time from ``start_ns`` to ``end_ns`` was disturbed."""
        return max(0, self._until(end_ns) - self._until(start_ns))

    def _until(self, time_ns: int) -> int:
        at = bisect_right(self._starts, time_ns)
        if not at:
            return 0
        return self._before[at] - max(0, self._ends[at - 1] - time_ns)
