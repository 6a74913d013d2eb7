"""Every region's stack, each at its own pace, until none has anything left to do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from lanecast_infra.deployment.engine import Engine, Outcome, Tell, resources
from lanecast_infra.deployment.recovery import run_settled, settle
from lanecast_infra.outputs import LEFT_OUT, OUTDATED, TAKEN, WAITING, has_moved

RUNS_PER_STACK: Final = 3
"""Each may wait once for each kind of thing of each other stack; with more runs two undo each other's work."""

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
    stirred: bool = False
    """Whether another stack has changed something since its last run began."""

    def is_due(self, others: Mapping[str, Mapping[str, Any]]) -> bool:
        """Whether it has to run, or to run again, by the outputs of those that have run."""
        if self.runs == 0:
            return True
        if self.error is not None:
            return self.stirred  # what stood in its way may be gone
        return has_moved(self.outputs.get(TAKEN) or {}, others)

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


def bring_up(engine: Engine, stacks: Sequence[str], begun: Collection[str], tell: TellOf) -> list[Progress]:
    """Run every stack, and each again whenever another has made or moved what it takes from there.

    Those in ``begun`` were there before, and may have to be settled.
    """
    all_of_them = [Progress(stack) for stack in stacks]
    each(engine, lambda stack: settle(engine, stack, tell(stack)), [one for one in stacks if one in begun])
    running: dict[Future[Outcome], Progress] = {}
    with ThreadPoolExecutor(max(1, len(stacks))) as threads:
        try:
            while True:
                for one in _due(all_of_them, running.values()):
                    one.stirred = False
                    job = threads.submit(run_settled, engine, one.stack, "up", (), tell(one.stack))
                    running[job] = one
                if not running:
                    break
                ended, _ = wait(running, return_when=FIRST_COMPLETED)
                for job in ended:
                    _take_in(all_of_them, running.pop(job), job.result())
        except KeyboardInterrupt:
            engine.interrupt()
            raise
    for one in all_of_them:
        if one.error is None and one.is_due(_told(all_of_them)):
            one.error = "the stacks do not settle: each run changes what another needs"
    return all_of_them


def _told(all_of_them: Iterable[Progress]) -> dict[str, dict[str, Any]]:
    return {one.stack: one.outputs for one in all_of_them if one.outputs}


def _due(all_of_them: Sequence[Progress], running: Collection[Progress]) -> list[Progress]:
    told, most = _told(all_of_them), RUNS_PER_STACK * len(all_of_them)
    at_rest = [one for one in all_of_them if not any(one is other for other in running)]
    return [one for one in at_rest if one.runs < most and one.is_due(told)]


def _take_in(all_of_them: Iterable[Progress], ran: Progress, outcome: Outcome) -> None:
    ran.note(outcome)
    if outcome.stirred:
        for one in all_of_them:
            one.stirred |= one is not ran


def look_ahead(engine: Engine, stacks: Sequence[str], tell: TellOf) -> list[Progress]:
    """What a run would do now, stack by stack."""
    found = [Progress(stack) for stack in stacks]
    each(engine, lambda one: one.note(engine.run(one.stack, "preview", (), tell(one.stack))), found)
    return found


def take_down(engine: Engine, stacks: Sequence[str], tell: TellOf) -> list[Progress]:
    """Remove everything, of every stack at a time: what one region's hangs on is waited for while another's goes.

    What took longer than anybody waits is tried again as long as there is less of it each time.
    """
    all_of_them = [Progress(stack) for stack in stacks]
    each(engine, lambda stack: settle(engine, stack, tell(stack)), stacks)

    def remove(one: Progress) -> None:
        one.note(run_settled(engine, one.stack, "destroy", (), tell(one.stack)))

    left = None
    due = all_of_them
    while due:
        each(engine, remove, due)
        due = [one for one in due if one.error is not None]
        before, left = left, sum(len(resources(engine.state(one.stack))) for one in due)
        if before is not None and left >= before:
            break
    return all_of_them


def protected(engine: Engine, stack: str) -> list[str]:
    """The names of the resources that may not be removed."""
    return sorted(one["urn"].split("::")[-1] for one in resources(engine.state(stack)) if one.get("protect"))
