"""Turns a snapshot of the store into a description: parts write it one after another.

To add a part, write a module with a function that takes the :class:`~lanecast_lab.cloud.data_plane.draft.Draft`, and
name it in ``PARTS``. It adds nodes (``draft.add``), joins them to VPC routers (``draft.join_router``), to subnets
(``draft.join_subnet``) or to one another (``draft.link``), and says in ``draft.vpcs[…].next_hops`` where packets for
the resources go that route rules can name. ``subnets`` and ``vpcs`` are last: they turn the drafts into nodes.
"""

from __future__ import annotations

from collections.abc import Callable

from lanecast_lab.cloud.data_plane import (
    address_translation,
    balancers,
    gateways,
    instances,
    lines,
    peerings,
    subnets,
    vpcs,
)
from lanecast_lab.cloud.data_plane.draft import Draft
from lanecast_lab.cloud.data_plane.model import Description
from lanecast_lab.cloud.data_plane.snapshot import Snapshot

PARTS: tuple[Callable[[Draft], None], ...] = (
    instances.describe,
    peerings.describe,
    address_translation.describe,
    balancers.describe,
    gateways.describe,
    lines.describe,
    subnets.describe,
    vpcs.describe,
)


def describe(snapshot: Snapshot) -> Description:
    """What has to be there for what the store holds. The same snapshot gives the same description."""
    draft = Draft(snapshot)
    for part in PARTS:
        part(draft)
    return draft.description()
