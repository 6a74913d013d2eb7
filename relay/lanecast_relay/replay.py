"""What is asked of a replay, checked against what the journal has: the only way to a native one."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lanecast_relay import _core
from lanecast_relay.config.fields import Endpoint, read_endpoint
from lanecast_relay.moments import is_number, read_time_ns, write_time

RANGES_TOLD = 20
"""How many streams an error lists."""

END_OF_TIME_NS = 2**63 - 1


class ReplayError(ValueError):
    """The journal does not have what is asked for, or it is asked for in a way that has no one meaning."""


@dataclass(frozen=True, slots=True)
class Line:
    """One recorded line of one channel."""

    feed: str
    channel: str
    line: str
    protocol: str


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of the command, as they were written."""

    journal: Path
    feed: str | None
    channels: list[str]
    lines: list[str]
    to_addresses: list[str]
    start: str | None
    end: str | None
    stream: int
    speed: str


@dataclass(frozen=True, slots=True)
class Target:
    """A channel, or one line of it, and where it goes."""

    channel: str
    line: str | None
    to: Endpoint


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the journal; nanoseconds of ``CLOCK_REALTIME``, and numbers where it was asked for by number."""

    from_ns: int
    to_ns: int
    numbers: dict[str, int | None] | None


def plan_replay(asked: Asked, interface: str | None, ttl: int, hole_wait_ns: int) -> dict[str, Any]:
    """Return the native configuration; raise :class:`ReplayError`, or ``OSError`` for a journal that cannot be read."""
    lines = _lines(asked)
    targets = _targets(asked, lines)
    span = _span(asked, sorted({target.channel for target in targets}))
    return {
        "directory": str(asked.journal),
        "feed": lines[0].feed,
        "from_ns": span.from_ns,
        "to_ns": span.to_ns,
        "numbers": span.numbers,
        "speed": read_speed(asked.speed),
        "hole_wait_ns": hole_wait_ns,
        "targets": [{"channel": one.channel, "line": one.line, "to": str(one.to)} for one in targets],
        "interface": interface,
        "ttl": ttl,
    }


def read_speed(text: str) -> float | None:
    """Return how many times faster; None for ``max``."""
    if text == "max":
        return None
    match = re.match(r"^(\d+(?:\.\d+)?)x?$", text)
    if match is None or float(match[1]) == 0:
        raise ReplayError(f"--speed {text}: expected a factor such as 1, 10x or 0.5, or max")
    return float(match[1])


def _lines(asked: Asked) -> list[Line]:
    """The recorded lines of the feed and the channels that are asked for."""
    recorded = [
        Line(one["feed"], one["channel"], one["line"], one["protocol"])
        for one in json.loads(_core.journal_lines(asked.journal))
    ]
    feeds = sorted({line.feed for line in recorded})
    if not feeds:
        raise ReplayError(f"{asked.journal}: nothing is recorded there")
    feed = asked.feed if asked.feed is not None or len(feeds) > 1 else feeds[0]
    if feed not in feeds:
        raise ReplayError(f"--feed: expected one of {', '.join(feeds)}")
    own = [line for line in recorded if line.feed == feed]
    channels = {line.channel for line in own}
    unknown = sorted(set(asked.channels) - channels)
    if unknown:
        raise ReplayError(
            f"--channel {', '.join(unknown)}: not recorded for feed {feed}; it has {', '.join(sorted(channels))}"
        )
    return [line for line in own if not asked.channels or line.channel in asked.channels]


def _targets(asked: Asked, lines: list[Line]) -> list[Target]:
    addressed = [text for text in asked.lines if "=" in text]
    plain = [text for text in asked.lines if "=" not in text]
    if addressed and (plain or asked.to_addresses):
        raise ReplayError(
            "--line LINE=ADDRESS:PORT gives a line its own address: give every --line one, and no --to-address"
        )
    if addressed:
        return [_line_target(text, lines) for text in addressed]
    if not asked.to_addresses:
        raise ReplayError("where to? --to-address ADDRESS:PORT, or --line LINE=ADDRESS:PORT for each line by itself")
    if len(plain) > 1:
        raise ReplayError(
            "several lines to one address would send each message several times: leave --line out to have each once,"
            " or give each its own as --line LINE=ADDRESS:PORT"
        )
    line = plain[0] if plain else None
    if line is not None:
        _check_line(line, lines)
    targets = [_channel_target(text, line, lines) for text in asked.to_addresses]
    channels = [target.channel for target in targets]
    twice = sorted({channel for channel in channels if channels.count(channel) > 1})
    if twice:
        raise ReplayError(f"--to-address: channel {', '.join(twice)} has two addresses")
    return targets


def _line_target(text: str, lines: list[Line]) -> Target:
    place, _, address = text.partition("=")
    name, slash, channel = place.partition("/")
    _check_line(name, lines)
    own = [line for line in lines if line.line == name]
    return Target(_channel(channel if slash else None, own, "--line LINE/CHANNEL"), name, _address("--line", address))


def _channel_target(text: str, line: str | None, lines: list[Line]) -> Target:
    channel, equals, address = text.rpartition("=")
    own = [one for one in lines if line is None or one.line == line]
    chosen = _channel(channel if equals else None, own, "--to-address CHANNEL")
    return Target(chosen, line, _address("--to-address", address))


def _check_line(name: str, lines: list[Line]) -> None:
    names = sorted({line.line for line in lines})
    if name not in names:
        raise ReplayError(f"--line {name}: not recorded; there is {', '.join(names)}")


def _channel(name: str | None, lines: list[Line], option: str) -> str:
    channels = sorted({line.channel for line in lines})
    if name is None and len(channels) == 1:
        return channels[0]
    if name is None:
        raise ReplayError(
            f"there are channels {', '.join(channels)}: give one with --channel, or {option}=ADDRESS:PORT for each"
        )
    if name not in channels:
        raise ReplayError(f"{option}: channel {name} is not among {', '.join(channels)}")
    return name


def _address(option: str, text: str) -> Endpoint:
    try:
        return read_endpoint(text)
    except ValueError as error:
        raise ReplayError(f"{option} {text}: {error}") from None


def _span(asked: Asked, channels: list[str]) -> Span:
    times = _core.journal_times(asked.journal)
    if times is None:
        raise ReplayError(f"{asked.journal}: nothing is recorded there")
    first = _Found.of(asked, "--from", asked.start, channels, times[0])
    last = _Found.of(asked, "--to", asked.end, channels, times[0] if first is None else first.from_ns)
    from_ns = 0 if first is None else first.from_ns
    to_ns = END_OF_TIME_NS if last is None else last.to_ns
    recorded = f"the journal has {write_time(times[0])} to {write_time(times[1])}"
    if from_ns > times[1]:
        raise ReplayError(f"--from {asked.start}: nothing was recorded then; {recorded}")
    if to_ns < max(from_ns, times[0]):
        raise ReplayError(f"--to {asked.end}: nothing lies between --from and that; {recorded}")
    numbers = [None if found is None else found.number for found in (first, last)]
    if numbers == [None, None]:
        return Span(from_ns, to_ns, None)
    return Span(from_ns, to_ns, {"stream": asked.stream, "first": numbers[0], "last": numbers[1]})


@dataclass(frozen=True, slots=True)
class _Found:
    """One end of a span: the earliest and the latest moment that are meant, and by which number."""

    from_ns: int
    to_ns: int
    number: int | None

    @classmethod
    def of(cls, asked: Asked, option: str, text: str | None, channels: list[str], not_before_ns: int) -> _Found | None:
        if text is None:
            return None
        if not is_number(text):
            try:
                moment_ns = read_time_ns(text, not_before_ns)
            except ValueError as error:
                raise ReplayError(f"{option} {text}: {error}") from None
            return cls(moment_ns, moment_ns, None)
        if len(channels) != 1:
            raise ReplayError(f"{option} {text}: numbers belong to one channel; give one of {', '.join(channels)}")
        return cls._numbered(asked, option, int(text), channels[0])

    @classmethod
    def _numbered(cls, asked: Asked, option: str, number: int, channel: str) -> _Found:
        feed = asked.feed or _only_feed(asked.journal)
        times = _core.journal_locate(asked.journal, feed, channel, asked.stream, number) if number < 2**64 else None
        if times is None:
            raise ReplayError(
                f"{option} {number}: not recorded in channel {channel}, stream {asked.stream};"
                f" recorded is {_ranges(asked.journal, feed, channel) or 'nothing with a number'}"
            )
        return cls(*times, number)


def _only_feed(journal: Path) -> str:
    feed: str = json.loads(_core.journal_lines(journal))[0]["feed"]
    return feed


def _ranges(journal: Path, feed: str, channel: str) -> str:
    report = json.loads(_core.journal_show(journal))
    found: dict[int, tuple[int, int]] = {}
    for line in report["lines"]:
        if (line["feed"], line["channel"]) == (feed, channel):
            for one in line["streams"]:
                lowest, highest = found.get(one["stream"], (one["lowest"], one["highest"]))
                found[one["stream"]] = min(lowest, one["lowest"]), max(highest, one["highest"])
    ranges = [f"stream {stream}: {lowest} to {highest}" for stream, (lowest, highest) in sorted(found.items())]
    return ", ".join(ranges[:RANGES_TOLD])
