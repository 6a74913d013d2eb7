"""``lanecast render``: what runs in production and in the lab, as files."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from lanecast.commands.common import JsonOption, PlanArgument, compile_or_exit
from lanecast.fabric import Fabric
from lanecast_relay.config.document import load_document
from lanecast_templates.formats import Format, hand_over_as
from lanecast_templates.oracles.check import Finding, OracleMissing, check, require_oracles
from lanecast_templates.remediation.changes import CannotCompare
from lanecast_templates.remediation.command import compare, tell
from lanecast_templates.renderer import RenderedFile, RenderError, SecretResolver, render_fabric
from lanecast_templates.views.frr import DEFAULT_VERSION, SPELLINGS
from lanecast_templates.writer import InTheWayError, Written, write

REFUSED = 1
NOT_POSSIBLE = 2
DIFFERENT = 3


LISTED_VERSIONS = ", ".join(SPELLINGS)


def _known_version(version: str) -> str:
    if version not in SPELLINGS:
        raise typer.BadParameter(f"FRR {version} is not known; there are {LISTED_VERSIONS}")
    return version


FrrVersionOption = Annotated[
    str,
    typer.Option(
        help=f"The release that FRR's files are spelled for: {LISTED_VERSIONS}.",
        callback=_known_version,
        autocompletion=lambda: list(SPELLINGS),
    ),
]


def render(
    plan: PlanArgument,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The folder to write into.", metavar="DIR", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option(help="Replace files in the way that this command did not write.")] = False,
    ask: Annotated[
        bool,
        typer.Option("--check", help="Ask FRR, nft, ip, sysctl, systemd and the relay whether they take each file."),
    ] = False,
    frr_version: FrrVersionOption = DEFAULT_VERSION,
    old: Annotated[
        Path | None,
        typer.Option(
            "--diff",
            help="A plan, or a folder rendered before: print what to type and to undo on each device instead.",
            metavar="OLD",
            show_default=False,
        ),
    ] = None,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="With --diff: exit with 3 if there is a change.")
    ] = False,
    written_as: Annotated[
        Format,
        typer.Option("--format", help="A folder a node, a project for Ansible, or a topology for containerlab."),
    ] = Format.FILES,
    json_output: JsonOption = False,
) -> None:
    """Write the configuration of every router, host and relay of PLAN into DIR, a folder a node.

    Files are named as they are on the box (NODE/etc/frr/frr.conf). The exchange's and the cloud's own routers, which
    only the lab runs, are below counterparts/, and sheets for the exchanges' engineers below hand-over/. Files in DIR
    that this command did not write are not touched.

    --check applies each node's files in network namespaces of its own (root), FRR's own daemons included, and compares
    what runs then with what was asked, line by line. Nothing is written unless all of them are taken.

    --diff OLD compares instead of writing: for every router the commands that lead from OLD to PLAN and those that lead
    back, for every host the files that change and what makes them count. docs/change-windows.md says how to use it.

    Exit status: 0 done, 1 a plan has mistakes or a file is refused, 2 the files cannot be written, checked or compared,
    3 there is a change (--exit-code).
    """
    if old is not None:
        if output is not None or ask:
            _fail(NOT_POSSIBLE, "error: --diff writes and checks nothing: leave -o and --check out")
        if written_as is not Format.FILES:
            _fail(NOT_POSSIBLE, "error: --diff reads a folder of any format: leave --format out")
        _compare(old, plan, frr_version, exit_code, json_output)
        return
    if exit_code:
        _fail(NOT_POSSIBLE, "error: --exit-code is for --diff")
    if output is None and not ask:
        _fail(NOT_POSSIBLE, "error: say where to write (-o DIR), or --check, or both")
    fabric = compile_or_exit(plan)
    try:
        files = render_fabric(fabric, SecretResolver(directory=plan.parent), frr_version)
    except RenderError as error:
        _tell_mistakes(plan, error)
    findings = _checked(fabric, files, frr_version) if ask else []
    refused = any(finding.problems for finding in findings)
    made = hand_over_as(written_as, fabric, files)
    for note in made.notes:
        typer.echo(f"note: {note}", err=True)
    done = None if output is None or refused else _written(made.files, output, force)
    if json_output:
        checked: dict[str, Any] = {"checked": [asdict(finding) for finding in findings]} if ask else {}
        sys.stdout.write(json.dumps((asdict(done) if done else {}) | checked, indent=2) + "\n")
    else:
        if ask:
            _tell_findings(findings)
        if output is not None and done is not None:
            _tell_written(output, done)
    if refused:
        raise typer.Exit(REFUSED)


def _compare(old: Path, plan: Path, frr_version: str, exit_code: bool, json_output: bool) -> None:
    try:
        found = compare(old, plan, compile_or_exit(plan), frr_version)
    except RenderError as error:
        _tell_mistakes(plan, error)
    except CannotCompare as error:
        _fail(NOT_POSSIBLE, f"error: {error}")
    tell(found, json_output)
    if exit_code and found.any:
        raise typer.Exit(DIFFERENT)


def _tell_mistakes(plan: Path, error: RenderError) -> NoReturn:
    document = load_document(plan)
    _fail(REFUSED, *(str(document.problem(each.place, each.message)) for each in error.problems))


def _fail(status: int, *lines: str) -> NoReturn:
    for line in lines:
        typer.echo(line, err=True)
    raise typer.Exit(status)


def _checked(fabric: Fabric, files: tuple[RenderedFile, ...], frr_version: str) -> list[Finding]:
    """What the oracles say; progress goes to standard error."""
    names = [node.name for node in fabric.nodes()]
    try:
        require_oracles(frr_version)
        with typer.progressbar(length=len(names), label="checking", file=sys.stderr) as bar:
            return list(check(fabric, files, lambda name: bar.update(1)))
    except OracleMissing as error:
        _fail(NOT_POSSIBLE, f"error: {error}")


def _written(files: tuple[RenderedFile, ...], output: Path, force: bool) -> Written:
    try:
        return write(files, output, force)
    except InTheWayError as error:
        _fail(NOT_POSSIBLE, f"error: {error}; move them away or use --force")
    except OSError as error:
        _fail(NOT_POSSIBLE, f"error: {error.filename}: {error.strerror}")


def _tell_findings(findings: list[Finding]) -> None:
    oracles: dict[str, int] = {}
    for finding in findings:
        oracles[finding.oracle] = oracles.get(finding.oracle, 0) + 1
        for problem in finding.problems:
            typer.echo(f"{finding.file}: {finding.oracle}: {problem}", err=True)
    for oracle, count in oracles.items():
        of_it = [finding for finding in findings if finding.oracle == oracle]
        reasons = [finding.unchecked for finding in of_it if finding.unchecked is not None]
        refused = sum(1 for finding in of_it if finding.problems)
        note = f"; {len(reasons)} not checked: {reasons[0]}" if reasons else ""
        typer.echo(f"{oracle}: {count - refused - len(reasons)} of {count} files taken{note}")


def _tell_written(output: Path, done: Written) -> None:
    for name in done.written:
        typer.echo(f"written  {output / name}")
    for name in done.removed:
        typer.echo(f"removed  {output / name}")
    typer.echo(f"{len(done.written)} written, {len(done.unchanged)} unchanged, {len(done.removed)} removed")
