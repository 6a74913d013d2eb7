"""What needs two places of a plan to be seen as wrong; one module a theme."""

from __future__ import annotations

from collections.abc import Iterator

from lanecast_relay.config.document import Document, Problem

from lanecast.plan.model import Plan


def check_plan(plan: Plan, document: Document) -> Iterator[Problem]:
    """Every mistake and warning of a plan that its schema does not see."""
    yield from ()
