"""Every region's stack, again and again until none has anything left to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

from lanecast_infra.deployment.engine import Engine, Outcome, Tell, resources
from lanecast_infra.deployment.recovery import run_settled, settle
from lanecast_infra.neighbours import LEFT_OUT, OUTDATED, PLAN, WAITING

ROUNDS_PER_STACK: Final = 3
"""Each stack may have to wait once for each kind of thing; more rounds than that mean that two undo each other."""
BETWEEN_REGIONS: Final = ("RouteRule", "PeerConnection")
"""What one stack makes and another's hangs on, in the order in which it has to go before anything else can."""

Item = TypeVar("Item")
Answer = TypeVar("Answer")

TellOf = Callable[[str], Tell]
"""The teller of a stack."""


@dataclass(slots=True)
class Progress:
    """What the runs of one stack came to."""

    stack: str
    runs: int = 0
    steps: dict[str, str] = field(default_factory=dict)
    """By resource, the last operation on it."""
    outputs: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    due: bool = True
    """Whether something has happened since that it has to look at."""

    @property
    def waiting(self) -> list[str]:
        """What it waits for."""
        return list(self.outputs.get(WAITING) or [])

    @property
    def left_out(self) -> list[str]:
        """What the plan wants and nothing makes."""
        return list(self.outputs.get(LEFT_OUT) or [])

    @property
    def outdated(self) -> list[str]:
        """The machines whose files are those of an earlier plan; nobody knows before a run what it will make."""
        told = self.outputs.get(OUTDATED)
        return list(told) if isinstance(told, list) else []

    @property
    def passed(self) -> bool:
        """Whether everything is there that can be."""
        return self.error is None and not self.waiting

    def note(self, outcome: Outcome) -> None:
        """Take in what a run did."""
        self.runs += 1
        self.steps |= outcome.steps
        self.error = outcome.error
        if outcome.succeeded:
            self.outputs = outcome.outputs


def each(engine: Engine, act: Callable[[Item], Answer], items: Sequence[Item]) -> list[Answer]:
    """Act on every item at a time. Ctrl-C lets the engine end what it has begun."""
    with ThreadPoolExecutor(max(1, len(items))) as threads:
        futures = [threads.submit(act, one) for one in items]
        try:
            wait(futures)
        except KeyboardInterrupt:
            engine.interrupt()
            raise
    return [one.result() for one in futures]


def bring_up(engine: Engine, stacks: Sequence[str], tell: TellOf) -> list[Progress]:
    """Run every stack until none fails, waits or changes any more, or no run moves anything."""
    all_of_them = [Progress(stack) for stack in stacks]
    each(engine, lambda stack: settle(engine, stack, tell(stack)), stacks)
    for _ in range(ROUNDS_PER_STACK * len(stacks)):
        due = [one for one in all_of_them if one.due]
        if not due:
            return all_of_them
        outcomes = each(engine, lambda one: run_settled(engine, one.stack, "up", (), tell(one.stack)), due)
        for one, outcome in zip(due, outcomes, strict=True):
            one.due = False
            one.note(outcome)
        for one, outcome in zip(due, outcomes, strict=True):
            _wake(all_of_them, one, outcome)
    for one in all_of_them:
        if one.due:
            one.error = one.error or "the stacks do not settle: each run changes what another needs"
    return all_of_them


def look_ahead(engine: Engine, stacks: Sequence[str], tell: TellOf) -> list[Progress]:
    """What a run would do now, stack by stack."""
    found = [Progress(stack) for stack in stacks]
    each(engine, lambda one: one.note(engine.run(one.stack, "preview", (), tell(one.stack))), found)
    return found


def take_down(engine: Engine, stacks: Sequence[str], tell: TellOf) -> list[Progress]:
    """Remove everything: first what hangs between regions, in every stack, then the rest."""
    all_of_them = [Progress(stack) for stack in stacks]
    states = dict(zip(stacks, each(engine, lambda stack: settle(engine, stack, tell(stack)), stacks), strict=True))

    def remove(kind: str | None, one: Progress) -> None:
        flags = _flags_for(states[one.stack], kind)
        if one.error is None and flags is not None:
            one.note(run_settled(engine, one.stack, "destroy", flags, tell(one.stack)))

    for kind in (*BETWEEN_REGIONS, None):
        each(engine, partial(remove, kind), all_of_them)
    return all_of_them


def protected(engine: Engine, stack: str) -> list[str]:
    """The names of the resources that may not be removed."""
    return sorted(one["urn"].split("::")[-1] for one in resources(engine.state(stack)) if one.get("protect"))


def _flags_for(state: Mapping[str, Any], kind: str | None) -> list[str] | None:
    """How to remove the resources of a kind; None when there are none. No kind means everything."""
    if kind is None:
        return []
    urns = [one["urn"] for one in resources(state) if one["type"].endswith(f":{kind}")]
    return [word for urn in urns for word in ("--target", urn)] or None


def _wake(all_of_them: Iterable[Progress], ran: Progress, outcome: Outcome) -> None:
    """Let the others look again at what they wait for or take from this one, and try what it stood in the way of."""
    before, now = _facts(outcome.before), _facts(outcome.outputs)
    told = outcome.succeeded and before != now
    moved = told and any(now.get(name) != value for name, value in before.items())
    for one in all_of_them:
        if one is not ran and (moved or (told and one.waiting) or (one.error and outcome.steps)):
            one.due = True


def _facts(outputs: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    """What other stacks take from one's outputs: ids by kind and name."""
    kinds = {kind: ids for kind, ids in outputs.items() if kind not in (PLAN, WAITING, LEFT_OUT, OUTDATED)}
    return {(kind, name): value for kind, ids in kinds.items() for name, value in ids.items()}
