"""The counters as tables for a person; programs read the JSON."""

from __future__ import annotations

from typing import Any

from rich.console import Group
from rich.table import Table

CLASSES = ("forwarded", "duplicate", "late", "held", "heartbeat", "passed_on", "malformed", "filtered")
"""One final class a datagram (design, decision 6); their sum is ``received``."""


def counters_view(counters: dict[str, Any]) -> Group:
    """Return lines, streams and subscribers as one renderable."""
    return Group(_lines(counters), _streams(counters), _subscribers(counters))


def _table(title: str, names: tuple[str, ...], numbers: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left")
    for name in names:
        table.add_column(name)
    for number in numbers:
        table.add_column(number.replace("_", " "), justify="right")
    return table


def _lines(counters: dict[str, Any]) -> Table:
    numbers = ("received", *CLASSES, "kernel_drops")
    table = _table(f"{counters['name']}: datagrams by line", ("feed", "channel", "line"), numbers)
    for stream in counters["streams"]:
        for line in stream["lines"]:
            values = (str(line[number]) for number in numbers)
            table.add_row(stream["feed"], stream["channel"], line["line"], *values)
    return table


def _streams(counters: dict[str, Any]) -> Table:
    numbers = ("next", "requests", "lost_messages", "lost_ranges", "held_bytes")
    table = _table("streams", ("feed", "channel", "epoch"), numbers)
    for stream in counters["streams"]:
        values = ("-" if stream[number] is None else str(stream[number]) for number in numbers)
        table.add_row(stream["feed"], stream["channel"], stream["epoch"], *values)
    return table


def _subscribers(counters: dict[str, Any]) -> Table:
    table = _table("subscribers", ("subscriber",), ("datagrams", "bytes", "dropped", "refused"))
    for subscriber in counters["subscribers"]:
        refused = ", ".join(f"{name} {count}" for name, count in subscriber["refused"].items()) or "0"
        values = (str(subscriber[number]) for number in ("datagrams", "bytes", "dropped"))
        table.add_row(subscriber["name"], *values, refused)
    return table
