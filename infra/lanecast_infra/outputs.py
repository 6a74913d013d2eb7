"""What every stack tells by its outputs, besides the ids of what it made (``regional`` names those)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

PLAN: Final = "plan"
WAITING: Final = "waiting"
LEFT_OUT: Final = "leftOut"
OUTDATED: Final = "outdated"
TAKEN: Final = "taken"
"""What it took from other stacks: by stack, kind and name the id, or nothing where it is not there yet."""

RENEWED_VARIABLE: Final = "LANECAST_RENEW"
"""In the environment of a run: names of machines, separated by commas, that are made anew where their files changed."""

NOT_THERE: Final = ""


def found(outputs: Mapping[str, Any] | None, kind: str, name: str) -> str | None:
    """The id of what a stack with these outputs has made; None when it has not, or there is no such stack."""
    return ((outputs or {}).get(kind) or {}).get(name)


def has_moved(taken: Mapping[str, Any], others: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether anything that was taken is another by now, by the outputs of those stacks that are known."""
    return any(
        (found(others[stack], kind, name) or NOT_THERE) != identity
        for stack, kinds in taken.items()
        if stack in others
        for kind, names in kinds.items()
        for name, identity in names.items()
    )
