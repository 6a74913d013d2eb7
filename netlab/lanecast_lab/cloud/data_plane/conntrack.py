"""Deletes entries of a namespace's connection tracking by their mark, over netlink.

A translation holds for a flow as long as conntrack remembers it, whatever the rules say by then. Rules therefore mark
the flows that they translate, and whoever takes a rule away deletes what bears its mark.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable

from lanecast_lab.cloud.data_plane.inside import run_inside

NETLINK_NETFILTER = 12
"""include/uapi/linux/netlink.h; so for the figures below."""

NLM_F_REQUEST, NLM_F_ACK = 1, 4
NLMSG_ERROR = 2
DELETE = (1 << 8) | 2
"""NFNL_SUBSYS_CTNETLINK and IPCTNL_MSG_CT_DELETE (nfnetlink.h, nfnetlink_conntrack.h)."""

CTA_MARK, CTA_MARK_MASK = 8, 21
"""nfnetlink_conntrack.h: a deletion without a tuple removes all entries whose mark fits."""

WHOLE_MARK = 0xFFFFFFFF
HEADER = struct.Struct("=IHHII")
ANSWER_BYTES = 8192


def forget_marked_in(pid: int, marks: Iterable[int]) -> None:
    """Delete the entries with these marks in the network namespace of a process. Raises :class:`OSError`."""
    wanted = sorted(marks)
    if wanted:
        run_inside(pid, lambda: forget_marked(wanted))


def forget_marked(marks: Iterable[int]) -> None:
    """The same in the calling thread's own namespace."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER) as netlink:
        netlink.bind((0, 0))
        for mark in marks:
            netlink.send(deletion(mark))
            number = _answered(netlink.recv(ANSWER_BYTES))
            if number not in (0, errno.ENOENT):
                raise OSError(number, f"conntrack entries with mark {mark:#x}: {os.strerror(number)}")


def deletion(mark: int) -> bytes:
    """The request to delete all IPv4 entries with a mark."""
    body = struct.pack("=BBH", socket.AF_INET, 0, 0)
    body += _attribute(CTA_MARK, mark) + _attribute(CTA_MARK_MASK, WHOLE_MARK)
    return HEADER.pack(HEADER.size + len(body), DELETE, NLM_F_REQUEST | NLM_F_ACK, 1, 0) + body


def _attribute(kind: int, value: int) -> bytes:
    return struct.pack("=HH", 8, kind) + struct.pack(">I", value)


def _answered(answer: bytes) -> int:
    """The error number of an acknowledgement; 0 when it was done."""
    _, kind, *_ = HEADER.unpack_from(answer)
    if kind != NLMSG_ERROR:
        raise OSError(errno.EPROTO, f"netlink answered a deletion with a message of type {kind}")
    number: int = struct.unpack_from("=i", answer, HEADER.size)[0]
    return -number
