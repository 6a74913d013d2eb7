"""What the other regions' stacks have made so far. What is not there yet is waited for: nothing is made from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi.runtime import invoke

from lanecast_infra.outputs import NOT_THERE, PLAN, found
from lanecast_infra.regional import Elsewhere

Outputs = dict[str, Any]


class ForeignStackError(Exception):
    """A stack of the name that is looked for belongs to another plan."""


class StackNameError(Exception):
    """A stack's name does not tell how the other regions' are called."""


def stack_of(own_stack: str, own_region: str, region: str) -> str:
    """The stack of another region: named as this one, with the other region's name at the end.

    Raises :class:`StackNameError` when this stack's name does not end with its own region's.
    """
    if not own_stack.endswith(own_region):
        raise StackNameError(
            f"stack {own_stack} has to end with its region's name: {own_region}, or PREFIX-{own_region}"
        )
    return own_stack.removesuffix(own_region) + region


def outputs_of(stack: str) -> Outputs | None:
    """The outputs of another stack of this project; None when there is no such stack.

    The engine's own function for stack references: the resource of that name fails the whole program instead.
    """
    name = f"{pulumi.get_organization()}/{pulumi.get_project()}/{stack}"
    try:
        read = invoke("pulumi:pulumi:readStackOutputs", {"name": name})
    except Exception as error:  # the SDK raises nothing more special
        if f'unknown stack "{name}"' in str(error):
            return None
        raise
    return dict(read.value["outputs"])


@dataclass(slots=True)
class Neighbours:
    """The other stacks, each read once, and what was looked for in vain."""

    plan: str
    read: Callable[[str], Outputs | None]
    """The outputs of a region's stack."""
    waiting: list[str] = field(default_factory=list)
    taken: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    """By region, kind and name: the id, or what says that it is not there."""
    _seen: dict[str, Outputs | None] = field(default_factory=dict)

    def find(self, wanted: Elsewhere) -> str | None:
        """The id of what is wanted; None, and a note of it, when it is not there yet."""
        outputs = self._outputs(wanted.region)
        identity = found(outputs, wanted.kind, wanted.name)
        kinds = self.taken.setdefault(wanted.region, {})
        kinds.setdefault(wanted.kind, {})[wanted.name] = identity or NOT_THERE
        if identity is None:
            reason = "it has not made it yet" if outputs is not None else "there is no such stack yet"
            text = f"waiting for {wanted}: {reason}"
            if text not in self.waiting:
                self.waiting.append(text)
        return identity

    def _outputs(self, region: str) -> Outputs | None:
        if region not in self._seen:
            outputs = self.read(region)
            theirs = (outputs or {}).get(PLAN, self.plan)
            if theirs != self.plan:
                raise ForeignStackError(f"the stack of region {region} belongs to the plan {theirs}, not {self.plan}")
            self._seen[region] = outputs
        return self._seen[region]
