"""What each stream's subscribers are to receive: every message that the source had due on any line.

Messages that the egress lost on every line are expected too; that they were never sent is kept beside them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from lanecast.fabric import Feed
from lanecast_lab.judge.answers import Answer, answered_numbers
from lanecast_lab.judge.model import Range
from lanecast_lab.traffic.framing import FramingError, Message, announced_next, messages
from lanecast_lab.traffic.plan import Traffic, Transmission
from lanecast_relay.config.model import Protocol

Key = tuple[str, int]
"""An epoch and a number; unsequenced messages are numbered from 1 in due order."""


@dataclass(slots=True)
class Due:
    """One message that the source had due. Lines are bits, in the feed's order."""

    key: Key
    body: bytes
    due_ns: int
    """First due time on any line, lost or not, CLOCK_REALTIME."""
    lines_sent: int = 0


@dataclass(slots=True)
class Stream:
    """All due messages of one stream in the order in which they are to arrive."""

    feed: Feed
    name: str
    due: list[Due] = field(default_factory=list)
    position: dict[Key, int] = field(default_factory=dict)
    by_body: dict[bytes, list[int]] = field(default_factory=dict)
    """Positions by content, for protocols without numbers."""
    announced: set[Key] = field(default_factory=set)
    """What the source's own heartbeats announce."""

    @property
    def sequenced(self) -> bool:
        """Whether the protocol numbers its messages."""
        return self.feed.protocol is not Protocol.RAW

    def only_on(self) -> dict[str, int]:
        """How many messages were sent on each line alone."""
        return {
            line.name: sum(1 for due in self.due if due.lines_sent == 1 << bit)
            for bit, line in enumerate(self.feed.lines)
        }

    def ranges(self, positions: Iterable[int], wanted: Callable[[Due], bool]) -> tuple[Range, ...]:
        """The numbers at ``positions``, which ascend, for which ``wanted`` holds, as ranges."""
        found: list[Range] = []
        for at in positions:
            due = self.due[at]
            if not wanted(due):
                continue
            epoch, number = due.key
            if found and found[-1].epoch == epoch and found[-1].last + 1 == number:
                found[-1] = Range(epoch, found[-1].first, number)
            else:
                found.append(Range(epoch, number, number))
        return tuple(found)

    def announces_rightly(self, payload: bytes) -> bool:
        """Whether a datagram without messages announces a number that this stream comes to."""
        announced = announced_next(self.feed.protocol, payload)
        if announced is None or announced in self.announced:
            return True
        epoch, number = announced
        return (epoch, number) in self.position or (epoch, number - 1) in self.position


class Expectation:
    """Every stream of a run, by feed and channel."""

    def __init__(
        self, traffic: Traffic, started_ns: dict[str, int], answers: Mapping[str, list[Answer]] | None = None
    ) -> None:
        self._traffic = traffic
        self._feeds = {feed.name: feed for feed in traffic.fabric.feeds}
        self._bits = {
            (feed.name, line.name): 1 << at for feed in self._feeds.values() for at, line in enumerate(feed.lines)
        }
        self._origin = {
            feed.name: started_ns[feed.exchange] - traffic.schedule_start_ns[feed.exchange]
            for feed in self._feeds.values()
        }
        self.streams = {
            (feed.name, channel): Stream(feed, channel) for feed in self._feeds.values() for channel in feed.channels
        }
        self.answered = {
            (feed.name, channel): answered_numbers((answers or {}).get(feed.exchange, []), servers)
            for feed in self._feeds.values()
            for channel, servers in (feed.recovery.servers if feed.recovery else {}).items()
        }
        """By stream: what re-request servers said again."""
        self._collect()
        self._by_payload: dict[bytes, str] | None = None

    def _collect(self) -> None:
        parsed: dict[tuple[str, int], list[Message]] = {}  # the lines of a feed share their payload objects
        unnumbered: dict[tuple[str, str, str], int] = defaultdict(int)
        for one in self._traffic.transmissions:
            stream = self.streams[one.feed, one.channel]
            found = parsed.get((one.feed, id(one.payload)))
            if found is None:
                found = parsed[one.feed, id(one.payload)] = _readable(stream, one)
            for message in found:
                number = message.number
                if number is None:
                    number = unnumbered[one.feed, one.channel, one.line] = (
                        unnumbered[one.feed, one.channel, one.line] + 1
                    )
                self._add(stream, one, (message.epoch, number), message.body)
        for stream in self.streams.values():
            _sort(stream)

    def _add(self, stream: Stream, one: Transmission, key: Key, body: bytes) -> None:
        at = stream.position.get(key)
        if at is None:
            at = stream.position[key] = len(stream.due)
            stream.due.append(Due(key, body, self._origin[one.feed] + one.due_ns))
        if not one.lost:
            stream.due[at].lines_sent |= self._bits[one.feed, one.line]

    def owner(self, message: Message, protocol: Protocol) -> str | None:
        """The stream of any feed that has just this message; None when no one does."""
        for (feed, channel), stream in self.streams.items():
            if stream.feed.protocol is not protocol:
                continue
            if message.number is None:
                known = message.body in stream.by_body
            else:
                at = stream.position.get((message.epoch, message.number))
                known = at is not None and stream.due[at].body == message.body
            if known:
                return f"{feed}, channel {channel}"
        return None

    def describe(self, payload: bytes) -> str:
        """Whose datagram this is, as far as the source's record tells."""
        if self._by_payload is None:
            self._by_payload = {
                one.payload: f"{one.feed}, channel {one.channel}" for one in self._traffic.transmissions
            }
        owner = self._by_payload.get(payload)
        for protocol in () if owner else Protocol:
            try:
                found = messages(protocol, "", payload)
            except FramingError:
                continue
            owner = owner or (self.owner(found[0], protocol) if found else None)
        return f"a datagram of {owner}" if owner else "a datagram that no feed had due"


def _readable(stream: Stream, one: Transmission) -> list[Message]:
    """A datagram's messages; none when it is not the protocol's, since no relay has to pass it on."""
    try:
        found = messages(stream.feed.protocol, one.channel, one.payload)
        announced = None if found else announced_next(stream.feed.protocol, one.payload)
    except FramingError:
        return []
    if announced is not None:
        stream.announced.add(announced)
    return found


def _sort(stream: Stream) -> None:
    """Bring a stream into the exchange's order: epochs as they began, numbers ascending."""
    epochs: dict[str, int] = {}
    for due in stream.due:
        epochs.setdefault(due.key[0], len(epochs))
    stream.due.sort(key=lambda due: (epochs[due.key[0]], due.key[1]))
    stream.position = {due.key: at for at, due in enumerate(stream.due)}
    if not stream.sequenced:
        for at, due in enumerate(stream.due):
            stream.by_body.setdefault(due.body, []).append(at)
