"""The relay's configuration file as a typed model; the one home of its fields, names and defaults.

A file is YAML, strict (an unknown key is an error), with ``lanecast-relay: 1`` at the top. ``README.md`` of this folder
shows a whole one. Everything here is pure Python, so that the plan's compiler can build the same model.
"""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Address
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    Field,
    StringConstraints,
    model_validator,
)

from lanecast_relay.config.defaults import DEFAULT_HOLE_WAIT_NS as DEFAULT_HOLE_WAIT_NS
from lanecast_relay.config.defaults import DEFAULT_RECOVERY_WAIT_NS as DEFAULT_RECOVERY_WAIT_NS
from lanecast_relay.config.defaults import RECOVERY_LINE as RECOVERY_LINE
from lanecast_relay.config.fields import Channel as Channel
from lanecast_relay.config.fields import Endpoint as Endpoint
from lanecast_relay.config.fields import EndpointText as EndpointText
from lanecast_relay.config.fields import LineName as LineName
from lanecast_relay.config.fields import Name as Name
from lanecast_relay.config.fields import Strict as Strict
from lanecast_relay.config.leases import Api, Audit
from lanecast_relay.config.quantity import (
    BitsPerSecond,
    DurationNs,
    PacketsPerSecond,
    SizeBytes,
    nanoseconds,
    size_in_bytes,
)

DEFAULT_RECOVERY_RETRY_NS = 20_000_000
"""How long the first answer is waited for; each further one twice as long."""

DEFAULT_MEMORY_BYTES = 64 * 2**20
"""How much of what left a channel keeps for subscribers that ask again."""

DEFAULT_ANSWERS_PPS = 1000
"""How many answers to re-requests a subscriber's address gets in a second."""

DEFAULT_PAYLOAD_BYTES = 1472
"""UDP payload that fits an Ethernet frame: 1500 less the IPv4 header's 20 and UDP's 8."""

LEAST_PAYLOAD_BYTES = 548
"""What every IPv4 host takes unfragmented (RFC 791, section 3.1: 576), less the headers' 28."""

MOST_PAYLOAD_BYTES = 65_507
"""The largest UDP payload over IPv4 (RFC 768, RFC 791)."""

DEFAULT_HELD_BYTES = 16 * 2**20
"""How many bytes one stream may hold while it waits for a hole to close."""

DEFAULT_RECEIVE_BUFFER_BYTES = 8 * 2**20

DEFAULT_JOURNAL_KEEP_NS = 15 * 60 * 10**9
DEFAULT_JOURNAL_BYTES = 10 * 2**30
DEFAULT_JOURNAL_SEGMENT_BYTES = 64 * 2**20
DEFAULT_JOURNAL_SYNC_NS = 100_000_000
DEFAULT_JOURNAL_QUEUE_BYTES = 64 * 2**20

JOURNAL_SEGMENTS = 4
"""How many segments a journal has room for at least: a whole one goes at a time."""

INTERFACE_NAME_CHARACTERS = 15
"""Linux: IFNAMSIZ is 16 bytes with the closing zero (include/uapi/linux/if.h)."""


class Protocol(StrEnum):
    """The framings that the native core parses; a test pins these names to the core's own table."""

    CME_MDP3 = "cme-mdp3"
    CSM = "csm"
    DERIBIT = "deribit"
    EOBI = "eobi"
    FLEX = "flex"
    IEX_TP = "iex-tp"
    IMPACT = "impact"
    MACH = "mach"
    MEMX_UDP = "memx-udp"
    MITCH = "mitch"
    MOLDUDP64 = "moldudp64"
    OMD = "omd"
    OPTIQ = "optiq"
    PITCH = "pitch"
    RAW = "raw"
    UMDF = "umdf"
    XDP = "xdp"


InterfaceName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@-]*$", max_length=INTERFACE_NAME_CHARACTERS)
]


class MulticastLine(Strict):
    """One redundant copy of a feed, joined source-specifically (RFC 4604, IGMPv3) on one interface."""

    source: IPv4Address
    interface: InterfaceName
    groups: dict[Channel, EndpointText] = Field(min_length=1)

    @model_validator(mode="after")
    def _groups_are_multicast(self) -> MulticastLine:
        wrong = [str(group) for group in self.groups.values() if not group.address.is_multicast]
        if wrong:
            raise ValueError(f"groups outside 224.0.0.0/4: {', '.join(wrong)}")
        return self


class UnicastLine(Strict):
    """A line that arrives as unicast, for instance from another relay: the addresses to listen on, by channel."""

    listen: dict[Channel, EndpointText] = Field(min_length=1)
    source: IPv4Address | None = None
    """Only datagrams from this address are taken; others count as filtered. None takes them from anywhere."""


class Line(Strict):
    """Exactly one of ``multicast`` and ``unicast``."""

    multicast: MulticastLine | None = None
    unicast: UnicastLine | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Line:
        if (self.multicast is None) == (self.unicast is None):
            raise ValueError("expected exactly one of multicast and unicast")
        return self

    @property
    def endpoints(self) -> dict[str, Endpoint]:
        """What the line's sockets bind to, by channel."""
        if self.multicast is not None:
            return self.multicast.groups
        assert self.unicast is not None  # by _exactly_one
        return self.unicast.listen


class Recovery(Strict):
    """Who is asked for messages that no line brought, before they are given up (MoldUDP64 1.0, Request Packet)."""

    servers: dict[Channel, list[EndpointText]] = Field(min_length=1)
    """By channel: asked in turn, so that one that does not answer is followed by another."""
    wait_ns: DurationNs = nanoseconds(DEFAULT_RECOVERY_WAIT_NS)
    retry_ns: DurationNs = nanoseconds(DEFAULT_RECOVERY_RETRY_NS)


class ReRequests(Strict):
    """Where subscribers ask the relay for what they missed (MoldUDP64 1.0, Request Packet)."""

    listen: dict[Channel, EndpointText] = Field(min_length=1)
    memory_bytes: SizeBytes = size_in_bytes(DEFAULT_MEMORY_BYTES)
    """For each channel."""
    answers_pps: PacketsPerSecond = nanoseconds(DEFAULT_ANSWERS_PPS)
    """For each address that a subscriber has."""


class Feed(Strict):
    """One feed: its framing, its lines, how long a hole may wait, who is asked for it then, who may ask the relay."""

    protocol: Protocol
    hole_wait_ns: DurationNs = nanoseconds(DEFAULT_HOLE_WAIT_NS)
    recovery: Recovery | None = None
    re_requests: ReRequests | None = None
    payload_bytes: SizeBytes = size_in_bytes(DEFAULT_PAYLOAD_BYTES)
    """The most UDP payload of what the relay packs itself: `mold` delivery, and answers."""
    held_bytes: SizeBytes = size_in_bytes(DEFAULT_HELD_BYTES)
    lines: dict[LineName, Line] = Field(min_length=1)

    @model_validator(mode="after")
    def _lines_pair_up(self) -> Feed:
        if self.protocol is Protocol.RAW and len(self.lines) > 1:
            raise ValueError("raw has no sequence numbers, so its lines cannot be arbitrated: give it one line")
        first_name, first = next(iter(self.lines.items()))
        for name, line in self.lines.items():
            if set(line.endpoints) != set(first.endpoints):
                raise ValueError(
                    f"lines {first_name} and {name} name different channels:"
                    f" {', '.join(sorted(set(line.endpoints) ^ set(first.endpoints)))} stand in only one of them"
                )
        return self

    @model_validator(mode="after")
    def _can_answer(self) -> Feed:
        if not LEAST_PAYLOAD_BYTES <= self.payload_bytes <= MOST_PAYLOAD_BYTES:
            raise ValueError(f"payload: expected {LEAST_PAYLOAD_BYTES}B to {MOST_PAYLOAD_BYTES}B of UDP payload")
        if self.re_requests is None:
            return self
        if self.protocol is Protocol.RAW:
            raise ValueError("re-requests: raw has no sequence numbers, so nothing can be asked for again")
        odd = sorted(set(self.re_requests.listen) ^ set(self.channels))
        if odd:
            raise ValueError(f"re-requests.listen: its channels are not those of the lines: {', '.join(odd)}")
        if not self.re_requests.answers_pps:
            raise ValueError("re-requests.answers: 0 answers nobody; leave re-requests out instead")
        return self

    @model_validator(mode="after")
    def _can_be_recovered(self) -> Feed:
        if self.recovery is None:
            return self
        if self.protocol is not Protocol.MOLDUDP64:
            raise ValueError(f"recovery: {self.protocol.value} has no requests over UDP; moldudp64 has")
        if RECOVERY_LINE in self.lines:
            raise ValueError(
                f"recovery: the counters call its answers line {RECOVERY_LINE}; give that line another name"
            )
        odd = sorted(set(self.recovery.servers) ^ set(self.channels))
        if odd:
            raise ValueError(f"recovery.servers: its channels are not those of the lines: {', '.join(odd)}")
        unanswered = sorted(channel for channel, servers in self.recovery.servers.items() if not servers)
        if unanswered:
            raise ValueError(f"recovery.servers: no server for {', '.join(unanswered)}")
        return self

    @property
    def channels(self) -> tuple[str, ...]:
        """The feed's channels, the same on every line."""
        return tuple(next(iter(self.lines.values())).endpoints)


class Delivery(StrEnum):
    """In which form a subscriber gets a feed (design, decision 2)."""

    NATIVE = "native"
    """The exchange's datagrams unchanged."""
    MOLD = "mold"
    """Packed anew into the relay's own MoldUDP64 session, with the exchange's numbers."""


class Limit(Strict):
    """What a subscriber gets of a feed at most; the excess is refused, declared and counted."""

    rate_pps: PacketsPerSecond | None = None
    bandwidth_bps: BitsPerSecond | None = None
    """Of UDP payload."""

    @model_validator(mode="after")
    def _limits_something(self) -> Limit:
        if not self.rate_pps and not self.bandwidth_bps:
            raise ValueError("expected a rate, a bandwidth or both, such as {rate: 5000 pps, bandwidth: 20M}")
        if self.rate_pps == 0 or self.bandwidth_bps == 0:
            raise ValueError("a limit of 0 lets nothing through: take the feed away from the subscriber instead")
        return self


def _within(lowest: int, highest: int, text: str) -> AfterValidator:
    def check(value: int) -> int:
        if not lowest <= value <= highest:
            raise ValueError(f"expected {text}")
        return value

    return AfterValidator(check)


JournalKeepNs = Annotated[DurationNs, _within(10**9, 366 * 86400 * 10**9, "from 1s to 8784h")]


class Journal(Strict):
    """Where the datagrams of all lines are kept as they came, for how long, and how much of the disk they may take."""

    directory: Annotated[str, StringConstraints(pattern=r"^/.*[^/].*$")]
    """Made when it is missing; no other relay's."""
    keep_ns: JournalKeepNs = nanoseconds(DEFAULT_JOURNAL_KEEP_NS)
    """What is older goes."""
    size_bytes: SizeBytes = size_in_bytes(DEFAULT_JOURNAL_BYTES)
    """What all of it may take, indexes included."""
    segment_bytes: Annotated[SizeBytes, _within(2**20, 4 * 2**30, "from 1MiB to 4GiB")] = size_in_bytes(
        DEFAULT_JOURNAL_SEGMENT_BYTES
    )
    sync_ns: Annotated[DurationNs, _within(10**6, 60 * 10**9, "from 1ms to 60s")] = nanoseconds(DEFAULT_JOURNAL_SYNC_NS)
    """How often it is brought to the disk; a crash costs at most so much."""
    queue_bytes: Annotated[SizeBytes, _within(2**20, 4 * 2**30, "from 1MiB to 4GiB")] = size_in_bytes(
        DEFAULT_JOURNAL_QUEUE_BYTES
    )
    """How much may wait in memory for a slow disk; beyond that datagrams are not recorded, and counted."""

    @model_validator(mode="after")
    def _holds_segments(self) -> Journal:
        if self.size_bytes < JOURNAL_SEGMENTS * self.segment_bytes:
            raise ValueError(f"size: expected room for {JOURNAL_SEGMENTS} segments; enlarge size, or lower segment")
        return self


class Subscriber(Strict):
    """Who receives: for each feed, the address and port of each channel."""

    feeds: dict[Name, dict[Channel, EndpointText]] = Field(min_length=1)
    delivery: Delivery = Delivery.NATIVE
    limits: dict[Name, Limit] = Field(default_factory=dict)
    """By feed."""


class FanOut(StrEnum):
    """How a datagram gets to many subscribers."""

    SOCKETS = "sockets"
    """A system call for each."""
    IO_URING = "io-uring"
    """The sends to many in one system call; where the system forbids that, as ``sockets``."""
    KERNEL = "kernel"
    """One send, cloned by a program in the kernel; needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON."""


class RelayFile(Strict):
    """The whole file. ``control_socket`` is a Unix stream socket that answers with the counters as JSON."""

    version: Literal[1] = Field(
        validation_alias=AliasChoices("lanecast-relay", "version"), serialization_alias="lanecast-relay"
    )
    name: Name
    control_socket: str | None = None
    metrics: EndpointText | None = None
    """Where Prometheus finds the counters by HTTP; None: nowhere."""
    receive_buffer_bytes: SizeBytes = size_in_bytes(DEFAULT_RECEIVE_BUFFER_BYTES)
    busy_wait_ns: Annotated[DurationNs, _within(0, 10**7, "from 0ms to 10ms")] = nanoseconds(0)
    """How long the packet path asks for more before it sleeps: a processor, for the time that waking up takes."""
    fan_out: FanOut = FanOut.IO_URING
    journal: Journal | None = None
    api: Api | None = None
    audit: Audit | None = None
    feeds: dict[Name, Feed] = Field(min_length=1)
    subscribers: dict[Name, Subscriber] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_exist(self) -> RelayFile:
        for subscriber_name, subscriber in self.subscribers.items():
            for feed_name, channels in subscriber.feeds.items():
                feed = self.feeds.get(feed_name)
                if feed is None:
                    raise ValueError(f"subscribers.{subscriber_name}.feeds: no feed is called {feed_name}")
                unknown = sorted(set(channels) - set(feed.channels))
                if unknown:
                    raise ValueError(
                        f"subscribers.{subscriber_name}.feeds.{feed_name}: unknown channels {', '.join(unknown)}"
                    )
                if feed.protocol is Protocol.RAW and subscriber.delivery is Delivery.MOLD:
                    raise ValueError(
                        f"subscribers.{subscriber_name}.delivery: feed {feed_name} is raw, which has no numbers"
                        " to pack anew by: take native"
                    )
        return self

    @model_validator(mode="after")
    def _leases_are_recorded(self) -> RelayFile:
        if self.api is not None and self.audit is None:
            raise ValueError("api: leases are given only where they are recorded; add audit: {log: FILE}")
        return self

    @model_validator(mode="after")
    def _limits_can_be_told(self) -> RelayFile:
        for name, subscriber in self.subscribers.items():
            for feed_name in subscriber.limits:
                if feed_name not in subscriber.feeds:
                    raise ValueError(f"subscribers.{name}.limits: the subscriber does not get {feed_name}")
                if self.feeds[feed_name].protocol is Protocol.RAW:
                    raise ValueError(
                        f"subscribers.{name}.limits.{feed_name}: raw has no sequence numbers, so nobody could be told"
                        " what a limit kept back; limits are for feeds with numbers"
                    )
        return self

    def document(self) -> dict[str, Any]:
        """Return the file's content as plain values, defaults included, in a stable order."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
