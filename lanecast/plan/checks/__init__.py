"""What needs two places of a plan to be seen as wrong; one module a theme."""

from __future__ import annotations

from collections.abc import Iterator

from lanecast.plan.checks import (
    addresses,
    bridges,
    capacity,
    dedicated_lines,
    load_balancers,
    management,
    multicast,
    names,
    paths,
    platforms,
    recovery,
    survival,
)
from lanecast.plan.checks.context import CheckContext
from lanecast_relay.config.document import Problem

RESOLVED = (
    names.duplicates,
    names.idle,
    names.repeated,
    addresses.networks,
    addresses.sources,
    addresses.as_numbers,
    multicast.groups,
    addresses.instances,
    addresses.vlans,
    bridges.pairs,
    bridges.peerings,
    bridges.instances,
    bridges.offers,
    bridges.offered_addresses,
    bridges.transit,
    load_balancers.balancers,
    load_balancers.addresses,
    dedicated_lines.channels,
    multicast.lines,
    recovery.servers,
    recovery.times,
    paths.circuits,
    paths.relays,
    paths.subscribers,
    capacity.circuits,
    capacity.ways_out,
    platforms.lines,
    platforms.static_uplinks,
    platforms.rendezvous,
    management.ways,
)
"""Checks that may follow names, and so need every one of them to exist."""

ATTACHED = (
    platforms.features,
    platforms.ssh_keys,
    platforms.ports,
    platforms.port_uses,
    platforms.static_joins,
    names.interface_names,
    paths.joins,
    paths.single_ways,
    multicast.limits,
    survival.promises,
)
"""Checks that follow circuits and uplinks to routers, and so need each to be on one."""


def check_resolved(context: CheckContext) -> Iterator[Problem]:
    """Mistakes and warnings of a plan in which every name stands for something."""
    for check in RESOLVED:
        yield from check(context)


def check_attached(context: CheckContext) -> Iterator[Problem]:
    """Mistakes and warnings of a plan in which, besides, every circuit and uplink is on a router."""
    for check in ATTACHED:
        yield from check(context)
