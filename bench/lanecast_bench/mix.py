"""Makes a size mix of a capture: the UDP payload sizes of its data packets in time order, one a line.

A mix holds sizes and nothing else of the capture. Data packets are UDP datagrams to a multicast group, heartbeats
included, because a relay forwards them too. Sizes are written as captured; udpbench raises those without room for its
stamp.
"""

from __future__ import annotations

from pathlib import Path

from lanecast_bench.processes import BenchError
from lanecast_lab.traffic.datagram import TrafficError
from lanecast_lab.traffic.frames import read_capture

COMMENT = "#"


def mix_of(capture: Path, group: str | None, limit: int) -> str:
    """The mix's text; ``group`` (``address:port``) takes one group alone. Raises :class:`BenchError`."""
    try:
        datagrams = read_capture(capture).datagrams
    except TrafficError as error:
        raise BenchError(str(error)) from None
    kept = sorted((each for each in datagrams if group in (None, str(each.group))), key=lambda each: each.time_ns)
    if not kept:
        raise BenchError(f"{capture}: no datagrams to {group or 'a multicast group'}")
    origin = f"{COMMENT} {capture.name} {group or 'all groups'}: UDP payload bytes in time order, as captured"
    return "\n".join([origin, *(str(len(each.payload)) for each in kept[:limit])]) + "\n"


def read_mix(path: Path) -> list[int]:
    """The sizes of a mix, in order, in bytes."""
    return [int(line) for line in path.read_text().splitlines() if not line.startswith(COMMENT)]
