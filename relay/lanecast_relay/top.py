"""A live view of a running relay: what each line brings, what was lost, what each subscriber gets."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

Counters = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sample:
    """The counters at an instant of ``CLOCK_MONOTONIC``, in seconds."""

    at_s: float
    counters: Counters


def samples(read: Callable[[], Counters], interval_s: float) -> Iterator[Sample]:
    """The counters at once and then every ``interval_s``."""
    due_s = time.monotonic()
    while True:
        yield Sample(time.monotonic(), read())
        due_s += interval_s
        time.sleep(max(0.0, due_s - time.monotonic()))


def view(before: Sample, now: Sample) -> RenderableType:
    """What happened between two samples, by line, stream and subscriber."""
    seconds = max(now.at_s - before.at_s, 1e-9)
    return Group(_lines(before, now, seconds), _streams(before, now), _subscribers(before, now, seconds))


def _lines(before: Sample, now: Sample, seconds: float) -> Table:
    table = _table(
        f"{now.counters['name']}: lines",
        ("feed", "channel", "line"),
        ("datagrams/s", "Mbit/s", "first %", "malformed/s", "kernel drops"),
    )
    earlier = {_line_key(stream, line): line for stream, line in _each_line(before.counters)}
    for stream, line in _each_line(now.counters):
        past = earlier.get(_line_key(stream, line), {})
        moved = {
            name: line[name] - past.get(name, 0) for name in ("received", "received_bytes", "forwarded", "malformed")
        }
        drops = line["kernel_drops"]
        table.add_row(
            *_line_key(stream, line),
            _rate(moved["received"], seconds),
            f"{moved['received_bytes'] * 8 / seconds / 1e6:.2f}",
            f"{100 * moved['forwarded'] / moved['received']:.1f}" if moved["received"] else "—",
            _alarming(_rate(moved["malformed"], seconds), moved["malformed"]),
            _alarming(str(drops), drops),
            style="" if moved["received"] else "dim",
        )
    return table


def _streams(before: Sample, now: Sample) -> Table:
    table = _table("streams", ("feed", "channel"), ("next", "in hold", "lost", "lost now"))
    earlier = {(stream["feed"], stream["channel"]): stream for stream in before.counters["streams"]}
    for stream in now.counters["streams"]:
        key = (stream["feed"], stream["channel"])
        lost = stream["lost_messages"]
        lost_now = lost - earlier.get(key, {}).get("lost_messages", 0)
        number = "—" if stream["next"] is None else str(stream["next"])
        table.add_row(
            *key, number, str(stream["held_packets"]), _alarming(str(lost), lost), _alarming(str(lost_now), lost_now)
        )
    return table


def _subscribers(before: Sample, now: Sample, seconds: float) -> Table:
    table = _table("subscribers", ("subscriber",), ("datagrams/s", "Mbit/s", "dropped/s", "refused"))
    earlier = {one["name"]: one for one in before.counters["subscribers"]}
    for one in now.counters["subscribers"]:
        past = earlier.get(one["name"], {})
        moved = {name: one[name] - past.get(name, 0) for name in ("datagrams", "bytes", "dropped")}
        refused = sum(one["refused"].values())
        table.add_row(
            one["name"],
            _rate(moved["datagrams"], seconds),
            f"{moved['bytes'] * 8 / seconds / 1e6:.2f}",
            _alarming(_rate(moved["dropped"], seconds), moved["dropped"]),
            _alarming(str(refused), refused),
        )
    return table


def _each_line(counters: Counters) -> Iterator[tuple[Counters, Counters]]:
    for stream in counters["streams"]:
        for line in stream["lines"]:
            yield stream, line


def _line_key(stream: Counters, line: Counters) -> tuple[str, str, str]:
    return stream["feed"], stream["channel"], line["line"]


def _rate(count: int, seconds: float) -> str:
    return f"{count / seconds:,.0f}"


def _alarming(text: str, count: int) -> Text:
    return Text(text, style="bold red" if count else "")


def _table(title: str, names: tuple[str, ...], numbers: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left")
    for name in names:
        table.add_column(name)
    for number in numbers:
        table.add_column(number, justify="right", no_wrap=True)
    return table
