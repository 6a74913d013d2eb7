"""The lock file beside a plan: every value that the plan leaves open, by purpose, so that a later change moves none.

``plan.yaml`` has ``plan.lock.yaml``. ``lanecast lock`` alone writes it; with one that lacks something, everything else
refuses to run. Without any, values are chosen afresh each time: always the same for the same plan, but not safe against
the plan's changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import yaml
from pydantic import AliasChoices, Field

from lanecast_relay.config.document import DocumentError, Problem, load_document, validate
from lanecast_relay.config.model import Strict

HEADER = "# What the plan beside this file leaves open. Written by `lanecast lock`; commit it with the plan.\n"


class LockFile(Strict):
    """The file's content."""

    version: Literal[1] = Field(
        validation_alias=AliasChoices("lanecast-lock", "version"), serialization_alias="lanecast-lock"
    )
    values: dict[str, str]


MISSING_SHOWN = 3
"""How many missing values an error names."""


def lock_path(plan: Path) -> Path:
    """Where a plan's lock file is."""
    return plan.with_suffix(".lock.yaml")


def read_lock(plan: Path) -> dict[str, str] | None:
    """The values that a plan's lock file keeps; None when there is no lock file.

    Raises ``DocumentError`` when the file is damaged.
    """
    path = lock_path(plan)
    return validate(LockFile, load_document(path)).values if path.exists() else None


def require_all_kept(plan: Path, kept: Mapping[str, str], needed: Mapping[str, str]) -> None:
    """Raise ``DocumentError`` when a plan needs values that its lock file lacks, or keeps and the plan rules out."""
    missing = sorted(set(needed) - set(kept))
    moved = sorted(purpose for purpose in set(needed) & set(kept) if needed[purpose] != kept[purpose])
    problems = []
    for what, purposes in (("lacks {} values that the plan needs", missing), ("keeps {} that it rules out", moved)):
        if purposes:
            shown = ", ".join(purposes[:MISSING_SHOWN]) + (", …" if len(purposes) > MISSING_SHOWN else "")
            message = f"{what.format(len(purposes))} ({shown}): run `lanecast lock {plan}`"
            problems.append(Problem(str(lock_path(plan)), 1, "values", message))
    if problems:
        raise DocumentError(problems)


def write_lock(plan: Path, values: Mapping[str, str]) -> None:
    """Write a plan's lock file, sorted by purpose."""
    content = LockFile(version=1, values=dict(sorted(values.items()))).model_dump(by_alias=True)
    lock_path(plan).write_text(HEADER + yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
