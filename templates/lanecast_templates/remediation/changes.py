"""What a change means on each device: commands to type, files to put in place, and how to undo both."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import PurePosixPath

from lanecast.plan.layout import COUNTERPARTS, HAND_OVER
from lanecast_templates.remediation.blocks import block_commands, commands_afterwards
from lanecast_templates.remediation.dialect import BlockDialect, Dialect
from lanecast_templates.remediation.dialects import dialect_of
from lanecast_templates.remediation.host_files import Applied, applying, host_file, order
from lanecast_templates.remediation.paths import UnreadableText, path_commands
from lanecast_templates.user_data import USER_DATA

HEADER = re.compile(r"Rendered by lanecast from the plan .*?: change the plan")
"""Says which plan a file is from, which is no change of the device."""

NO_PLAN = "Rendered by lanecast: change the plan"


class CannotCompare(Exception):
    """Two renderings cannot be compared; says why."""


@dataclass(frozen=True, slots=True)
class Commands:
    """What is typed into a router. Empty where its file differs in nothing that is typed."""

    file: str
    platform: str
    type: tuple[str, ...]
    undo: tuple[str, ...]
    keep: str
    """How the result is kept over a restart."""
    atomic: bool
    """Whether a commit makes all of it take effect at once."""


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file that is put in place, or taken away, and the commands that make that count."""

    file: str
    status: str
    """``changed``, ``added`` or ``removed``."""
    diff: str
    run: Applied
    undo: Applied
    """The same for bringing back the old state of the file."""
    note: str | None


@dataclass(frozen=True, slots=True)
class DeviceChange:
    """A device. One that was added or removed has neither commands nor files here: all of it is new, or gone."""

    name: str
    status: str
    """``added``, ``removed``, ``changed`` or ``unchanged``."""
    files: tuple[FileChange, ...] = ()
    commands: tuple[Commands, ...] = ()


@dataclass(frozen=True, slots=True)
class Changes:
    """Everything that a change window has to do."""

    devices: tuple[DeviceChange, ...]
    sheets: tuple[str, ...]
    """Hand-over sheets that say something else than before."""

    @property
    def any(self) -> bool:
        """Whether there is something to do."""
        return bool(self.sheets) or any(device.status != "unchanged" for device in self.devices)


def changes(old: Mapping[PurePosixPath, str], new: Mapping[PurePosixPath, str]) -> Changes:
    """Compare two renderings without secrets in them. Others' routers, which nobody here types into, are left out.

    Raises :class:`CannotCompare`.
    """
    before, after = ({path: HEADER.sub(NO_PLAN, text) for path, text in texts.items()} for texts in (old, new))
    names = sorted({path.parts[0] for path in (*before, *after)} - {COUNTERPARTS, HAND_OVER})
    devices = tuple(_device(name, _below(before, name), _below(after, name)) for name in names)
    sheets = sorted(
        str(path) for path in {*before, *after} if path.parts[0] == HAND_OVER and before.get(path) != after.get(path)
    )
    return Changes(devices, tuple(sheets))


def _below(texts: Mapping[PurePosixPath, str], name: str) -> dict[PurePosixPath, str]:
    """A node's files. User data are read at an instance's first start alone: what is in them is there as files, too."""
    below = {PurePosixPath(*path.parts[1:]): text for path, text in texts.items() if path.parts[0] == name}
    return {path: text for path, text in below.items() if path.name != USER_DATA}


def _device(name: str, old: Mapping[PurePosixPath, str], new: Mapping[PurePosixPath, str]) -> DeviceChange:
    if not old or not new:
        return DeviceChange(name, "removed" if old else "added")
    changed = sorted((path for path in {*old, *new} if old.get(path) != new.get(path)), key=lambda p: (order(p), p))
    if not changed:
        return DeviceChange(name, "unchanged")
    typed = [path for path in changed if dialect_of(path) is not None and path in old and path in new]
    return DeviceChange(
        name,
        "changed",
        tuple(_file(name, path, old.get(path), new.get(path)) for path in changed if path not in typed),
        tuple(_typed(name, path, old[path], new[path]) for path in typed),
    )


def _typed(name: str, path: PurePosixPath, old: str, new: str) -> Commands:
    dialect = dialect_of(path)
    assert dialect is not None  # asked for by the caller
    try:
        there, back = _session(dialect, old, new), _session(dialect, new, old)
    except UnreadableText as error:
        raise CannotCompare(f"{name}/{path}: {error}") from None
    return Commands(str(path), dialect.platform, there, back, dialect.session.keep, dialect.session.atomic)


def _session(dialect: Dialect, old: str, new: str) -> tuple[str, ...]:
    """The commands with what is typed around them; nothing where the text differs in nothing that is typed."""
    after: Iterable[str] = ()
    if isinstance(dialect, BlockDialect):
        commands, after = block_commands(dialect, old, new), commands_afterwards(dialect, old, new)
    else:
        commands = path_commands(dialect, old, new)
    return (*dialect.session.enter, *commands, *dialect.session.leave, *after) if commands else ()


def _file(name: str, path: PurePosixPath, old: str | None, new: str | None) -> FileChange:
    status = "added" if old is None else "removed" if new is None else "changed"
    diff = unified_diff(
        (old or "").splitlines(), (new or "").splitlines(), f"old/{name}/{path}", f"new/{name}/{path}", lineterm=""
    )
    note = host_file(path).note
    if dialect_of(path) is not None:
        note = "the whole configuration is new here: load the file" if new is not None else "another platform took over"
    return FileChange(
        str(path),
        status,
        "\n".join(diff),
        applying(path, old, new),
        applying(path, new, old),
        note,
    )
