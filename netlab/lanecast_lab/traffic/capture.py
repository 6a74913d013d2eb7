"""Replays captures: a capture's groups become a feed's lines and channels, its payloads and spacing stay.

The addresses are rewritten: a datagram leaves from the plan's source to the plan's group.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from statistics import median

from lanecast.fabric import Feed
from lanecast_lab.traffic.datagram import Datagram, TrafficError
from lanecast_lab.traffic.frames import CaptureFile, read_capture
from lanecast_lab.traffic.framing import FramingError, messages
from lanecast_relay.config.model import Endpoint

Place = tuple[str, str]
"""A line and a channel."""


@dataclass(frozen=True, slots=True)
class Replay:
    """A capture as a feed's datagrams, sorted by time; ``notes`` say what a person should know of it."""

    datagrams: list[Datagram]
    notes: list[str]


def load_replay(feed: Feed, path: Path, speed: Fraction) -> Replay:
    """Read a capture for a feed; raise :class:`TrafficError` with everything that does not fit."""
    capture = read_capture(path)
    places = map_groups(feed, capture, path)
    captured = sorted(capture.datagrams, key=lambda datagram: datagram.time_ns)
    start = captured[0].time_ns
    datagrams = [
        Datagram((one.time_ns - start) * speed.denominator // speed.numerator, *places[one.group], one.payload)
        for one in captured
    ]
    malformed = check_contents(feed, path, datagrams)
    return Replay(datagrams, _notes(feed, path, capture, places, malformed))


def map_groups(feed: Feed, capture: CaptureFile, path: Path) -> dict[Endpoint, Place]:
    """Each group of the capture as a line and channel of the feed: by equal group and port, or else by equal port."""
    planned: dict[Endpoint, Place] = {}
    for line in feed.lines:
        planned.update({group: (line.name, channel) for channel, group in line.groups.items()})
    groups = Counter(datagram.group for datagram in capture.datagrams)
    if any(group in planned for group in groups):
        places = {group: planned[group] for group in groups if group in planned}
    else:
        places = _by_port(groups, planned)
    unnamed = sorted(set(groups) - set(places))
    if unnamed:
        raise TrafficError([_mapping_problem(feed, path, groups, unnamed)])
    return places


def _by_port(groups: Counter[Endpoint], planned: dict[Endpoint, Place]) -> dict[Endpoint, Place]:
    """Groups whose port is one group's alone on both sides."""
    sides = Counter(group.port for group in groups), Counter(group.port for group in planned)
    by_port = {group.port: place for group, place in planned.items()}
    return {group: by_port[group.port] for group in groups if all(side[group.port] == 1 for side in sides)}


def _mapping_problem(feed: Feed, path: Path, groups: Counter[Endpoint], unnamed: list[Endpoint]) -> str:
    plan = ", ".join(
        f"{group} ({line.name}/{channel})" for line in feed.lines for channel, group in sorted(line.groups.items())
    )
    return (
        f"{path}: {feed.name} has no line for {', '.join(f'{group} ({groups[group]} datagrams)' for group in unnamed)};"
        f" the capture holds {', '.join(str(group) for group in sorted(groups))}; the plan names {plan}"
    )


def check_contents(feed: Feed, path: Path, datagrams: list[Datagram]) -> int:
    """Return how many datagrams are not the feed's protocol; raise when a number stands for two contents."""
    contents: dict[tuple[str, str, int], bytes] = {}
    conflicts: list[tuple[str, str, int]] = []
    malformed = 0
    for datagram in datagrams:
        try:
            found = messages(feed.protocol, datagram.channel, datagram.payload)
        except FramingError:
            malformed += 1
            continue
        for message in found:
            if message.number is not None:
                key = message.stream, message.epoch, message.number
                if contents.setdefault(key, message.body) != message.body:
                    conflicts.append(key)
    if malformed == len(datagrams):
        raise TrafficError([f"{path}: none of its {malformed} datagrams is {feed.protocol.value}"])
    if conflicts:
        stream, _epoch, number = conflicts[0]
        text = (
            f"{path}: {len(conflicts)} numbers stand for two different contents, the first is {number} of channel"
            f" {stream}: a verdict could not tell them apart; cut the capture where its numbers restart"
        )
        raise TrafficError([text])
    return malformed


def _notes(feed: Feed, path: Path, capture: CaptureFile, places: dict[Endpoint, Place], malformed: int) -> list[str]:
    notes = [
        f"{feed.name}: {path.name}: {count} frames passed over: {kind}"
        for kind, count in sorted(capture.passed_over.items())
    ]
    if malformed:
        notes.append(
            f"{feed.name}: {path.name}: {malformed} datagrams are not {feed.protocol.value}: sent, and not expected"
            " at subscribers"
        )
    present = set(places.values())
    absent = [
        f"{line.name}/{channel}"
        for line in feed.lines
        for channel in line.groups
        if (line.name, channel) not in present
    ]
    if absent:
        notes.append(f"{feed.name}: {path.name} holds nothing for {', '.join(sorted(absent))}")
    return notes


@dataclass(frozen=True, slots=True)
class SkewReport:
    """How far apart a feed's lines carry the same message: what a plan's ``hole-wait`` has to exceed.

    ``after_ns`` has for every other line when its copy came after the first-named line's: (least, median, most).
    """

    feed: str
    compared: int
    """Messages that two or more lines carry."""
    largest_ns: int
    largest_at: str
    """The message with the largest difference."""
    after_ns: dict[str, tuple[int, int, int]]
    only_on: dict[str, int]
    """Messages that one line alone carries."""
    hole_wait_ns: int

    @property
    def fits(self) -> bool:
        """Whether the plan's hole-wait exceeds the largest difference."""
        return self.largest_ns < self.hole_wait_ns


def measure_skew(feed: Feed, datagrams: list[Datagram]) -> SkewReport:
    """Compare when each line first carries each message of ``datagrams``."""
    copies = _first_copies(feed, datagrams)
    first_line = feed.lines[0].name
    only_on = dict.fromkeys((line.name for line in feed.lines), 0)
    after: dict[str, list[int]] = defaultdict(list)
    largest, largest_at, compared = 0, "", 0
    for (stream, _epoch, number), times in copies.items():
        if len(times) == 1:
            only_on[next(iter(times))] += 1
            continue
        compared += 1
        apart = max(times.values()) - min(times.values())
        if apart >= largest:
            largest, largest_at = apart, f"channel {stream}, number {number}"
        if first_line in times:
            for line, time_ns in times.items():
                after[line].append(time_ns - times[first_line])
    spread = {
        line: (min(all_), int(median(all_)), max(all_)) for line, all_ in sorted(after.items()) if line != first_line
    }
    return SkewReport(feed.name, compared, largest, largest_at, spread, only_on, feed.hole_wait_ns)


def _first_copies(feed: Feed, datagrams: list[Datagram]) -> dict[tuple[str, str, int], dict[str, int]]:
    copies: dict[tuple[str, str, int], dict[str, int]] = defaultdict(dict)
    for datagram in datagrams:
        try:
            found = messages(feed.protocol, datagram.channel, datagram.payload)
        except FramingError:
            continue
        for message in found:
            if message.number is not None:
                key = message.stream, message.epoch, message.number
                copies[key].setdefault(datagram.line, datagram.due_ns)
    return copies


def skew_report(feed: Feed, path: Path) -> SkewReport:
    """The skew of a capture's lines at the capture's own pace."""
    return measure_skew(feed, load_replay(feed, path, Fraction(1)).datagrams)
