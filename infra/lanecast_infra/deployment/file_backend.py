"""What a kill leaves torn in a backend of files.

Pulumi (gocloud.dev/blob/fileblob) writes a file's attributes in place. One that a kill left empty fails every command
on the stack with nothing but `EOF`; without it, all is well.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import yaml

from lanecast_infra.deployment.engine import Engine
from lanecast_infra.deployment.project import PROJECT_FILE, pulumi_home

ATTRIBUTES: Final = ".attrs"
TEMPORARY: Final = ".tmp"
KEPT_IN: Final = ("stacks", "locks", "history")
STILL_FOR_S: Final = 1.0
"""What is written at this moment is finished long before."""

Version = tuple[int, int]
"""Size of a file, and when it was written."""


def clear_torn(engine: Engine) -> list[str]:
    """Remove what nobody writes any more and nobody can read; returns the files' names."""
    folder = _folder(engine)
    if folder is None or not (before := dict(_torn(folder))):
        return []
    time.sleep(STILL_FOR_S)
    still = [path for path, version in _torn(folder) if before.get(path) == version]
    for path in still:
        path.unlink(missing_ok=True)
    return sorted(path.name for path in still)


def clear_lock(url: str) -> bool:
    """Remove one lock, and no other's as `pulumi cancel` does; False where it is not in a backend of files."""
    parts = urlsplit(url)
    if parts.scheme != "file":
        return False
    lock = Path(unquote(parts.path))
    for path in (lock, lock.with_name(lock.name + ATTRIBUTES)):
        path.unlink(missing_ok=True)
    return True


def _torn(folder: Path) -> Iterator[tuple[Path, Version]]:
    for part in KEPT_IN:
        for path in (folder / ".pulumi" / part).rglob("*"):
            try:
                if path.suffix == TEMPORARY or (path.suffix == ATTRIBUTES and not _is_json(path)):
                    yield path, (path.stat().st_size, path.stat().st_mtime_ns)
            except FileNotFoundError:  # its writer is alive, and done with it
                continue


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return False
    return True


def _folder(engine: Engine) -> Path | None:
    """Where the backend's files are; None when it is none of files."""
    parts = urlsplit(_backend(engine))
    if parts.scheme != "file":
        return None
    path = Path(unquote(f"{parts.netloc}{parts.path}"))  # as Pulumi reads file://~ and file://./here
    return engine.project / path.expanduser()


def _backend(engine: Engine) -> str:
    """The URL, in the order in which Pulumi looks for it."""
    if told := engine.environment.get("PULUMI_BACKEND_URL"):
        return told
    project = yaml.safe_load((engine.project / PROJECT_FILE).read_text()) or {}
    if told := (project.get("backend") or {}).get("url"):
        return str(told)
    credentials = pulumi_home(engine.environment) / "credentials.json"
    return str(json.loads(credentials.read_text()).get("current") or "") if credentials.exists() else ""
