"""Writes Lanecast's own relay file from the benchmark's addresses."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from lanecast_bench.addresses import (
    GROUP,
    GROUP_PORT,
    RECEIVER_PORT,
    SECOND_GROUP,
    SECOND_GROUP_PORT,
    SENDER,
    receivers,
)

RECEIVE_BUFFER = "32MiB"
"""What the reference relays with ``-bigbuf`` ask for, so that all have the same queue before them."""

BUSY_WAIT = "300us"

FEED, CHANNEL = "bench", "main"


CONTROL_SOCKET = "control.sock"
SMALL_SEGMENT_MIB = 1
SMALL_JOURNAL = {"segment": f"{SMALL_SEGMENT_MIB}MiB", "size": "64MiB", "queue": "8MiB"}


class Input(StrEnum):
    """What the sender sends."""

    PLAIN = "plain"
    """Datagrams without a framing, on one line, none lost."""
    MOLD = "mold"
    """MoldUDP64, one message a datagram, on one line, none lost."""
    LINES = "lines"
    """The same on two lines, each with its own loss; together they are complete."""


@dataclass(frozen=True, slots=True)
class RelayOptions:
    """Which of the relay's options a variant switches on; what is off is left out of the file."""

    kernel_fan_out: bool = False
    mold_delivery: bool = False
    journal: bool = False
    small_journal: bool = False
    """Of segments of :data:`SMALL_SEGMENT_MIB`, and with little memory of its own."""
    busy_wait: bool = False
    io_uring: bool = True


def relay_document(fanout: int, input_kind: Input, options: RelayOptions, folder: Path) -> dict[str, Any]:
    """The file's content: one feed with the input's lines, ``fanout`` subscribers."""
    groups = {"A": f"{GROUP}:{GROUP_PORT}"}
    if input_kind is Input.LINES:
        groups["B"] = f"{SECOND_GROUP}:{SECOND_GROUP_PORT}"
    lines = {
        line: {"multicast": {"source": SENDER, "interface": "from-sender", "groups": {CHANNEL: group}}}
        for line, group in groups.items()
    }
    feed = {"protocol": "raw" if input_kind is Input.PLAIN else "moldudp64", "lines": lines}
    delivery = {"delivery": "mold"} if options.mold_delivery else {}
    document: dict[str, Any] = {
        "lanecast-relay": 1,
        "name": "bench",
        "receive-buffer": RECEIVE_BUFFER,
        "feeds": {FEED: feed},
        "subscribers": {
            f"receiver-{index}": {"feeds": {FEED: {CHANNEL: f"{address}:{RECEIVER_PORT}"}}, **delivery}
            for index, address in enumerate(receivers(fanout))
        },
    }
    if options.busy_wait:
        document["busy-wait"] = BUSY_WAIT
    if not options.io_uring:
        document["fan-out"] = "sockets"
    if options.kernel_fan_out:
        document["fan-out"] = "kernel"
    if options.journal:
        document["journal"] = {"directory": str(folder / "journal")}
    if options.small_journal:
        document["journal"] |= SMALL_JOURNAL
        document["control-socket"] = str(folder / CONTROL_SOCKET)
    return document


def write_relay_file(fanout: int, input_kind: Input, options: RelayOptions, folder: Path) -> Path:
    """Write the file into ``folder`` and return its path; a journal's directory is made beside it."""
    if options.journal:
        (folder / "journal").mkdir(exist_ok=True)
    path = folder / "relay.yaml"
    path.write_text(yaml.safe_dump(relay_document(fanout, input_kind, options, folder), sort_keys=False))
    return path
