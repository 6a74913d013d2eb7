"""``lanecast render --diff OLD NEW``: what a change window has to type and to put in place."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path, PurePosixPath

import typer

from lanecast.commands.common import compile_or_exit
from lanecast.fabric import Fabric
from lanecast_templates.errors import RenderError
from lanecast_templates.remediation.changes import (
    CannotCompare,
    Changes,
    Commands,
    FileChange,
    changes,
)
from lanecast_templates.remediation.dialects import dialect_of
from lanecast_templates.remediation.host_files import Applied, host_file
from lanecast_templates.remediation.placeholders import (
    CannotName,
    Texts,
    new_texts,
    old_file_text,
    old_plan_texts,
)
from lanecast_templates.renderer import SECRET_MODE
from lanecast_templates.secrets import SecretResolver
from lanecast_templates.writer import MANIFEST, InTheWayError, digest, read_manifest

ANSIBLE_INVENTORY = "inventory.yaml"
"""Tells a folder that was rendered as a project for Ansible, whose ``files/`` has the nodes' folders."""

MEANINGS = {
    "added": "new, all of their files (lanecast render -o)",
    "removed": "no longer in the plan",
    "unchanged": "unchanged",
}


def compare(old: Path, plan: Path, fabric: Fabric, frr_version: str) -> Changes:
    """What leads from ``old``, a plan or a folder that was rendered, to ``plan``.

    Raises ``RenderError`` for the new plan's mistakes and :class:`CannotCompare` for everything else.
    """
    try:
        new, values = new_texts(fabric, SecretResolver(directory=plan.parent), frr_version)
        if old.is_dir():
            return changes(_folder_texts(old, new), new.shown)
        return changes(_plan_texts(old, frr_version, values).shown, new.shown)
    except CannotName as error:
        raise CannotCompare(str(error)) from None


def _plan_texts(old: Path, frr_version: str, values: dict[str, str]) -> Texts:
    fabric = compile_or_exit(old)
    try:
        return old_plan_texts(fabric, SecretResolver(directory=old.parent), frr_version, old, values)
    except RenderError as error:
        raise CannotCompare(f"{old}: {error}") from None


def _folder_texts(folder: Path, new: Texts) -> dict[PurePosixPath, str]:
    """What stands in a folder that was rendered before, without its secrets."""
    try:
        manifest = read_manifest(folder)
    except InTheWayError:
        raise CannotCompare(f"{folder / MANIFEST} is damaged: render the folder again") from None
    if not manifest:
        raise CannotCompare(f"{folder} is neither a plan nor a folder that lanecast render wrote")
    texts: dict[PurePosixPath, str] = {}
    for name, known in manifest.items():
        file, path = folder / name, _place(PurePosixPath(name), is_project=ANSIBLE_INVENTORY in manifest)
        if path is None:
            continue
        try:
            content = file.read_bytes()
            text = content.decode()
        except FileNotFoundError:
            raise CannotCompare(f"{file} is gone since it was rendered: render the folder again") from None
        except (OSError, UnicodeDecodeError) as error:
            raise CannotCompare(f"{file} cannot be read: {error}") from None
        if digest(content) != known:
            typer.echo(f"warning: {file} was edited since it was rendered; it counts as it is now", err=True)
        texts[path] = old_file_text(
            text,
            file,
            new.lines.get(path, {}),
            new.shown.get(path, ""),
            whole=_is_of_a_secret(path, file.stat().st_mode),
        )
    return texts


def _is_of_a_secret(path: PurePosixPath, mode: int) -> bool:
    """Whether a file's own words do not tell where its secret is."""
    below = PurePosixPath(*path.parts[1:])
    return dialect_of(below) is None and (host_file(below).holds_secret or stat.S_IMODE(mode) == SECRET_MODE)


def _place(path: PurePosixPath, is_project: bool) -> PurePosixPath | None:
    """Where a file of a rendered folder stands in one of plain files; None: its format has it besides."""
    if is_project and path.parts[0] in ("host_vars", "playbooks"):
        return None
    if is_project and path.parts[0] == "files":
        path = path.relative_to("files")
    return path if len(path.parts) > 1 else None


def tell(found: Changes, json_output: bool) -> None:
    """Print it, for people or for programs."""
    if json_output:
        sys.stdout.write(json.dumps(asdict(found), indent=2) + "\n")
        return
    for line in _lines(found):
        typer.echo(line)


def _lines(found: Changes) -> Iterator[str]:
    for device in found.devices:
        if device.status == "changed":
            yield device.name
            for file in device.files:
                yield from _file_lines(file)
            for commands in device.commands:
                yield from _command_lines(commands)
            yield ""
    for status, meaning in MEANINGS.items():
        names = [device.name for device in found.devices if device.status == status]
        if names:
            yield f"{meaning}: {', '.join(names)}"
    if found.sheets:
        yield f"sheets to send again: {', '.join(found.sheets)}"


def _file_lines(file: FileChange) -> Iterator[str]:
    yield f"  {file.file} is {file.status}" + (f"; {file.note}" if file.note else "")
    yield from (f"    {line}" for line in file.diff.splitlines())
    yield from _applied_lines("", "take it away" if file.status == "removed" else "put it in place", file.run)
    yield from _applied_lines(
        "to undo, ", "take it away" if file.status == "added" else "put the old one back", file.undo
    )


def _applied_lines(purpose: str, act: str, applied: Applied) -> Iterator[str]:
    if applied.before:
        yield f"  {purpose}run"
        yield from (f"    {command}" for command in applied.before)
        yield f"  then {act}" + (", and run" if applied.after else "")
    elif applied.after:
        yield f"  {purpose}{act}, then run"
    yield from (f"    {command}" for command in applied.after)


def _command_lines(commands: Commands) -> Iterator[str]:
    if not commands.type:
        yield f"  {commands.file}: nothing to type; put it in place"
        return
    yield f"  {commands.file} is changed; type" + (", and the commit makes all of it count" if commands.atomic else "")
    yield from (f"    {command}" for command in commands.type)
    yield "  to undo, type"
    yield from (f"    {command}" for command in commands.undo)
    yield f"  to keep it: {commands.keep}"
