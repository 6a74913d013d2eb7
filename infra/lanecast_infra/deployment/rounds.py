"""Every region's stack, again and again until none has anything left to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from lanecast_infra.deployment.engine import Engine, Outcome, Tell, resources
from lanecast_infra.deployment.recovery import run_settled, settle
from lanecast_infra.neighbours import LEFT_OUT, PLAN, WAITING

ROUNDS_PER_STACK: Final = 3
"""Each stack may have to wait once for each kind of thing; more rounds than that mean that two undo each other."""
BETWEEN_REGIONS: Final = ("RouteRule", "PeerConnection")
"""What one stack makes and another's hangs on, in the order in which it has to go before anything else can."""

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
    def passed(self) -> bool:
        """Whether everything is there that can be."""
        return self.error is None and not self.waiting


def bring_up(engine: Engine, stacks: Sequence[str], tell: TellOf) -> list[Progress]:
    """Run every stack until none fails, waits or changes any more, or no run moves anything."""
    all_of_them = [Progress(stack) for stack in stacks]
    for stack in stacks:
        settle(engine, stack, tell(stack))
    for _ in range(ROUNDS_PER_STACK * len(stacks)):
        due = [one for one in all_of_them if one.due]
        if not due:
            return all_of_them
        for one in due:
            one.due = False
            outcome = run_settled(engine, one.stack, "up", ["--continue-on-error"], tell(one.stack))
            _note(one, outcome)
            _wake(all_of_them, one, outcome)
    for one in all_of_them:
        if one.due:
            one.error = one.error or "the stacks do not settle: each run changes what another needs"
    return all_of_them


def look_ahead(engine: Engine, stacks: Iterable[str], tell: TellOf) -> list[Progress]:
    """What a run would do now, stack by stack."""
    found = []
    for stack in stacks:
        one = Progress(stack)
        _note(one, engine.run(stack, "preview", [], tell(stack)))
        found.append(one)
    return found


def take_down(engine: Engine, stacks: Sequence[str], tell: TellOf) -> list[Progress]:
    """Remove everything: first what hangs between regions, in every stack, then the rest."""
    all_of_them = {stack: Progress(stack) for stack in stacks}
    states = {stack: settle(engine, stack, tell(stack)) for stack in stacks}
    for kind in (*BETWEEN_REGIONS, None):
        for stack, one in all_of_them.items():
            if one.error is None and (flags := _flags_for(states[stack], kind)) is not None:
                _note(one, run_settled(engine, stack, "destroy", flags, tell(stack)))
    return list(all_of_them.values())


def protected(engine: Engine, stack: str) -> list[str]:
    """The names of the resources that may not be removed."""
    return sorted(one["urn"].split("::")[-1] for one in resources(engine.state(stack)) if one.get("protect"))


def _flags_for(state: Mapping[str, Any], kind: str | None) -> list[str] | None:
    """How to remove the resources of a kind; None when there are none. No kind means everything."""
    if kind is None:
        return []
    urns = [one["urn"] for one in resources(state) if one["type"].endswith(f":{kind}")]
    return [word for urn in urns for word in ("--target", urn)] or None


def _note(one: Progress, outcome: Outcome) -> None:
    one.runs += 1
    one.steps |= outcome.steps
    one.error = outcome.error
    if outcome.succeeded:
        one.outputs = outcome.outputs


def _wake(all_of_them: Iterable[Progress], ran: Progress, outcome: Outcome) -> None:
    """Let the others look again at what they take from this one, and try again what it may have stood in the way of."""
    told = outcome.succeeded and _facts(outcome.before) != _facts(outcome.outputs)
    for one in all_of_them:
        if one is not ran and (told or (one.error and outcome.steps)):
            one.due = True


def _facts(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """What other stacks take from one's outputs."""
    return {name: value for name, value in outputs.items() if name not in (PLAN, WAITING, LEFT_OUT)}
