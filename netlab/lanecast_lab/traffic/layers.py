"""Scapy layers of the protocols that the lab builds itself, each field as its specification names it."""

from __future__ import annotations

from typing import Any, ClassVar

from scapy.fields import (
    FieldLenField,
    LEIntField,
    LELongField,
    LEShortField,
    LongField,
    PacketListField,
    StrFixedLenField,
    StrLenField,
)
from scapy.packet import Packet

CME_MESSAGE_OVERHEAD = 10
"""MsgSize and the SBE header: what a CME message has besides its body."""


class MoldMessageBlock(Packet):
    """MoldUDP64 1.0, "Message Block": a length and as many bytes."""

    name = "MoldUDP64 message block"
    fields_desc: ClassVar[list[Any]] = [
        FieldLenField("length", None, length_of="data", fmt="!H"),
        StrLenField("data", b"", length_from=lambda block: block.length),
    ]

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes | None]:
        """Nothing of a block is payload: what follows is the next block."""
        return b"", s


class MoldUdp64(Packet):
    """MoldUDP64 1.0, "Downstream Packet"."""

    name = "MoldUDP64"
    fields_desc: ClassVar[list[Any]] = [
        StrFixedLenField("session", b"", 10),
        LongField("sequence_number", 1),
        FieldLenField("message_count", None, count_of="blocks", fmt="!H"),
        PacketListField("blocks", [], MoldMessageBlock, count_from=lambda packet: packet.message_count),
    ]


class CmeMessage(Packet):
    """CME MDP 3.0: the message's size, which counts itself, the SBE header (SBE 1.0, 3.2), and a body."""

    name = "CME MDP 3.0 message"
    fields_desc: ClassVar[list[Any]] = [
        FieldLenField(
            "message_size",
            None,
            length_of="body",
            fmt="<H",
            adjust=lambda _message, length: length + CME_MESSAGE_OVERHEAD,
        ),
        LEShortField("block_length", 11),
        LEShortField("template_id", 46),
        LEShortField("schema_id", 1),
        LEShortField("version", 9),
        StrLenField("body", b"", length_from=lambda message: message.message_size - CME_MESSAGE_OVERHEAD),
    ]

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes | None]:
        """Nothing of a message is payload: what follows is the next message."""
        return b"", s


class CmeMdp3(Packet):
    """CME MDP 3.0, "Binary Packet Header", and the messages of the packet."""

    name = "CME MDP 3.0"
    fields_desc: ClassVar[list[Any]] = [
        LEIntField("sequence_number", 1),
        LELongField("sending_time", 0),
        PacketListField("messages", [], CmeMessage),
    ]
