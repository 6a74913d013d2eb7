"""Logging declared losses: the packet path counts them, this tells a person."""

from __future__ import annotations

from typing import Any, Protocol


class Log(Protocol):
    """The one method of a structlog logger that is needed."""

    def warning(self, event: str, **fields: object) -> object: ...


class LossLog:
    """Logs each loss once, from successive snapshots of the counters."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._seen: dict[tuple[str, str], int] = {}
        self._refused_seen: dict[str, int] = {}

    def update(self, counters: dict[str, Any]) -> None:
        """Log what was declared lost since the last call; ranges that are no longer remembered are summed up."""
        for stream in counters["streams"]:
            key = (stream["feed"], stream["channel"])
            new = stream["lost_ranges"] - self._seen.get(key, 0)
            self._seen[key] = stream["lost_ranges"]
            if not new:
                continue
            kept = stream["losses"][-new:]
            if len(kept) < new:
                self._log.warning("losses not listed", feed=key[0], channel=key[1], ranges=new - len(kept))
            for loss in kept:
                self._log.warning("lost", feed=key[0], channel=key[1], **loss)
        for subscriber in counters["subscribers"]:
            self._refused(subscriber)

    def _refused(self, subscriber: dict[str, Any]) -> None:
        """What a limit kept from the subscriber since the last call."""
        name = subscriber["name"]
        new = subscriber["limited_messages"] - self._refused_seen.get(name, 0)
        self._refused_seen[name] = subscriber["limited_messages"]
        if new > 0:
            last = subscriber["limited"][-1]
            self._log.warning("refused by limit", subscriber=name, messages=new, last_range=last)
