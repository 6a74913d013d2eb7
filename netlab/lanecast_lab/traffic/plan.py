"""Decides everything that is sent before anything is: which datagram, when, on which line, and which the egress loses.

The sender only carries out a schedule; the judge expects from this record and never from what a receiver saw.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from lanecast.fabric import (
    Fabric,
    Feed,
    FeedLine,
)
from lanecast_lab.traffic.capture import load_replay
from lanecast_lab.traffic.datagram import Datagram, TrafficError
from lanecast_lab.traffic.framing import READABLE
from lanecast_lab.traffic.loss import EgressLoss
from lanecast_lab.traffic.synthetic import synthesize

SCHEDULE_MAGIC = b"LCSCHED1"
SCHEDULE_ENTRY = Struct("<Q4s4sHH")
"""docs/wire-tool-formats.md: due, source, group, port, length; the payload follows."""

DIGEST_DIGITS = 16


@dataclass(frozen=True, slots=True)
class TrafficOptions:
    """What was asked of the traffic. ``duration_ns`` is for invented feeds; a capture is always replayed whole."""

    replays: dict[str, Path] = field(default_factory=dict)
    speed: Fraction | float = Fraction(1)
    losses: dict[tuple[str, str], float] = field(default_factory=dict)
    """Percent, by (feed, line)."""
    seed: int = 1
    duration_ns: int = 10_000_000_000


class Transmission(NamedTuple):
    """One datagram that a line had due. ``due_ns`` counts from the start of its exchange's traffic."""

    feed: str
    channel: str
    line: str
    due_ns: int
    payload: bytes
    lost: bool
    """Lost at the exchange's egress: due, and never sent."""
    schedule_index: int | None
    """Its place in the exchange's schedule; None for a lost one."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Everything that is due, of all exchanges, each exchange's in due order."""

    fabric: Fabric
    options: TrafficOptions
    transmissions: list[Transmission]
    schedule_start_ns: dict[str, int]
    """By exchange: when the schedule's first datagram is due; schedules count from there."""
    notes: list[str]

    def of_exchange(self, exchange: str) -> list[Transmission]:
        """What one exchange has due, in due order."""
        feeds = {feed.name for feed in self.fabric.feeds if feed.exchange == exchange}
        return [one for one in self.transmissions if one.feed in feeds]

    def scheduled(self, exchange: str) -> int:
        """How many datagrams the exchange's schedule holds."""
        return sum(1 for one in self.of_exchange(exchange) if not one.lost)

    def length_ns(self, exchange: str) -> int:
        """From the exchange's first sent datagram to its last."""
        due = [one.due_ns for one in self.of_exchange(exchange) if not one.lost]
        return due[-1] - due[0] if due else 0

    def write_schedules(self, directory: Path) -> dict[str, Path]:
        """Write one schedule an exchange into ``directory``, and return where each is."""
        written = {}
        for exchange, start_ns in self.schedule_start_ns.items():
            path = directory / f"{exchange}.schedule"
            with path.open("wb") as file:
                file.write(SCHEDULE_MAGIC)
                file.writelines(self._entries(exchange, start_ns))
            written[exchange] = path
        return written

    def _entries(self, exchange: str, start_ns: int) -> Iterable[bytes]:
        places = {
            (feed.name, line.name, channel): (line.source.packed, group.address.packed, group.port)
            for feed in self.fabric.feeds
            for line in feed.lines
            for channel, group in line.groups.items()
        }
        for one in self.of_exchange(exchange):
            if not one.lost:
                source, group, port = places[one.feed, one.line, one.channel]
                yield SCHEDULE_ENTRY.pack(one.due_ns - start_ns, source, group, port, len(one.payload))
                yield one.payload

    def write_record(self, path: Path) -> None:
        """Write what was due as JSON lines: names of the columns first, then a list for each transmission."""
        columns = ["feed", "channel", "line", "due_ns", "lost", "schedule_index", "bytes", "sha256"]
        with path.open("w", encoding="ascii") as file:
            file.write(json.dumps({"lanecast-record": 1, "seed": self.options.seed, "columns": columns}) + "\n")
            for one in self.transmissions:
                digest = sha256(one.payload).hexdigest()[:DIGEST_DIGITS]
                row = [*one[:4], one.lost, one.schedule_index, len(one.payload), digest]
                file.write(json.dumps(row, separators=(",", ":")) + "\n")


def build_traffic(fabric: Fabric, options: TrafficOptions) -> Traffic:
    """Decide all traffic of a run; raise :class:`TrafficError` with everything that is wrong with the options."""
    problems = _option_problems(fabric, options)
    notes: list[str] = []
    due: dict[str, list[Datagram]] = {}
    for feed in fabric.feeds:
        try:
            due[feed.name] = _feed_datagrams(feed, options, notes)
        except TrafficError as error:
            problems.extend(error.problems)
    if problems:
        raise TrafficError(problems)
    transmissions: list[Transmission] = []
    starts: dict[str, int] = {}
    for exchange in sorted({feed.exchange for feed in fabric.feeds}):
        feeds = [feed for feed in fabric.feeds if feed.exchange == exchange]
        merged = _numbered([one for feed in feeds for one in _drawn(feed, due[feed.name], options)])
        starts[exchange] = next((one.due_ns for one in merged if not one.lost), 0)
        transmissions.extend(merged)
    return Traffic(fabric, options, transmissions, starts, notes)


def _feed_datagrams(feed: Feed, options: TrafficOptions, notes: list[str]) -> list[Datagram]:
    """A feed's datagrams, replayed or invented: no feed of a plan stays idle."""
    if feed.protocol not in READABLE:
        known = ", ".join(sorted(READABLE))
        raise TrafficError([f"{feed.name}: the lab invents, replays and judges {known}; not {feed.protocol.value}"])
    path = options.replays.get(feed.name)
    if path is None:
        return synthesize(feed, options.duration_ns, options.seed) if options.duration_ns > 0 else []
    if not path.is_file() or options.speed <= 0:
        return []  # _option_problems says so
    replay = load_replay(feed, path, Fraction(options.speed))
    notes.extend(replay.notes)
    return replay.datagrams


def _drawn(feed: Feed, datagrams: list[Datagram], options: TrafficOptions) -> list[Transmission]:
    draws = {
        line.name: EgressLoss(options.seed, feed.name, line.name, options.losses.get((feed.name, line.name), 0))
        for line in feed.lines
    }
    return [
        Transmission(feed.name, one.channel, one.line, one.due_ns, one.payload, draws[one.line].loses(), None)
        for one in datagrams
    ]


def _numbered(transmissions: list[Transmission]) -> list[Transmission]:
    """An exchange's transmissions in due order, the sent ones with their place in the schedule."""
    transmissions.sort(key=lambda one: one.due_ns)
    numbered = []
    index = 0
    for one in transmissions:
        numbered.append(one if one.lost else one._replace(schedule_index=index))
        index += not one.lost
    return numbered


def _option_problems(fabric: Fabric, options: TrafficOptions) -> list[str]:
    feeds = {feed.name: feed for feed in fabric.feeds}
    problems = []
    for name, path in options.replays.items():
        if name not in feeds:
            problems.append(_unknown("replay", "feed", name, feeds))
        elif not path.is_file():
            problems.append(f"replay {name}: no file is at {path}")
    for (name, line), percent in options.losses.items():
        if name not in feeds:
            problems.append(_unknown("loss", "feed", name, feeds))
        elif line not in _lines(feeds[name]):
            problems.append(_unknown("loss", f"line of {name}", line, _lines(feeds[name])))
        if not 0 <= percent <= 100:
            problems.append(f"loss {name}.{line}: expected a percentage from 0 to 100, found {percent:g}")
    if not options.speed > 0:
        problems.append(f"speed: expected more than 0, found {float(options.speed):g}")
    invented = sorted(set(feeds) - set(options.replays))
    if options.duration_ns <= 0 and invented:
        problems.append(
            f"duration: expected more than 0, found {options.duration_ns} ns: {', '.join(invented)} would be idle"
        )
    return problems


def _lines(feed: Feed) -> dict[str, FeedLine]:
    return {line.name: line for line in feed.lines}


def _unknown(option: str, kind: str, name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"the plan has {', '.join(names)}"
    return f"{option}: no {kind} is called {name}: {hint}"


def read_replays(texts: Iterable[str]) -> dict[str, Path]:
    """Read ``FEED=CAPTURE`` arguments; raise :class:`TrafficError` with all that are not."""
    read: dict[str, Path] = {}
    problems = []
    for text in texts:
        feed, _, path = text.partition("=")
        if not feed or not path:
            problems.append(f"replay: expected FEED=CAPTURE, found {text}")
        elif feed in read:
            problems.append(f"replay {feed}: is given twice")
        else:
            read[feed] = Path(path)
    if problems:
        raise TrafficError(problems)
    return read


def read_losses(texts: Iterable[str]) -> dict[tuple[str, str], float]:
    """Read ``FEED.LINE=PERCENT`` arguments; raise :class:`TrafficError` with all that are not."""
    read: dict[tuple[str, str], float] = {}
    problems = []
    for text in texts:
        place, _, percent = text.partition("=")
        feed, _, line = place.partition(".")
        try:
            share = float(percent.removesuffix("%"))
        except ValueError:
            share = -1.0
        if not feed or not line or not 0 <= share <= 100:
            problems.append(f"loss: expected FEED.LINE=PERCENT with a percentage from 0 to 100, found {text}")
        elif (feed, line) in read:
            problems.append(f"loss {place}: is given twice")
        else:
            read[feed, line] = share
    if problems:
        raise TrafficError(problems)
    return read
