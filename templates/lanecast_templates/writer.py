"""Writes rendered files into a folder, and touches nothing there that it did not write itself.

A manifest in the folder says which files are ours and what was in them. A file in the way that the manifest does not
know, or that was edited since, stops everything before the first write.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lanecast_templates.renderer import RenderedFile

MANIFEST = ".lanecast-rendered.json"


class InTheWayError(Exception):
    """Files in the output folder that are not ours to replace."""

    def __init__(self, paths: list[str]) -> None:
        super().__init__(
            "these files were not written by this command, or were edited since: " + ", ".join(sorted(paths))
        )
        self.paths = paths


@dataclass(frozen=True, slots=True)
class Written:
    """What one rendering did to the folder, by path."""

    written: tuple[str, ...]
    unchanged: tuple[str, ...]
    removed: tuple[str, ...]


def digest(content: bytes) -> str:
    """What the manifest keeps of a file."""
    return hashlib.sha256(content).hexdigest()


def read_manifest(directory: Path) -> dict[str, str]:
    """What was written into the folder: digests of the files, by name. Nothing where there is no manifest."""
    path = directory / MANIFEST
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        content = None
    if not isinstance(content, dict) or not all(isinstance(value, str) for value in content.values()):
        raise InTheWayError([MANIFEST])
    return content


def _is_ours(path: Path, known: str | None) -> bool:
    """Whether a file is as we left it; a link is never ours, because we write none."""
    return known is not None and path.is_file() and not path.is_symlink() and digest(path.read_bytes()) == known


def write(files: Sequence[RenderedFile], directory: Path, force: bool = False) -> Written:
    """Write ``files`` below ``directory`` and remove those of a former run that are no longer rendered.

    Raises :class:`InTheWayError`, before anything is written, when a file in the way is not ours and not ``force``.
    """
    before = read_manifest(directory)
    wanted = {str(file.path): file for file in files}
    _refuse_strangers(directory, before, wanted, force)
    removed = _remove_stale(directory, before, wanted)
    written, unchanged = [], []
    for name, file in wanted.items():
        path = directory / name
        content = file.text.encode("utf-8")
        if path.is_file() and not path.is_symlink() and path.read_bytes() == content:
            path.chmod(file.mode)
            unchanged.append(name)
        else:
            _write_file(path, content, file.mode)
            written.append(name)
    manifest = {name: digest(file.text.encode("utf-8")) for name, file in sorted(wanted.items())}
    _write_file(directory / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode("utf-8"), 0o644)
    return Written(tuple(sorted(written)), tuple(sorted(unchanged)), tuple(removed))


def _refuse_strangers(directory: Path, before: dict[str, str], wanted: dict[str, RenderedFile], force: bool) -> None:
    strangers = []
    for name, file in wanted.items():
        path = directory / name
        outside = not path.resolve().is_relative_to(directory.resolve()) or _is_blocked(path, directory)
        in_the_way = (path.is_symlink() or path.exists()) and not _is_ours(path, before.get(name))
        same = path.is_file() and not path.is_symlink() and path.read_bytes() == file.text.encode("utf-8")
        if outside or (in_the_way and not same and not force):
            strangers.append(name)
    if strangers:
        raise InTheWayError(strangers)


def _is_blocked(path: Path, directory: Path) -> bool:
    """Whether a folder stands where a file is to be, or a file where a folder is: nothing replaces those."""
    above = path.relative_to(directory).parents
    return path.is_dir() or any((directory / part).is_file() for part in above)


def _remove_stale(directory: Path, before: dict[str, str], wanted: dict[str, RenderedFile]) -> list[str]:
    """Remove what a former run wrote and nobody has touched since; folders go when that empties them."""
    removed = []
    for name in sorted(set(before) - set(wanted)):
        path = directory / name
        inside = path.resolve().is_relative_to(directory.resolve())
        if inside and _is_ours(path, before[name]):
            path.unlink()
            removed.append(name)
            for parent in path.parents:
                if parent == directory or any(parent.iterdir()):
                    break
                parent.rmdir()
    return removed


def _write_file(path: Path, content: bytes, mode: int) -> None:
    """Replace a file in one step: a reader sees the old text or the new one, and a secret is never readable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".lanecast-")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
