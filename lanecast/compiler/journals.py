"""A relay's journal: where it is, and how large it may get so that what a plan asks for stays even at the peak."""

from __future__ import annotations

from collections.abc import Iterable

from lanecast.plan.model import Feed
from lanecast_relay.config import model as relay_model
from lanecast_relay.config.quantity import nanoseconds, size_in_bytes

DIRECTORY = "/var/lib/lanecast-relay/journal"
"""Below the StateDirectory of the relay's unit, the only place of the disk that it may write."""

OVERHEAD_BYTES = 128
"""At most what a datagram takes besides its own bytes: headers, pcapng block, index (docs/journal-format.md)."""

MEBIBYTE = 2**20
SECOND_NS = 10**9


def journal(keep_ns: int, feeds: Iterable[Feed]) -> relay_model.Journal:
    """A journal that holds ``keep_ns`` of all lines of ``feeds`` at their peak, and segments that are half over."""
    bytes_per_second = sum(
        feed.peak.rate_pps * (feed.peak.size_bytes + OVERHEAD_BYTES) * len(feed.lines) for feed in feeds
    )
    segment = relay_model.DEFAULT_JOURNAL_SEGMENT_BYTES
    needed = bytes_per_second * keep_ns // SECOND_NS + 2 * segment
    mebibytes = -(-max(needed, relay_model.JOURNAL_SEGMENTS * segment) // MEBIBYTE)
    return relay_model.Journal(
        directory=DIRECTORY, keep_ns=nanoseconds(keep_ns), size_bytes=size_in_bytes(mebibytes * MEBIBYTE)
    )
