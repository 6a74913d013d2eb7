"""Logging declared losses: the packet path counts them, this tells a person."""

from __future__ import annotations

from typing import Any, Protocol

Key = tuple[str, ...]

STREAM_FIELDS = ("feed", "channel", "stream", "epoch")


class Log(Protocol):
    """The one method of a structlog logger that is needed."""

    def warning(self, event: str, **fields: object) -> object: ...


class LossLog:
    """Logs each range once, from successive snapshots of the counters with their new ranges."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._lost_ranges: dict[Key, int] = {}
        self._limited_ranges: dict[Key, int] = {}

    def update(self, counters: dict[str, Any]) -> None:
        """Log what is new in ``counters``; ranges that were not remembered until now are summed up."""
        seen, self._lost_ranges = self._lost_ranges, {}
        for stream in counters["streams"]:
            key = (stream["feed"], stream["channel"])
            self._lost_ranges[key] = stream["lost_ranges"]
            new = _news(stream["losses"])
            if (unlisted := _since(seen, key, stream["lost_ranges"]) - len(new)) > 0:
                self._log.warning("losses not listed", feed=key[0], channel=key[1], ranges=unlisted)
            for loss in new:
                self._log.warning("lost", feed=key[0], channel=key[1], **loss)
        seen, self._limited_ranges = self._limited_ranges, {}
        for subscriber in counters["subscribers"]:
            name = (subscriber["name"],)
            count = self._limited_ranges[name] = subscriber["limited_ranges"]
            # The sum over a subscriber's outputs falls when one of them is taken away, and tells nothing then.
            self._refused(subscriber, max(0, count - seen.get(name, 0)))

    def _refused(self, subscriber: dict[str, Any], ranges: int) -> None:
        """What limits kept from the subscriber: an event a stream, since there may be hundreds of ranges a second."""
        name, new = subscriber["name"], _news(subscriber["limited"])
        if ranges > len(new):
            self._log.warning("refusals not listed", subscriber=name, ranges=ranges - len(new))
        by_stream: dict[tuple[Any, ...], list[tuple[int, int]]] = {}
        for one in new:
            of = tuple(one[field] for field in STREAM_FIELDS)
            by_stream.setdefault(of, []).append((one["first"], one["last"]))
        for of, refused in by_stream.items():
            about = dict(zip(STREAM_FIELDS, of, strict=True))
            self._log.warning("refused by limit", subscriber=name, **about, ranges=refused)


def _news(ranges: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in one.items() if name != "new"} for one in ranges if one["new"]]


def _since(seen: dict[Key, int], key: Key, count: int) -> int:
    """How many a channel lost since ``seen``; a count that is lower was begun anew."""
    before = seen.get(key, 0)
    return count - before if count >= before else count
