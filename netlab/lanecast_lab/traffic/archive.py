"""What the exchanges' re-request servers answer from: every message that was due, lost ones included.

It is read from the datagrams that the traffic is made of, by the lab's own reading of the protocol
(``lanecast_lab.traffic.framing``): the servers share nothing with the relay that asks them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from struct import Struct

from lanecast.fabric import Feed
from lanecast_lab.traffic.datagram import TrafficError
from lanecast_lab.traffic.framing import FramingError, Message, messages
from lanecast_lab.traffic.plan import Traffic
from lanecast_relay.config.model import Endpoint

ARCHIVE_MAGIC = b"LCARCH01"
ARCHIVE_ENTRY = Struct("<q10sQH")
"""docs/wire-tool-formats.md: due, session, number, length; the message follows."""


@dataclass(frozen=True, slots=True)
class Served:
    """A re-request server's address and the archive of one channel that it answers from."""

    server: Endpoint
    archive: Path


def write_archives(traffic: Traffic, exchange: str, directory: Path) -> list[Served]:
    """Write the archive of each channel of an exchange that can be asked for again, and return who serves which.

    Raises :class:`TrafficError` when a server would have two channels of one session: a request names no channel.
    """
    served: list[Served] = []
    sessions: dict[tuple[Endpoint, str], str] = {}
    problems = []
    for feed in traffic.fabric.feeds:
        if feed.exchange != exchange or feed.recovery is None:
            continue
        for channel, servers in feed.recovery.servers.items():
            path = directory / f"{feed.name}.{channel}.archive"
            held = _write(traffic, feed, channel, path)
            served += [Served(server, path) for server in servers]
            for server in servers:
                for session in held:
                    owner = sessions.setdefault((server, session), f"{feed.name}, channel {channel}")
                    if owner != f"{feed.name}, channel {channel}":
                        problems.append(
                            f"{feed.name}, channel {channel}: session {session.strip()} at {server} is that of {owner}"
                            " already, and a request names no channel: give one of them another server or port"
                        )
    if problems:
        raise TrafficError(problems)
    return served


def _write(traffic: Traffic, feed: Feed, channel: str, path: Path) -> set[str]:
    """Write one channel's archive; its sessions."""
    start_ns = traffic.schedule_start_ns[feed.exchange]
    written: set[tuple[str, int]] = set()
    with path.open("wb") as file:
        file.write(ARCHIVE_MAGIC)
        for due_ns, message in _messages(traffic, feed, channel):
            if message.number is None or (message.epoch, message.number) in written:
                continue
            written.add((message.epoch, message.number))
            session = message.epoch.encode("latin-1")
            file.write(ARCHIVE_ENTRY.pack(due_ns - start_ns, session, message.number, len(message.body)))
            file.write(message.body)
    return {epoch for epoch, _ in written}


def _messages(traffic: Traffic, feed: Feed, channel: str) -> Iterator[tuple[int, Message]]:
    """Each message as each line had it due, in due order."""
    for one in traffic.transmissions:
        if (one.feed, one.channel) == (feed.name, channel):
            try:
                found = messages(feed.protocol, channel, one.payload)
            except FramingError:
                continue  # a stray datagram of a capture: nobody can ask for what has no number
            for message in found:
                yield one.due_ns, message
