"""``lanecast lab``: run a plan as an emulated network, or keep one up and look around in it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from lanecast_lab import session
from lanecast_lab.errors import LabError
from lanecast_lab.loading import load_fabric
from lanecast_lab.progress import Progress
from lanecast_lab.request import CloudSource, RunRequest
from lanecast_lab.run import verdict_of
from lanecast_lab.traffic import TrafficError, read_losses, read_replays, skew_report

app = typer.Typer(
    no_args_is_help=True,
    help="Run the plan as an emulated network with real routers, relays and traffic. Needs root.",
)

COULD_NOT_RUN = 2

PlanArgument = Annotated[Path, typer.Argument(help="The plan's file.", metavar="PLAN")]
CloudOption = Annotated[
    CloudSource,
    typer.Option(
        help="The cloud's side: built from the plan (fabric), or an emulated cloud in which the real `pulumi up` makes "
        "every region (pulumi)."
    ),
]
ChangeOption = Annotated[
    str,
    typer.Option(
        help="With --cloud pulumi: run this once the regions are up, with the cloud's endpoint and keys in the "
        "environment, to see what a change behind Pulumi's back does.",
        metavar="COMMAND",
    ),
]
LabOption = Annotated[str | None, typer.Option("--lab", help="Which lab, when several are up.", metavar="NAME")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on standard output instead of tables.")]

_messages = Console(stderr=True)


def _fail(error: LabError) -> typer.Exit:
    _messages.print(f"error: {error}", style="red", markup=False, highlight=False)
    return typer.Exit(COULD_NOT_RUN)


@app.command()
def run(
    plan: PlanArgument,
    replay: Annotated[
        list[str] | None,
        typer.Option(help="Send a capture instead of an invented feed; repeat for several.", metavar="FEED=CAPTURE"),
    ] = None,
    speed: Annotated[float, typer.Option(help="Replay captures this many times faster.", metavar="X")] = 1.0,
    loss: Annotated[
        list[str] | None,
        typer.Option(help="Lose so many of a line's datagrams at the exchange.", metavar="FEED.LINE=PERCENT"),
    ] = None,
    seed: Annotated[int, typer.Option(help="What invented traffic and losses are drawn from.", metavar="N")] = 1,
    duration: Annotated[float, typer.Option(help="Seconds of invented traffic.", metavar="SECONDS")] = 10.0,
    report: Annotated[
        Path, typer.Option(help="Where verdict.json, junit.xml, logs and pcaps go.", metavar="DIR")
    ] = Path("report"),
    pcap: Annotated[bool, typer.Option(help="Record every node's packets into the report.")] = True,
    cloud: CloudOption = CloudSource.FABRIC,
    cloud_change: ChangeOption = "",
    destroy: Annotated[
        bool,
        typer.Option(help="With --cloud pulumi: let Pulumi remove the regions at the end, and look what is left."),
    ] = True,
    strict: Annotated[bool, typer.Option(help="Exit 1 also when a promise could not be shown.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Build PLAN's network, send traffic through it, and judge what arrived.

    Exit status: 0 when no promise was broken, 1 when one was, 2 when the run could not be done.
    """
    console = Console()
    try:
        request = RunRequest(
            plan=str(plan.resolve()),
            name=plan.stem,
            replays={feed: str(path.resolve()) for feed, path in read_replays(replay or []).items()},
            speed=speed,
            losses={f"{feed}.{line}": percent for (feed, line), percent in read_losses(loss or []).items()},
            seed=seed,
            duration_s=duration,
            captures=pcap,
            cloud=cloud,
            cloud_change=cloud_change,
            destroy=destroy,
            width=console.width if console.is_terminal else 120,
            color=console.is_terminal,
        )
        session.check_machine()
        with Progress(_messages) as progress:
            done = session.run_lab(request, report, progress.listen)
    except TrafficError as error:
        raise _fail(LabError("\n".join(error.problems))) from None
    except LabError as error:
        raise _fail(error) from None
    except KeyboardInterrupt:
        raise _fail(LabError("interrupted; the lab is gone")) from None
    if json_output:
        sys.stdout.write(json.dumps(verdict_of(report), indent=2) + "\n")
    else:
        sys.stdout.write(done["text"])
        outcome = "passed: no promise was broken" if done["passed"] else "FAILED: a promise was broken"
        console.print(outcome, style="bold green" if done["passed"] else "bold red", highlight=False)
        console.print(f"report: {report}", markup=False, highlight=False)
    raise typer.Exit(done["strict_exit_code" if strict else "exit_code"])


@app.command()
def up(
    plan: PlanArgument,
    name: Annotated[str | None, typer.Option(help="What to call the lab; by default after the plan.")] = None,
    cloud: CloudOption = CloudSource.FABRIC,
    cloud_change: ChangeOption = "",
    json_output: JsonOption = False,
) -> None:
    """Build PLAN's network with routers and relays running, and leave it up."""
    request = RunRequest(
        plan=str(plan.resolve()), name=name or plan.stem, keep_up=True, cloud=cloud, cloud_change=cloud_change
    )
    try:
        session.check_machine()
        if any(lab.name == request.name for lab in session.running_labs()):
            raise LabError(f"a lab called {request.name} is up already: take it down, or give this one another --name")
        with Progress(_messages) as progress:
            answer = session.bring_up_lab(request, progress.listen)
    except LabError as error:
        raise _fail(error) from None
    if json_output:
        sys.stdout.write(json.dumps(answer) + "\n")
        return
    Console().print(
        f"{request.name} is up with {len(answer['nodes'])} nodes: "
        f"lanecast lab exec {answer['nodes'][0]} -- ip address\n"
        "lanecast lab status lists the nodes; lanecast lab down ends it",
        markup=False,
        highlight=False,
    )


@app.command(name="exec", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def execute(
    node: Annotated[str, typer.Argument(help="The node; `lanecast lab status` lists them.")],
    command: Annotated[list[str], typer.Argument(help="The command, after --.", metavar="-- COMMAND")],
    lab: LabOption = None,
) -> None:
    """Run a command in a node of a lab that is up; its exit status is this command's."""
    try:
        status_ = session.exec_in_node(session.find_lab(lab), node, command)
    except LabError as error:
        raise _fail(error) from None
    raise typer.Exit(status_)


@app.command()
def status(json_output: JsonOption = False) -> None:
    """List the labs that run on this machine, and their nodes."""
    labs = session.running_labs()
    if json_output:
        rows = [{"name": lab.name, "plan": lab.plan, "pid": lab.pid, "nodes": sorted(lab.nodes)} for lab in labs]
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        return
    if not labs:
        Console().print("no lab is up")
        return
    table = Table("lab", "kept up", "supervisor", "nodes")
    for lab in labs:
        table.add_row(lab.name, "yes" if lab.keep_up else "running", str(lab.pid), " ".join(sorted(lab.nodes)))
    Console().print(table)


@app.command()
def down(
    lab: LabOption = None,
    every: Annotated[bool, typer.Option("--all", help="Take down every lab that is up.")] = False,
) -> None:
    """End a lab that is up. Nothing of it is left."""
    try:
        chosen = session.running_labs() if every else [session.find_lab(lab)]
        for one in chosen:
            session.take_down(one)
            _messages.print(f"{one.name} is down", highlight=False)
    except LabError as error:
        raise _fail(error) from None


@app.command()
def skew(
    plan: PlanArgument,
    replay: Annotated[str, typer.Argument(help="The feed and the capture to measure.", metavar="FEED=CAPTURE")],
    json_output: JsonOption = False,
) -> None:
    """Measure how far apart a capture's lines are, so that the plan can set the feed's hole-wait."""
    try:
        ((feed, path),) = read_replays([replay]).items()
        fabric, _ = load_fabric(str(plan))
        if feed not in {known.name for known in fabric.feeds}:
            raise LabError(f"no feed is called {feed}: the plan has {', '.join(known.name for known in fabric.feeds)}")
        measured = skew_report(fabric.feed(feed), path)
    except TrafficError as error:
        raise _fail(LabError("\n".join(error.problems))) from None
    except LabError as error:
        raise _fail(error) from None
    if json_output:
        sys.stdout.write(json.dumps(asdict(measured) | {"fits": measured.fits}) + "\n")
        return
    typer.echo(
        f"{feed}: {measured.compared} messages on more than one line, at most {measured.largest_ns / 1e6:.3f} ms apart "
        f"({measured.largest_at}); on one line alone: "
        + ", ".join(f"{line} {count}" for line, count in measured.only_on.items())
    )
    wait = f"the plan's hole-wait of {measured.hole_wait_ns / 1e6:g} ms"
    typer.echo(f"{wait} is enough" if measured.fits else f"{wait} is too short: set it above the largest difference")
