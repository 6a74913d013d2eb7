"""Errors that nobody expected, as the log tells them."""

from __future__ import annotations

import traceback
from pathlib import Path


def unexpected(error: Exception) -> str:
    """Which kind, and where. Not its text, which may hold what was being read, and that may be a secret."""
    *_, last = [None, *traceback.extract_tb(error.__traceback__)]
    return type(error).__name__ + ("" if last is None else f" at {Path(last.filename).name}:{last.lineno}")
