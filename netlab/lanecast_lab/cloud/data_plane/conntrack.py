"""Deletes and counts entries of a namespace's connection tracking by their mark.

A translation holds for a flow as long as conntrack remembers it, whatever the rules say by then. Rules therefore mark
the flows that they translate, and whoever takes a rule away deletes what bears its mark.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TypeVar

from pyroute2 import NetlinkError
from pyroute2.netlink.nfnetlink.nfctsocket import NFCTSocket

from lanecast_lab.cloud.data_plane.inside import run_inside

Result = TypeVar("Result")

WHOLE_MARK = 0xFFFFFFFF

TCP_STATE = ("CTA_PROTOINFO", "CTA_PROTOINFO_TCP", "CTA_PROTOINFO_TCP_STATE")
TCP_CONNTRACK_ESTABLISHED = 3
"""nf_conntrack_tcp.h: the states up to this one are those of a connection that begins or lasts."""


def forget_marked(pid: int, marks: Iterable[int]) -> None:
    """Delete the IPv4 entries with these marks in the network namespace of a process. Raises :class:`OSError`."""
    wanted = sorted(marks)

    def forget() -> None:
        with NFCTSocket() as tracked:
            for mark in wanted:
                tracked.flush(mark=mark, mark_mask=WHOLE_MARK)

    if wanted:
        _run_inside(pid, forget)


def lasting_flows(pid: int) -> Counter[int]:
    """How many IPv4 flows of each mark that namespace knows, without connections that are being closed.

    Raises :class:`OSError`.
    """

    def count() -> Counter[int]:
        with NFCTSocket() as tracked:
            # A flow that is not TCP has no state there, and lasts until it is forgotten.
            lasting = (one for one in tracked.dump() if (one.get(TCP_STATE) or 0) <= TCP_CONNTRACK_ESTABLISHED)
            return Counter(one.get("CTA_MARK") for one in lasting)

    return _run_inside(pid, count)


def _run_inside(pid: int, work: Callable[[], Result]) -> Result:
    try:
        return run_inside(pid, work)
    except NetlinkError as error:
        raise OSError(error.code, f"connection tracking: {os.strerror(error.code)}") from error
