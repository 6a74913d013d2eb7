"""What is asked of a replay, checked against what the journal has: the only way to a native one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from lanecast_relay import _core
from lanecast_relay.config.defaults import RECOVERY_LINE
from lanecast_relay.config.endpoint import split_endpoint
from lanecast_relay.moments import is_number, read_time_ns, write_time

RANGES_TOLD = 20
"""How many streams an error lists."""

END_OF_TIME_NS = 2**63 - 1

POSITION = ("segment", "offset")
"""How the native core writes a place in a journal."""


class ReplayError(ValueError):
    """The journal does not have what is asked for, or it is asked for in a way that has no one meaning."""


class Line(NamedTuple):
    """One recorded line of one channel."""

    feed: str
    channel: str
    line: str
    protocol: str


class Asked(NamedTuple):
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


class Target(NamedTuple):
    """A channel, or one line of it, and where it goes."""

    channel: str
    line: str | None
    to: str


class Waits(NamedTuple):
    """How long a hole waits for another line, and after that for the answers of servers; of recorded time."""

    hole_ns: int
    recovery_ns: int


class Span(NamedTuple):
    """A stretch of the journal; nanoseconds of ``CLOCK_REALTIME``, and numbers where it was asked for by number."""

    from_ns: int
    to_ns: int
    numbers: dict[str, Any] | None


def plan_replay(journal: _core.Journal, asked: Asked, waits: Waits, interface: str | None, ttl: int) -> dict[str, Any]:
    """Return the native configuration; raise :class:`ReplayError`, or ``OSError`` for a journal that cannot be read."""
    lines = _lines(journal, asked)
    targets = _targets(asked, lines)
    span = _span(journal, asked, lines[0].feed, sorted({target.channel for target in targets}))
    return {
        "feed": lines[0].feed,
        "from_ns": span.from_ns,
        "to_ns": span.to_ns,
        "numbers": span.numbers,
        "speed": read_speed(asked.speed),
        "hole_wait_ns": waits.hole_ns,
        "recovery": {"line": RECOVERY_LINE, "wait_ns": waits.recovery_ns},
        "targets": [{"channel": one.channel, "line": one.line, "to": one.to} for one in targets],
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


def _lines(journal: _core.Journal, asked: Asked) -> list[Line]:
    """The recorded lines of the feed and the channels that are asked for."""
    recorded = [Line(one["feed"], one["channel"], one["line"], one["protocol"]) for one in json.loads(journal.lines())]
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


def _address(option: str, text: str) -> str:
    try:
        address, port = split_endpoint(text)
    except ValueError as error:
        raise ReplayError(f"{option} {text}: {error}") from None
    return f"{address}:{port}"


def _span(journal: _core.Journal, asked: Asked, feed: str, channels: list[str]) -> Span:
    times = journal.times()
    if times is None:
        raise ReplayError(f"{asked.journal}: nothing is recorded there")
    look = _Look(journal, asked, feed, channels)
    first = look.end("--from", asked.start, times[0])
    last = look.end("--to", asked.end, times[0] if first is None else first.from_ns)
    if first is not None and last is not None and first.number is not None and last.number is not None:
        _check_numbers(asked, (first, first.number), (last, last.number))
    else:
        _check_times(asked, first, last, times)
    from_ns = 0 if first is None else first.from_ns
    to_ns = END_OF_TIME_NS if last is None else last.to_ns
    numbered = [found for found in (first, last) if found is not None and found.number is not None]
    if not numbered:
        return Span(from_ns, to_ns, None)
    numbers = {
        "stream": asked.stream,
        "epoch": numbered[0].epoch,
        "first": None if first is None else first.number,
        "last": None if last is None else last.number,
        "end": None if last is None or last.number is None else dict(zip(POSITION, last.last, strict=True)),
    }
    return Span(from_ns, to_ns, numbers)


def _check_numbers(asked: Asked, start: tuple[_Found, int], end: tuple[_Found, int]) -> None:
    """Numbers come round, so a lower one may follow: then where they lie tells, as the clock may have been set back."""
    (first, first_number), (last, last_number) = start, end
    if first.epoch != last.epoch:
        raise ReplayError(
            f"--to {asked.end}: not in the session that has --from {asked.start}; the newest with one lacks the other"
        )
    if last_number < first_number and last.last < first.first:
        raise ReplayError(f"--to {asked.end}: nothing lies between --from and that; it came before {asked.start}")


def _check_times(asked: Asked, first: _Found | None, last: _Found | None, times: tuple[int, int]) -> None:
    from_ns = 0 if first is None else first.from_ns
    to_ns = END_OF_TIME_NS if last is None else last.to_ns
    recorded = f"the journal has {write_time(times[0])} to {write_time(times[1])}"
    if from_ns > times[1]:
        raise ReplayError(f"--from {asked.start}: nothing was recorded then; {recorded}")
    if to_ns < max(from_ns, times[0]):
        raise ReplayError(f"--to {asked.end}: nothing lies between --from and that; {recorded}")


class _Found(NamedTuple):
    """One end of a span: the earliest and latest moment that are meant, and by which number, whose copies lie where."""

    from_ns: int
    to_ns: int
    number: int | None = None
    epoch: list[int] | None = None
    first: tuple[int, int] = (0, 0)
    last: tuple[int, int] = (0, 0)
    """Segment, and where in it."""


class _Look(NamedTuple):
    """Where ends of a span are looked for."""

    journal: _core.Journal
    asked: Asked
    feed: str
    channels: list[str]

    def end(self, option: str, text: str | None, not_before_ns: int) -> _Found | None:
        if text is None:
            return None
        if not is_number(text):
            try:
                moment_ns = read_time_ns(text, not_before_ns)
            except ValueError as error:
                raise ReplayError(f"{option} {text}: {error}") from None
            return _Found(moment_ns, moment_ns)
        if len(self.channels) != 1:
            raise ReplayError(f"{option} {text}: numbers belong to one channel; give one of {', '.join(self.channels)}")
        return self._numbered(option, int(text))

    def _numbered(self, option: str, number: int) -> _Found:
        asked, channel = self.asked, self.channels[0]
        known = number < 2**64
        found = json.loads(self.journal.locate(self.feed, channel, asked.stream, number)) if known else None
        if found is None:
            raise ReplayError(
                f"{option} {number}: not recorded in channel {channel}, stream {asked.stream};"
                f" recorded is {_ranges(asked.journal, self.feed, channel) or 'nothing with a number'}"
            )
        first, last = ((found[which][POSITION[0]], found[which][POSITION[1]]) for which in ("first", "last"))
        return _Found(found["first_ns"], found["last_ns"], number, found["epoch"], first, last)


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
