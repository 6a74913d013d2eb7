"""An instance's files as cloud-init's user data: what a cloud hands to an instance that it starts for the first time.

The lab runs the subset that is used here and no more: ``write_files`` with path, permissions and content, and
``runcmd`` with commands as lists (cloud-init, modules Write Files and Runcmd). ``packages`` are what the commands need.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

import yaml

FIRST_LINE = "#cloud-config"
USER_DATA = "user-data.yaml"
"""What the file is called below an instance's folder."""


TAB_WIDTH = 4
"""Spaces that a tab becomes, since YAML has none in a block of text."""


@dataclass(frozen=True, slots=True)
class InstanceFile:
    """A file of an instance: where it goes on it, its text and its mode."""

    path: PurePosixPath
    text: str
    mode: int


@dataclass(frozen=True, slots=True)
class UserData:
    """What cloud-init is told."""

    packages: tuple[str, ...]
    files: tuple[InstanceFile, ...]
    commands: tuple[tuple[str, ...], ...]


class UserDataError(Exception):
    """What the lab cannot run of user data."""


class _Text(str):
    """A text that is written line by line."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_representer(_Text, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|"))


def write_user_data(
    header: str, packages: Iterable[str], files: Iterable[InstanceFile], commands: Iterable[tuple[str, ...]]
) -> str:
    """The document that cloud-init reads."""
    document = {
        "packages": list(packages),
        "write_files": [
            {
                "path": str(file.path),
                "permissions": f"{file.mode:04o}",
                "content": _Text(file.text.expandtabs(TAB_WIDTH)),
            }
            for file in files
        ],
        "runcmd": [list(command) for command in commands],
    }
    text = yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=1000, allow_unicode=True)
    return f"{FIRST_LINE}\n# {header}\n{text}"


def read_user_data(text: str) -> UserData:
    """Read the subset that is written here. Raises :class:`UserDataError` for anything else."""
    if not text.startswith(f"{FIRST_LINE}\n"):
        raise UserDataError(f"the first line is not {FIRST_LINE}")
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserDataError(f"no YAML: {error}") from None
    if not isinstance(document, dict):
        raise UserDataError("it is not a mapping")
    unknown = sorted(set(document) - {"packages", "write_files", "runcmd"})
    if unknown:
        raise UserDataError(f"{', '.join(unknown)} is not run here")
    files = []
    for entry in document.get("write_files", ()):
        if set(entry) != {"path", "permissions", "content"}:
            raise UserDataError(f"write_files takes path, permissions and content here, found {', '.join(entry)}")
        files.append(InstanceFile(PurePosixPath(entry["path"]), entry["content"], int(entry["permissions"], 8)))
    commands = document.get("runcmd", ())
    if not all(isinstance(command, list) for command in commands):
        raise UserDataError("runcmd takes commands as lists here")
    return UserData(tuple(document.get("packages", ())), tuple(files), tuple(tuple(command) for command in commands))
