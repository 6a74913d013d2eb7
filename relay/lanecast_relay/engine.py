"""From a relay's file to the native engine: the only module that imports it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from enum import StrEnum
from types import TracebackType
from typing import Any, Self, TypedDict

from lanecast_relay import _core
from lanecast_relay.config.model import FanOut, Feed, Journal, Line, Recovery, RelayFile, ReRequests, Subscriber
from lanecast_relay.positions import Position

Counters = dict[str, Any]
"""What :meth:`Engine.counters` returns; ``core/edge/src/snapshot.rs`` names the fields."""


class Ranges(StrEnum):
    """Which ranges of lost and refused numbers come with the counters; there may be many."""

    NONE = "none"
    NEW = "new"
    """For the log alone: what it was told once is new no more."""
    ALL = "all"


def engine_configuration(
    relay: RelayFile, cpu: int | None = None, positions: Sequence[Position] = ()
) -> dict[str, Any]:
    """Return what the native engine is told: every default filled in, order fixed, durations in nanoseconds.

    ``positions`` are where streams were when they were last heard of.
    """
    configuration: dict[str, Any] = {
        "name": relay.name,
        "receive_buffer_bytes": int(relay.receive_buffer_bytes),
        "cpu": cpu,
        "busy_wait_ns": int(relay.busy_wait_ns),
        "fan_out": relay.fan_out.value,
        "feeds": [_feed(name, feed) for name, feed in relay.feeds.items()],
        "subscribers": [_subscriber(name, subscriber) for name, subscriber in relay.subscribers.items()],
        "positions": list(positions),
    }
    if relay.journal is not None:
        configuration["journal"] = _journal(relay.journal)
    return configuration


def _journal(journal: Journal) -> dict[str, Any]:
    return {
        "directory": journal.directory,
        "max_bytes": int(journal.size_bytes),
        "max_age_ns": int(journal.keep_ns),
        "segment_bytes": int(journal.segment_bytes),
        "sync_interval_ns": int(journal.sync_ns),
        "queue_bytes": int(journal.queue_bytes),
    }


def _feed(name: str, feed: Feed) -> dict[str, Any]:
    return {
        "name": name,
        "protocol": feed.protocol.value,
        "hole_wait_ns": int(feed.hole_wait_ns),
        "held_bytes": int(feed.held_bytes),
        "payload_bytes": int(feed.payload_bytes),
        "channels": list(feed.channels),
        "lines": [_line(line_name, line, feed.channels) for line_name, line in feed.lines.items()],
        "recovery": None if feed.recovery is None else _recovery(feed.recovery, feed.channels),
        "re_requests": None if feed.re_requests is None else _re_requests(feed.re_requests, feed.channels),
    }


def _re_requests(re_requests: ReRequests, channels: tuple[str, ...]) -> dict[str, Any]:
    return {
        "listen": [str(re_requests.listen[channel]) for channel in channels],
        "memory_bytes": int(re_requests.memory_bytes),
        "answers_per_second": int(re_requests.answers_pps),
    }


def _recovery(recovery: Recovery, channels: tuple[str, ...]) -> dict[str, Any]:
    return {
        "wait_ns": int(recovery.wait_ns),
        "retry_ns": int(recovery.retry_ns),
        "servers": [[str(server) for server in recovery.servers[channel]] for channel in channels],
    }


def _line(name: str, line: Line, channels: tuple[str, ...]) -> dict[str, Any]:
    multicast, unicast = line.multicast, line.unicast
    source = multicast.source if multicast is not None else unicast.source if unicast is not None else None
    return {
        "name": name,
        "source": None if source is None else str(source),
        "interface": None if multicast is None else multicast.interface,
        "endpoints": [str(line.endpoints[channel]) for channel in channels],
    }


def _subscriber(name: str, subscriber: Subscriber) -> dict[str, Any]:
    outputs = [
        {"feed": feed, "channel": channel, "to": str(endpoint)}
        for feed, channels in subscriber.feeds.items()
        for channel, endpoint in channels.items()
    ]
    limits = [
        {"feed": feed, "datagrams_per_second": limit.rate_pps, "bits_per_second": limit.bandwidth_bps}
        for feed, limit in subscriber.limits.items()
    ]
    return {"name": name, "delivery": subscriber.delivery.value, "outputs": outputs, "limits": limits}


class Change(TypedDict):
    """One thing that a reload changed; ``core/edge/src/opened.rs`` names the values."""

    what: str
    name: str
    change: str


class Reloaded(TypedDict):
    """What a reload did: the changes, and the last counters of subscribers' outputs that were taken away."""

    changes: list[Change]
    ended: list[Counters]


class Engine:
    """A relay's engine; as a context it is running inside and drained after."""

    def __init__(
        self, relay: RelayFile, cpu: int | None = None, positions: Callable[[], Sequence[Position]] = tuple
    ) -> None:
        self._core = _core.Engine(json.dumps(engine_configuration(relay, cpu, positions())))
        self._relay = relay
        self._positions = positions

    def start(self) -> None:
        """Open and join everything; raise ``OSError`` that names the line, the interface and the errno."""
        self._core.start()

    def reload(self, relay: RelayFile, cpu: int | None = None) -> Reloaded:
        """Go on with ``relay``: the difference is applied between two batches, nothing is lost or sent twice.

        Raises ``OSError`` that names the socket that cannot be had; then nothing has changed.
        """
        configuration = engine_configuration(relay, cpu, self._positions())
        reloaded: Reloaded = json.loads(self._core.reload(json.dumps(configuration)))
        self._relay = relay
        return reloaded

    def fans_out_in_kernel(self) -> bool:
        """Return whether fan-out in the kernel was asked for and could be had."""
        return bool(self.counters()["fan_out"]["used"] == FanOut.KERNEL.value)

    def destinations(self) -> set[str]:
        """Return the addresses that subscribers have now."""
        subscribers = self._relay.subscribers.values()
        outputs = (channels.values() for subscriber in subscribers for channels in subscriber.feeds.values())
        return {str(endpoint.address) for channels in outputs for endpoint in channels}

    def set_ways(self, ways_json: str) -> None:
        """Tell how frames reach the destinations; see :mod:`lanecast_relay.ways`."""
        self._core.set_ways(ways_json)

    def stop(self) -> None:
        """Drain: what is in hold leaves, holes are declared, sockets are closed. The counters stay readable."""
        self._core.stop()

    def counters(self, ranges: Ranges = Ranges.NONE) -> Counters:
        """Return every counter, taken between two batches, so that the sums hold; after the end, the last ones."""
        counters: Counters = json.loads(self._core.counters(ranges.value))
        return counters

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
