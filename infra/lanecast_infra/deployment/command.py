"""``lanecast infra``: bring a plan's regions up in the cloud, look at them, take them down."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import typer
from rich.console import Console

from lanecast.commands.common import JsonOption, PlanArgument, compile_or_exit, load_or_exit
from lanecast.lockfile import lock_path
from lanecast_infra.deployment.engine import CommandFailedError, Engine, Tell, outputs, resources
from lanecast_infra.deployment.file_backend import clear_torn
from lanecast_infra.deployment.project import ProjectError, begin_project, environment, find_project
from lanecast_infra.deployment.recovery import HeldError, ask_settled
from lanecast_infra.deployment.rounds import (
    Progress,
    TellOf,
    bring_up,
    each,
    look_ahead,
    protected,
    take_down,
)
from lanecast_infra.outputs import LEFT_OUT, OUTDATED, RENEWED_VARIABLE, WAITING

app = typer.Typer(no_args_is_help=True, help="Make a plan's regions in the cloud with Pulumi, one stack a region.")

NOT_DONE = 1
COULD_NOT_RUN = 2
INTERRUPTED = 130
SUCCEEDED = "succeeded"
"""Pulumi's word for a run's result."""

StackOption = Annotated[
    list[str] | None, typer.Option("--stack", help="Only this region; may be repeated.", metavar="REGION")
]
ProjectOption = Annotated[
    Path | None, typer.Option(help="The folder with Pulumi.yaml; found from here upwards unless given.", metavar="DIR")
]
PrefixOption = Annotated[
    str, typer.Option(help="Stacks are called PREFIX and the region.", metavar="PREFIX", envvar="LANECAST_STACK_PREFIX")
]

_messages = Console(stderr=True)


class _WrongUseError(Exception):
    """The command was asked for what cannot be."""


@dataclass(frozen=True, slots=True)
class _Session:
    """One command's engine, plan and stacks, the regions by stack."""

    engine: Engine
    plan: Path
    regions: dict[str, str]
    planned: Sequence[str]
    """Every region that the plan has."""

    @property
    def stacks(self) -> list[str]:
        return list(self.regions)


@app.callback()
def _infra() -> None:
    """Make a plan's regions in the cloud with Pulumi, one stack a region."""


@app.command()
def up(
    plan: PlanArgument,
    stack: StackOption = None,
    protect: Annotated[
        bool | None,
        typer.Option(
            "--protect/--no-protect",
            help="Whether what carries traffic cannot be removed; kept in the stacks. Protected unless told.",
            show_default=False,
        ),
    ] = None,
    renew: Annotated[
        list[str] | None,
        typer.Option(
            "--renew",
            help="Make this machine anew if its files are of an earlier plan. Repeatable; one of a bridge at a time.",
            metavar="MACHINE",
        ),
    ] = None,
    project: ProjectOption = None,
    prefix: PrefixOption = "",
    json_output: JsonOption = False,
) -> None:
    """Run `pulumi up` for every region of PLAN until nothing waits or changes.

    Stacks that are missing are begun. What a killed run left behind is cleared first: dead locks, processes that
    still work, operations under way. Exit status: 0 when everything is there, 1 when something failed or still
    waits, 2 when it could not run.
    """
    machines = [one.name for one in compile_or_exit(plan).cloud.instances]
    with _session(plan, stack, project, prefix, variables={RENEWED_VARIABLE: ",".join(renew or ())}) as session:
        if unknown := sorted(set(renew or ()) - set(machines)):
            raise _WrongUseError(f"the plan has no machine {', '.join(unknown)}; it has {', '.join(machines)}")
        there = session.engine.stacks()
        with _telling() as tell:
            begun = _begin(session, there, protect, tell)
            _let_go(session.engine, sorted(begun), renew or (), tell)
            done = bring_up(session.engine, session.stacks, begun, tell)
        _tell_of_vanished(session, prefix, there)
        _finish(session, done, json_output)


@app.command()
def preview(
    plan: PlanArgument,
    stack: StackOption = None,
    expect_no_changes: Annotated[
        bool, typer.Option("--expect-no-changes", help="Exit with 1 when anything would change.")
    ] = False,
    project: ProjectOption = None,
    prefix: PrefixOption = "",
    json_output: JsonOption = False,
) -> None:
    """Show what `up` would do now, region by region; stacks that are missing are begun, and hold nothing.

    Exit status: 0, 1 when a preview failed or changes were not expected, 2 when it could not run.
    """
    compile_or_exit(plan)
    with _session(plan, stack, project, prefix) as session:
        with _telling() as tell:
            _begin(session, session.engine.stacks(), None, tell)
            done = look_ahead(session.engine, session.stacks, tell)
        unwanted = expect_no_changes and any(one.steps for one in done)
        _finish(session, done, json_output, lambda one: one.error is None and not unwanted)


@app.command()
def destroy(
    plan: PlanArgument,
    stack: StackOption = None,
    unprotect: Annotated[bool, typer.Option("--unprotect", help="Also what is protected.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the empty stacks as well.")] = False,
    project: ProjectOption = None,
    prefix: PrefixOption = "",
    json_output: JsonOption = False,
) -> None:
    """Remove everything that the stacks of PLAN's regions made, or of those named with --stack.

    A region that the plan has no more is named with --stack. Exit status: 0 when nothing is left, 1 when something
    is, 2 when it could not run.
    """
    with _session(plan, stack, project, prefix, only_known=False) as session:
        there = session.engine.stacks()
        if unknown := sorted(set(session.stacks) - set(there) - {prefix + one for one in session.planned}):
            raise _WrongUseError(f"there is no stack {', '.join(unknown)}; there are {', '.join(there) or 'none'}")
        stacks = [one for one in session.stacks if one in there]
        _check_plans(session, stacks)
        with _telling() as tell:
            _unprotect(session.engine, stacks, unprotect, tell)
            done = take_down(session.engine, stacks, tell)
        if remove:
            emptied = [one.stack for one in done if one.error is None]
            each(session.engine, lambda one: session.engine.ask("stack", "rm", "--yes", "--stack", one), emptied)
        left = not stack and _tell_of_vanished(session, prefix, there)
        _finish(session, done, json_output, also=not left)


@app.command()
def status(
    plan: PlanArgument,
    stack: StackOption = None,
    project: ProjectOption = None,
    prefix: PrefixOption = "",
    json_output: JsonOption = False,
) -> None:
    """Say what each region's stack holds and waits for, as of its last run.

    Exit status: 0 when every stack is there, settled and waits for nothing, 1 otherwise, 2 when it could not run.
    """
    with _session(plan, stack, project, prefix) as session:
        there = session.engine.stacks()
        _check_plans(session, [one for one in session.stacks if one in there])
        found = [_status_of(session, one, there.get(one)) for one in session.stacks]
        if json_output:
            _print_json(session, all(one["settled"] for one in found), found)
        else:
            for one in found:
                typer.echo(_status_line(one))
        _tell_of_vanished(session, prefix, there)
        raise typer.Exit(0 if all(one["settled"] for one in found) else NOT_DONE)


def _status_of(session: _Session, stack: str, listed: dict[str, Any] | None) -> dict[str, Any]:
    state = session.engine.state(stack) if listed else {}
    told = outputs(state)
    result = session.engine.last_result(stack) if listed else None
    pending = [one["resource"]["urn"].split("::")[-1] for one in state.get("pending_operations") or []]
    waiting = list(told.get(WAITING) or [])
    return {
        "stack": stack,
        "region": session.regions[stack],
        "there": listed is not None,
        "last_update": (listed or {}).get("lastUpdate"),
        "last_result": result,
        "resources": len(resources(state)),
        "protected": sum(bool(one.get("protect")) for one in resources(state)),
        "pending": pending,
        "waiting": waiting,
        "left_out": list(told.get(LEFT_OUT) or []),
        "outdated": list(told.get(OUTDATED) or []),
        "settled": bool(told) and result == SUCCEEDED and not pending and not waiting,
    }


def _status_line(one: dict[str, Any]) -> str:
    if not one["there"]:
        return f"{one['stack']}: there is no such stack yet"
    lines = [f"{one['stack']}: {one['resources']} resources, {one['protected']} of them protected"]
    if one["last_result"] not in (None, SUCCEEDED):
        lines.append("its last run failed: the next `lanecast infra up` goes on, and tells why it cannot")
    lines += [f"under way when a run ended: {name}" for name in one["pending"]]
    lines += [*one["waiting"], *(f"left out: {text}" for text in one["left_out"]), *_outdated_lines(one["outdated"])]
    return "\n  ".join(lines)


def _outdated_lines(machines: Sequence[str]) -> list[str]:
    """What a person does about machines that were made with the files of an earlier plan."""
    what = "has the files of an earlier plan: bring it the new ones (lanecast render --format ansible), or --renew it"
    return [f"{name} {what}" for name in machines]


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(help="A new folder, or an empty one.", metavar="DIR")],
    project: ProjectOption = None,
) -> None:
    """Begin a Pulumi project of your own in DIR, to keep stacks' settings there and to change what is made.

    Exit status: 0, 2 when DIR holds something already or could not be written.
    """
    try:
        begin_project(find_project(project), directory)
    except (ProjectError, OSError) as error:
        _messages.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(COULD_NOT_RUN) from None
    typer.echo(f"{directory} is a project: lanecast infra up PLAN --project {directory}")


@contextmanager
def _session(
    plan: Path,
    wanted: Sequence[str] | None,
    project: Path | None,
    prefix: str,
    only_known: bool = True,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[_Session]:
    """Everything that the command needs, and the exit status of what goes wrong."""
    regions = sorted(load_or_exit(plan).plan.regions)
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        if only_known and (unknown := sorted(set(wanted or ()) - set(regions))):
            raise _WrongUseError(f"the plan has no region {', '.join(unknown)}; it has {', '.join(regions)}")
        if not lock_path(plan).exists():
            _messages.print(
                f"{plan} has no lock file: what it leaves open may move with a later change, and what is there with it;"
                f" `lanecast lock {plan}` keeps it",
                style="yellow",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
        engine = Engine(find_project(project), {**environment(), **variables})
        if torn := clear_torn(engine):
            _messages.print(f"removed what a killed run left half written: {', '.join(torn)}", soft_wrap=True)
        names = sorted(set(wanted)) if wanted else regions
        yield _Session(engine, plan.resolve(), {prefix + region: region for region in names}, regions)
    except (_WrongUseError, ProjectError, CommandFailedError, HeldError) as error:
        _messages.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(COULD_NOT_RUN) from None
    except KeyboardInterrupt:
        _messages.print("interrupted; the next run goes on from here", style="red")
        raise typer.Exit(INTERRUPTED) from None


def _as_interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _begin(session: _Session, there: Mapping[str, Mapping[str, Any]], protect: bool | None, tell: TellOf) -> set[str]:
    """Make the stacks that are missing, and let each know its plan; one of another plan is left alone.

    ``there``: every stack of the project. Returns those of this run that were there already.
    """
    engine = session.engine
    listed = {stack: one for stack, one in there.items() if stack in session.regions}
    kept = _check_plans(session, list(listed))
    _keep_what_is_there(session.plan, listed)

    def begin(stack: str) -> None:
        region = session.regions[stack]
        settings = {"plan": os.path.relpath(session.plan, engine.project)}
        if region != stack:
            settings["region"] = region
        if protect is not None:
            settings["protect"] = str(protect).lower()
        _begin_stack(engine, stack, kept.get(stack), settings)

    each(engine, begin, session.stacks)
    if protect is False:
        _unprotect(engine, list(listed), True, tell)
    return set(listed)


def _keep_what_is_there(plan: Path, listed: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse without a lock file where something is there: what the plan leaves open may be chosen otherwise now."""
    held = sorted(stack for stack, one in listed.items() if one.get("resourceCount"))
    if held and not lock_path(plan).exists():
        raise _WrongUseError(
            f"{plan} has no lock file, and {', '.join(held)} hold what was made of it: addresses and ports that the"
            f" plan leaves open would move with its next change. Bring its lock file back, or run"
            f" `lanecast lock {plan}` on the plan as they were made from; then change the plan"
        )


def _check_plans(session: _Session, stacks: Sequence[str]) -> dict[str, dict[str, str]]:
    """Refuse what is another plan's, also to look at it or to remove it; returns the stacks' configuration."""
    kept = dict(zip(stacks, each(session.engine, session.engine.settings, stacks), strict=True))
    for stack, held in kept.items():
        _check_plan(session, stack, held.get("lanecast:plan"))
    return kept


def _check_plan(session: _Session, stack: str, kept: str | None) -> None:
    if kept is None or _is_plan(session, kept):
        return
    moved = f"if the plan has moved, `pulumi config set lanecast:plan NEW --stack {stack}`"
    if Path(kept).stem != session.plan.stem:  # tags cannot be changed
        moved = f"if it is that plan, call its file {Path(kept).name} again: what was made is tagged with that name"
    raise _WrongUseError(f"stack {stack} is for the plan {kept}; take another --prefix, or {moved}")


def _begin_stack(engine: Engine, stack: str, held: dict[str, str] | None, settings: dict[str, str]) -> None:
    """``held`` is the configuration of a stack that is there; None makes it."""
    if held is None:
        engine.ask("stack", "init", stack, "--no-select")
    missing = {name: value for name, value in settings.items() if (held or {}).get(f"lanecast:{name}") != value}
    if held and "lanecast:plan" in held:
        missing.pop("plan", None)
    if missing:
        words = [word for name, value in missing.items() for word in ("--plaintext", f"lanecast:{name}={value}")]
        engine.ask("config", "set-all", "--stack", stack, *words)


def _unprotect(engine: Engine, stacks: Sequence[str], wanted: bool, tell: TellOf) -> None:
    """Let go of what is protected if that is wanted; otherwise refuse, before anything is removed anywhere."""
    names = each(engine, lambda stack: protected(engine, stack), stacks)
    held = {stack: some for stack, some in zip(stacks, names, strict=True) if some}
    if held and not wanted:
        counts = ", ".join(f"{stack} holds {len(some)}, such as {some[0]}" for stack, some in held.items())
        raise _WrongUseError(f"protected, so nothing is removed: {counts}; --unprotect removes them too")
    each(
        engine,
        lambda stack: ask_settled(engine, stack, tell(stack), "state", "unprotect", "--all", "--yes"),
        list(held),
    )


def _let_go(engine: Engine, stacks: Sequence[str], machines: Sequence[str], tell: TellOf) -> None:
    """Machines that are to be made anew cannot be protected meanwhile; the run protects the new ones again."""
    if not machines:
        return
    for stack in stacks:
        for one in resources(engine.state(stack)):
            if one["type"].endswith(":Instance") and one["urn"].split("::")[-1] in machines and one.get("protect"):
                ask_settled(engine, stack, tell(stack), "state", "unprotect", one["urn"], "--yes")


@contextmanager
def _telling() -> Iterator[TellOf]:
    """Tellers of progress on standard error: a line each, and on a terminal what goes on at the moment."""
    with _messages.status("") as moment:

        def tell_of(stack: str) -> Tell:
            def tell(text: str, fleeting: bool) -> None:
                if fleeting:
                    moment.update(f"{stack}: {text}".replace("[", r"\["))
                else:
                    _messages.print(f"{stack}: {text}", markup=False, highlight=False, soft_wrap=True)

            return tell

        yield tell_of


def _tell_of_vanished(session: _Session, prefix: str, there: Mapping[str, Mapping[str, Any]]) -> bool:
    """Name the stacks of this plan whose regions it has no more: nothing else runs them. Whether there are any."""
    known = {prefix + one for one in session.planned}
    others = [
        stack
        for stack, one in there.items()
        if stack.startswith(prefix) and stack not in known and one.get("resourceCount")
    ]
    kept = zip(others, each(session.engine, session.engine.settings, others), strict=True)
    vanished = [stack for stack, held in kept if _is_of(session, stack.removeprefix(prefix), held)]
    for stack in vanished:
        told = f" --prefix {prefix}" if prefix else ""
        _messages.print(
            f"stack {stack} is of a region that the plan has no more, and still holds what it made:"
            f" lanecast infra destroy {session.plan}{told} --stack {stack.removeprefix(prefix)}",
            style="yellow",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    return bool(vanished)


def _is_of(session: _Session, region: str, held: Mapping[str, str]) -> bool:
    """Whether a stack with this configuration is this plan's, and of that region."""
    plan = held.get("lanecast:plan")
    return plan is not None and _is_plan(session, plan) and (held.get("lanecast:region") or region) == region


def _is_plan(session: _Session, kept: str) -> bool:
    """Whether the plan that a stack keeps, by its path from the project, is this one."""
    return (session.engine.project / kept).resolve() == session.plan


def _finish(
    session: _Session,
    done: Sequence[Progress],
    json_output: bool,
    is_fine: Callable[[Progress], bool] = lambda one: one.passed,
    also: bool = True,
) -> None:
    passed = also and all(is_fine(one) for one in done)
    if json_output:
        _print_json(session, passed, [_as_json(session, one) for one in done])
    else:
        for one in done:
            _messages.print(_summary(one), markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(0 if passed else NOT_DONE)


def _as_json(session: _Session, one: Progress) -> dict[str, Any]:
    return {
        "stack": one.stack,
        "region": session.regions[one.stack],
        "runs": one.runs,
        "steps": one.steps,
        "waiting": one.waiting,
        "left_out": one.left_out,
        "outdated": one.outdated,
        "error": one.error,
    }


def _summary(one: Progress) -> str:
    counts = {what: list(one.steps.values()).count(what) for what in sorted(set(one.steps.values()))}
    text = ", ".join(f"{what} {count}" for what, count in counts.items()) or "unchanged"
    lines = [f"{one.stack}: {'failed' if one.error else text}", *one.waiting]
    lines += [f"left out: {text}" for text in one.left_out]
    lines += _outdated_lines(one.outdated)
    return "\n  ".join(lines + (one.error.splitlines() if one.error else []))


def _print_json(session: _Session, passed: bool, stacks: list[dict[str, Any]]) -> None:
    content = {"plan": str(session.plan), "passed": passed, "stacks": stacks}
    sys.stdout.write(json.dumps(content, indent=2) + "\n")
