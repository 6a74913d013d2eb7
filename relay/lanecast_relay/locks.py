"""Waiting for a lock whose holder may wait for a disk, but not for ever."""

from __future__ import annotations

import contextlib
import errno
import threading
from collections.abc import Iterator

WAITED_S = 3.0
"""How long somebody waits for another who may wait for a disk, in seconds."""


@contextlib.contextmanager
def held(lock: threading.Lock, otherwise: str, within_s: float = WAITED_S) -> Iterator[None]:
    """Hold ``lock`` meanwhile. Raises ``OSError`` that says ``otherwise`` when it cannot be had in time."""
    if not lock.acquire(timeout=within_s):
        raise OSError(errno.ETIMEDOUT, otherwise)
    try:
        yield
    finally:
        lock.release()
