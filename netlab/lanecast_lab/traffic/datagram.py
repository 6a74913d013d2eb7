"""One datagram that a feed has due, before it is known whether the network of the exchange loses it."""

from __future__ import annotations

from typing import NamedTuple

from lanecast_lab.errors import LabError


class Datagram(NamedTuple):
    """``due_ns`` counts from the feed's own start."""

    due_ns: int
    line: str
    channel: str
    payload: bytes


class TrafficError(LabError):
    """Everything that is wrong with what was asked of the traffic, one message each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
