"""What programs of the data plane find out, for the API to show: a file in the node's own folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

STATUS = "status.json"


def write_status(directory: Path, status: dict[str, Any]) -> None:
    """Put this in place of what was there, whole."""
    fresh = directory / f"{STATUS}.new"
    fresh.write_text(json.dumps(status))
    fresh.replace(directory / STATUS)


def read_status(directory: Path) -> dict[str, Any] | None:
    """What stands there; None while nothing was found out."""
    try:
        found: dict[str, Any] = json.loads((directory / STATUS).read_text())
    except FileNotFoundError:
        return None
    return found
