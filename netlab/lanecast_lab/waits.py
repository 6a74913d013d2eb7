"""Named budgets for states that the lab waits for, and the one loop that waits.

A budget is generous: it bounds a run that will not succeed. How long a state really took stands in the verdict.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from lanecast_lab.errors import NotConvergedError

PIM_NEIGHBORS_S = 30.0
BGP_ESTABLISHED_S = 60.0
BFD_SESSIONS_S = 30.0
IGMP_MEMBERSHIPS_S = 40.0
BRIDGE_MEMBERSHIPS_S = 40.0
BRIDGE_ADDRESSES_S = 30.0
MULTICAST_ROUTES_S = 60.0
DATA_PLANE_S = 20.0
PROCESS_READY_S = 30.0
PROCESS_STOPPED_S = 20.0
QUIET_S = 60.0

POLL_INTERVAL_S = 0.05


def until(what: str, within_s: float, missing: Callable[[], list[str]]) -> float:
    """Poll until ``missing()`` is empty; return the seconds that took.

    Raises :class:`NotConvergedError` naming what is still missing when the budget is spent.
    """
    started = time.monotonic()
    while True:
        left = missing()
        elapsed = time.monotonic() - started
        if not left:
            return elapsed
        if elapsed > within_s:
            shown = "; ".join(left[:5]) + (f"; and {len(left) - 5} more" if len(left) > 5 else "")
            raise NotConvergedError(f"{what}: not reached within {within_s:.0f} s: {shown}")
        time.sleep(POLL_INTERVAL_S)
