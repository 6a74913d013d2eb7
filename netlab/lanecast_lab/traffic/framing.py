"""What a datagram says, read from the exchanges' own specifications and from nothing of the relay.

The judge stands on this reading, so it must be able to disagree with what it judges (design, decision 19).
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from lanecast_relay.config.model import Protocol

CME_HEADER = Struct("<IQ")
"""CME MDP 3.0, binary packet header: MsgSeqNum 0:4, SendingTime 4:8, little endian."""

CME_FIRST_MESSAGE = Struct("<HHH")
"""MsgSize 12:2 (counts itself), then the SBE header's block length 14:2 and template 16:2."""

CME_HEARTBEAT_TEMPLATE = 12
"""CME MDP 3.0, AdminHeartbeat: it consumes a number, so it is a message as well."""

MOLD_HEADER = Struct("!10sQH")
"""MoldUDP64 1.0, downstream packet: session 0:10, sequence number 10:8, message count 18:2, big endian."""

MOLD_LENGTH = Struct("!H")

MOLD_END_OF_SESSION = 0xFFFF


READABLE = frozenset({Protocol.CME_MDP3, Protocol.MOLDUDP64, Protocol.RAW})
"""What the lab can read, and so can judge and invent. The relay parses more."""


class FramingError(ValueError):
    """A datagram that is not what its feed's protocol says; the text says why."""


class Message(NamedTuple):
    """One sequence number of the exchange (design, decision 1). ``number`` is None where the protocol has none."""

    stream: str
    epoch: str
    number: int | None
    body: bytes


def messages(protocol: Protocol, channel: str, payload: bytes) -> list[Message]:
    """Return the messages of one datagram in order; raise :class:`FramingError` when it is not the protocol's."""
    match protocol:
        case Protocol.CME_MDP3:
            return _cme(channel, payload)
        case Protocol.MOLDUDP64:
            return _mold(channel, payload)
        case Protocol.RAW:
            return [Message(channel, "", None, payload)]
        case _:
            raise FramingError(f"the lab does not read {protocol.value}")


def _cme(channel: str, payload: bytes) -> list[Message]:
    if len(payload) < CME_HEADER.size:
        raise FramingError(f"{len(payload)} bytes are fewer than the header's {CME_HEADER.size}")
    number, _sent = CME_HEADER.unpack_from(payload)
    return [Message(channel, "", number, payload)]


def _mold_header(payload: bytes) -> tuple[str, int, int]:
    if len(payload) < MOLD_HEADER.size:
        raise FramingError(f"{len(payload)} bytes are fewer than the header's {MOLD_HEADER.size}")
    session, number, count = MOLD_HEADER.unpack_from(payload)
    return session.decode("latin-1"), number, count


def _mold(channel: str, payload: bytes) -> list[Message]:
    session, number, count = _mold_header(payload)
    if count == MOLD_END_OF_SESSION:
        count = 0
    found: list[Message] = []
    offset = MOLD_HEADER.size
    for position in range(count):
        if offset + MOLD_LENGTH.size > len(payload):
            raise FramingError(f"it announces {count} messages and ends after {position}")
        (length,) = MOLD_LENGTH.unpack_from(payload, offset)
        offset += MOLD_LENGTH.size
        if offset + length > len(payload):
            raise FramingError(f"message {position + 1} of {count} is cut at {len(payload) - offset} of {length} bytes")
        found.append(Message(channel, session, number + position, payload[offset : offset + length]))
        offset += length
    if offset != len(payload):
        raise FramingError(f"{len(payload) - offset} bytes follow the last of {count} messages")
    return found


def is_heartbeat(protocol: Protocol, payload: bytes) -> bool:
    """Whether the datagram only says that the line lives. CME's consumes a number, MoldUDP64's does not."""
    match protocol:
        case Protocol.CME_MDP3:
            if len(payload) < CME_HEADER.size + CME_FIRST_MESSAGE.size:
                return False
            return bool(CME_FIRST_MESSAGE.unpack_from(payload, CME_HEADER.size)[2] == CME_HEARTBEAT_TEMPLATE)
        case Protocol.MOLDUDP64:
            return len(payload) == MOLD_HEADER.size and MOLD_HEADER.unpack(payload)[2] == 0
        case _:
            return False


def announced_next(protocol: Protocol, payload: bytes) -> tuple[str, int] | None:
    """The (epoch, next number) that a datagram without messages announces; None where it announces nothing."""
    if protocol is not Protocol.MOLDUDP64:
        return None
    session, number, count = _mold_header(payload)
    return (session, number) if count in (0, MOLD_END_OF_SESSION) else None
