"""Reading audit logs: who received which feed and when, and whether the logs are whole."""

from __future__ import annotations

import calendar
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lanecast_relay.audit import COUNTED, line_hash

Record = dict[str, Any]


@dataclass(slots=True)
class Interval:
    """One time that somebody received something."""

    opening: Record
    until: str | None = None
    """None: it was going on when the log ended, or the relay ended without saying so."""
    known_until: str = ""
    """When the relay was last heard of, where ``until`` is not known."""
    reason: str = "going on"
    counts: dict[str, int] = field(default_factory=dict)
    """By the names of :data:`COUNTED`; empty where the end is not known."""
    answered: list[Record] = field(default_factory=list)
    """What was asked for again: the lowest and the highest number in answers, by stream and epoch."""

    def outputs(self, feed: str) -> list[Record]:
        """What it received of a feed."""
        return [output for output in self.opening["outputs"] if output["feed"] == feed]

    def shown(self, feed: str) -> Record:
        """For a report about ``feed``."""
        opening, outputs = self.opening, self.outputs(feed)
        return {
            "subscriber": opening["subscriber"],
            "subject": opening.get("subject"),
            "token": opening.get("token"),
            "delivery": opening["delivery"],
            "outputs": [f"{output['channel']} {output['to']}" for output in outputs],
            "from": opening["from"],
            "until": self.until,
            "known_until": self.until or self.known_until,
            "reason": self.reason,
            **{name: self.counts.get(name) for name in COUNTED},
            "answered": [
                f"{each['channel']} {each['epoch']} {each['first']}-{each['last']}"
                + (f" of stream {each['stream']}" if each["stream"] else "")
                for each in self.answered
                if each["feed"] == feed
            ],
            # The relay counts by subscriber: with other feeds in it, the numbers are not the feed's own.
            "counts_other_feeds": len(outputs) != len(opening["outputs"]),
        }


@dataclass(slots=True)
class Reading:
    """What a series of logs says, oldest first."""

    intervals: dict[str, Interval] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    _open: set[str] = field(default_factory=set)
    _last_at: str = ""
    _previous: str | None = None
    _before_previous: str | None = None

    def read(self, path: Path) -> None:
        """Take in one log; raise ``OSError`` when it cannot be read."""
        lines = path.read_bytes().splitlines(keepends=True)
        unread: str | None = None
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            where = f"{path}:{number}"
            record = _record(line)
            if record is None:
                unread = where
                continue
            self._check_chain(where, record, unread)
            unread = None
            self._before_previous, self._previous = self._previous, line_hash(line)
            try:
                self._take(record)
            except KeyError as missing:
                self.problems.append(f"{where}: {missing} is missing")
        if unread is not None:
            self.problems.append(f"{unread}: ends in the middle of a line: the relay ended while it wrote")

    def finish(self) -> None:
        """After the last log."""
        for id_ in self._open:
            self.intervals[id_].known_until = self._last_at

    def _check_chain(self, where: str, record: Record, unread: str | None) -> None:
        fits = self._previous is None or record.get("previous") == self._previous
        restarts = record.get("event") == "started"
        if unread is not None and restarts and fits:
            self.problems.append(f"{unread}: half a line: the relay ended while it wrote")
        elif unread is not None:
            self.problems.append(f"{unread}: not a line of an audit log")
        elif not fits and restarts and record.get("previous") == self._before_previous:
            self.problems.append(f"{where}: the line before it was not finished when the relay ended")
        elif not fits:
            self.problems.append(f"{where}: does not follow the line before it: lines were changed, added or removed")

    def _take(self, record: Record) -> None:
        event = record["event"]
        if event == "started":
            self._break_off()
        if event in ("opened", "going-on") and record["id"] not in self.intervals:
            self.intervals[record["id"]] = Interval(record)
            self._open.add(record["id"])
        if event == "closed":
            interval = self.intervals.setdefault(record["id"], Interval(record))
            interval.until, interval.reason = record["until"], record["reason"]
            interval.counts = {name: record[name] for name in COUNTED}
            interval.answered = record["answered"]
            self._open.discard(record["id"])
        if event == "missed":
            self.problems.append(f"{record['records']} records are missing: the disk took none for too long")
        at = record.get("until") or record.get("at") or (record.get("from") if event == "opened" else None)
        self._last_at = max(self._last_at, at or "")

    def _break_off(self) -> None:
        """The relay starts although it never said that it ended."""
        for id_ in self._open:
            interval = self.intervals[id_]
            interval.reason, interval.known_until = "not known: the relay ended without saying so", self._last_at
        if self._open:
            self.problems.append(
                f"the relay ended without saying so after {self._last_at}: {len(self._open)} intervals have no end"
            )
        self._open = set()


def _record(line: bytes) -> Record | None:
    if not line.endswith(b"\n"):
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and "event" in record else None


@dataclass(frozen=True, slots=True)
class Month:
    """A calendar month in UTC."""

    begins: str
    ends: str

    @classmethod
    def of(cls, text: str) -> Month:
        """``2026-11``; raise ``ValueError``."""
        try:
            first = datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)
        except ValueError:
            raise ValueError(f"expected a month such as 2026-11, found {text}") from None
        days = calendar.monthrange(first.year, first.month)[1]
        # Times are RFC 3339 in UTC with one width, so that they compare as text.
        return cls(f"{first:%Y-%m}-01T00:00:00.000Z", f"{first:%Y-%m}-{days}T23:59:59.999Z")

    def holds(self, interval: Interval) -> bool:
        """Whether any of it lies in the month; what has no known end goes on as far as is known."""
        until = interval.until or interval.known_until
        return interval.opening["from"] <= self.ends and until >= self.begins


def report(paths: Iterable[Path], feed: str, month: Month) -> tuple[list[Record], list[str]]:
    """Who received ``feed`` in ``month``, and what is wrong with the logs; raise ``OSError``."""
    reading = Reading()
    for path in paths:
        reading.read(path)
    reading.finish()
    rows = [
        interval.shown(feed)
        for interval in reading.intervals.values()
        if interval.outputs(feed) and month.holds(interval)
    ]
    return sorted(rows, key=lambda row: (row["from"], row["subscriber"])), reading.problems
