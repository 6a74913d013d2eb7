"""Deletes and counts entries of a namespace's connection tracking by their mark, over netlink.

A translation holds for a flow as long as conntrack remembers it, whatever the rules say by then. Rules therefore mark
the flows that they translate, and whoever takes a rule away deletes what bears its mark.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections import Counter
from collections.abc import Iterable, Iterator

from lanecast_lab.cloud.data_plane.inside import run_inside

NETLINK_NETFILTER = 12
"""include/uapi/linux/netlink.h; so for the figures below."""

NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 1, 4, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3
GET, DELETE = (1 << 8) | 1, (1 << 8) | 2
"""NFNL_SUBSYS_CTNETLINK with IPCTNL_MSG_CT_GET and IPCTNL_MSG_CT_DELETE (nfnetlink.h, nfnetlink_conntrack.h)."""

CTA_PROTOINFO, CTA_MARK, CTA_MARK_MASK = 4, 8, 21
"""nfnetlink_conntrack.h: a deletion without a tuple removes all entries whose mark fits."""

CTA_PROTOINFO_TCP, CTA_PROTOINFO_TCP_STATE = 1, 1
TCP_CONNTRACK_ESTABLISHED = 3
"""nf_conntrack_tcp.h: the states up to this one are those of a connection that begins or lasts."""

ATTRIBUTE = struct.Struct("=HH")
KIND_OF_ATTRIBUTE = 0x3FFF

WHOLE_MARK = 0xFFFFFFFF
HEADER = struct.Struct("=IHHII")
FAMILY = struct.pack("=BBH", socket.AF_INET, 0, 0)
ANSWER_BYTES = 1 << 16


def forget_marked_in(pid: int, marks: Iterable[int]) -> None:
    """Delete the entries with these marks in the network namespace of a process. Raises :class:`OSError`."""
    wanted = sorted(marks)
    if wanted:
        run_inside(pid, lambda: forget_marked(wanted))


def forget_marked(marks: Iterable[int]) -> None:
    """The same in the calling thread's own namespace."""
    with _netlink() as netlink:
        for mark in marks:
            netlink.send(deletion(mark))
            number = _answered(netlink.recv(ANSWER_BYTES))
            if number not in (0, errno.ENOENT):
                raise OSError(number, f"conntrack entries with mark {mark:#x}: {os.strerror(number)}")


def deletion(mark: int) -> bytes:
    """The request to delete all IPv4 entries with a mark."""
    return _request(DELETE, NLM_F_ACK, _attribute(CTA_MARK, mark) + _attribute(CTA_MARK_MASK, WHOLE_MARK))


def _request(kind: int, flags: int, attributes: bytes = b"") -> bytes:
    body = FAMILY + attributes
    return HEADER.pack(HEADER.size + len(body), kind, NLM_F_REQUEST | flags, 1, 0) + body


def _netlink() -> socket.socket:
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER)
    made.bind((0, 0))
    return made


def _attribute(kind: int, value: int) -> bytes:
    return ATTRIBUTE.pack(ATTRIBUTE.size + 4, kind) + struct.pack(">I", value)


def _answered(answer: bytes) -> int:
    """The error number of an acknowledgement; 0 when it was done."""
    _, kind, *_ = HEADER.unpack_from(answer)
    if kind != NLMSG_ERROR:
        raise OSError(errno.EPROTO, f"netlink answered a deletion with a message of type {kind}")
    number: int = struct.unpack_from("=i", answer, HEADER.size)[0]
    return -number


def lasting_flows() -> Counter[int]:
    """How many flows of each mark the calling thread's namespace knows, without connections that are being closed."""
    found: Counter[int] = Counter()
    with _netlink() as netlink:
        netlink.send(_request(GET, NLM_F_DUMP))
        while True:
            for kind, body in _messages(netlink.recv(ANSWER_BYTES)):
                if kind == NLMSG_DONE:
                    return found
                if kind == NLMSG_ERROR:
                    number = -int(struct.unpack_from("=i", body)[0])
                    raise OSError(number, f"conntrack entries: {os.strerror(number)}")
                attributes = _attributes(body[len(FAMILY) :])
                if _lasts(attributes.get(CTA_PROTOINFO, b"")):
                    found[struct.unpack(">I", attributes.get(CTA_MARK, bytes(4)))[0]] += 1


def _messages(answer: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset < len(answer):
        length, kind, *_ = HEADER.unpack_from(answer, offset)
        yield kind, answer[offset + HEADER.size : offset + length]
        offset += _aligned(length)


def _attributes(body: bytes) -> dict[int, bytes]:
    found, offset = {}, 0
    while offset + ATTRIBUTE.size <= len(body):
        length, kind = ATTRIBUTE.unpack_from(body, offset)
        found[kind & KIND_OF_ATTRIBUTE] = body[offset + ATTRIBUTE.size : offset + length]
        offset += _aligned(length)
    return found


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def _lasts(protocol: bytes) -> bool:
    state = _attributes(_attributes(protocol).get(CTA_PROTOINFO_TCP, b"")).get(CTA_PROTOINFO_TCP_STATE)
    return state is None or state[0] <= TCP_CONNTRACK_ESTABLISHED
