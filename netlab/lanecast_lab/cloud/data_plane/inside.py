"""Work in the network namespace of a process, by a thread that enters it and ends there."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from typing import TypeVar

CLONE_NEWNET = 0x40000000
"""setns(2): a network namespace, which is each thread's own."""

Result = TypeVar("Result")

_libc = ctypes.CDLL(None, use_errno=True)


def enter(pid: int) -> None:
    """Move the calling thread, and it alone, into the network namespace of a process. Raises :class:`OSError`."""
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(namespace, CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"network namespace of process {pid}: {os.strerror(number)}")
    finally:
        os.close(namespace)


def run_inside(pid: int, work: Callable[[], Result]) -> Result:
    """Return what ``work`` returns, done by a thread in that namespace; what it raises is raised here."""
    results: list[Result] = []
    failures: list[BaseException] = []

    def task() -> None:
        try:
            enter(pid)
            results.append(work())
        except BaseException as error:  # raised again below, by the thread that asked
            failures.append(error)

    thread = threading.Thread(target=task, name=f"inside-{pid}")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]
