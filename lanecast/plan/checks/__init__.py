"""What needs two places of a plan to be seen as wrong; one module a theme."""

from __future__ import annotations

from collections.abc import Iterator

from lanecast.plan.checks import addresses, capacity, multicast, names, paths, survival
from lanecast.plan.checks.context import CheckContext
from lanecast.plan.model import Plan
from lanecast_relay.config.document import Document, Problem

PARTIAL = (names.duplicates, addresses.networks, addresses.as_numbers, multicast.groups)
"""Checks that a plan with entries left out can be put to: nothing that they look at refers to anything."""

RESOLVED = (
    names.attachments,
    addresses.instances,
    addresses.vlans,
    multicast.lines,
    paths.circuits,
    paths.relays,
    paths.subscribers,
    capacity.circuits,
    capacity.ways_out,
)
"""Checks that follow names, and so need every one of them to exist."""

ATTACHED = (names.interface_names, multicast.limits, survival.promises)
"""Checks that follow circuits and uplinks to routers, and so need each to be on one."""


def check_plan(plan: Plan, document: Document) -> Iterator[Problem]:
    """Every mistake and warning of a plan that its schema does not see."""
    yield from check_part(plan, document)
    context = CheckContext(plan, document)
    unknown = list(names.references(context))
    yield from unknown
    if unknown:
        return
    for check in RESOLVED:
        yield from check(context)
    if not any(names.attachments(context)):
        for check in ATTACHED:
            yield from check(context)


def check_part(plan: Plan, document: Document) -> Iterator[Problem]:
    """What can be said of a plan whose other entries have errors of their own."""
    context = CheckContext(plan, document)
    for check in PARTIAL:
        yield from check(context)
