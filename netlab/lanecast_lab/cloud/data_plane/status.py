"""What programs of the data plane find out, for the API to show: a file in the node's own folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

REGISTRY = "data-plane.json"
"""In the state directory, while a data plane runs: its nodes and what could not be made."""
STATUS = "status.json"
NODES = "nodes"
"""The folder of the state directory in which each node has its own, while a data plane runs."""


def write_status(directory: Path, status: dict[str, Any]) -> None:
    """Put this in place of what was there, whole."""
    fresh = directory / f"{STATUS}.new"
    fresh.write_text(json.dumps(status))
    fresh.replace(directory / STATUS)


def read_status(state: Path, key: str) -> dict[str, Any] | None:
    """What was found out in a node, empty while nothing was; None where there is no such node, or no data plane."""
    folder = state / NODES / key
    try:
        found: dict[str, Any] = json.loads((folder / STATUS).read_text())
    except FileNotFoundError:
        return {} if folder.exists() else None
    return found


def target_name(listener: str, port: int, instance_id: str) -> str:
    """A backend as one listener of its load balancer has it: what is healthy is said of these."""
    return f"{listener}:{port}:{instance_id}"
