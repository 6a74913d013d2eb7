"""The data plane's thread: after every change of the store, and whenever an asynchronous state ends, it makes it so.

It reads the store by a connection of its own, so that the API never waits for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lanecast_lab.cloud.data_plane.description import describe
from lanecast_lab.cloud.data_plane.model import Description
from lanecast_lab.cloud.data_plane.namespaces import replace_file
from lanecast_lab.cloud.data_plane.reconciler import Built, Reconciler
from lanecast_lab.cloud.data_plane.snapshot import Reader, Surroundings
from lanecast_lab.cloud.data_plane.status import REGISTRY

AGAIN_AFTER_S = 1.0
"""What could not be made is tried again after so long."""


class Worker:
    """Keeps the data plane of one state directory, from ``start`` to ``stop``."""

    def __init__(self, state: Path, surroundings: Callable[[], Surroundings]) -> None:
        self._state = state
        self._surroundings = surroundings
        self._wakeup = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._stopping = threading.Event()
        self._reconciler = Reconciler(state, self.wake)
        self._last: Description | None = None
        self._problems: list[str] = []
        self._is_unfinished = False
        self._told = (0, 0.0)
        """The change that is applied, and of which moment."""
        self._thread = threading.Thread(target=self._run, name="data-plane")

    def start(self) -> None:
        """Remove what a killed server left, its registry too, and begin."""
        self._reconciler.clean()
        (self._state / REGISTRY).unlink(missing_ok=True)
        self._thread.start()

    def wake(self) -> None:
        """Say that something has changed. Returns at once; from any thread."""
        os.eventfd_write(self._wakeup, 1)

    def stop(self) -> None:
        """Remove everything."""
        self._stopping.set()
        self.wake()
        if self._thread.ident is not None:
            self._thread.join()
        os.close(self._wakeup)

    def _run(self) -> None:
        reader = Reader(self._state)
        try:
            while not self._stopping.is_set():
                self._wait(self._guarded_round(reader))
        finally:
            reader.close()
            self._reconciler.close()
            (self._state / REGISTRY).unlink(missing_ok=True)

    def _wait(self, until: float | None) -> None:
        """Wait for a change, the end of a program, or a moment (seconds of Unix time)."""
        poll = select.poll()
        # when there is another round soon, what has ended is seen in that: it must not cause one at once
        handles = [] if self._is_unfinished else self._reconciler.handles()
        for handle in (self._wakeup, *handles):
            poll.register(handle, select.POLLIN)
        poll.poll(None if until is None else max(0.0, until - time.time()) * 1000 + 1)
        try:
            os.eventfd_read(self._wakeup)
        except BlockingIOError:
            return

    def _guarded_round(self, reader: Reader) -> float | None:
        """A round. A mistake of ours must not end the thread: the next round may well succeed."""
        try:
            return self._round(reader)
        except Exception as error:
            traceback.print_exc()
            self._is_unfinished, self._last = True, None
            self._tell([f"{type(error).__name__}: {error}"])
            with contextlib.suppress(OSError):  # of which standard error has been told, if that is what failed
                self._write_registry(*self._told)
            return time.time() + AGAIN_AFTER_S

    def _round(self, reader: Reader) -> float | None:
        """Make it as it has to be now; returns when to look again even if nothing changes."""
        snapshot = reader.read(time.time(), self._surroundings())
        wanted = describe(snapshot)
        if wanted != self._last or self._is_unfinished or not self._reconciler.is_settled():
            self._reconciler.apply(wanted)
        self._last = wanted
        self._is_unfinished = self._reconciler.is_unfinished()
        self._tell(self._reconciler.problems())
        self._told = (snapshot.change, snapshot.now)
        self._write_registry(*self._told)
        moments = [time.time() + AGAIN_AFTER_S] if self._is_unfinished else []
        if (end := snapshot.next_end()) is not None:
            moments.append(end)
        return min(moments, default=None)

    def _tell(self, problems: list[str]) -> None:
        for problem in problems:
            if problem not in self._problems:
                print(f"data plane: {problem}", file=sys.stderr, flush=True)
        self._problems = problems

    def _write_registry(self, change: int, as_of: float) -> None:
        registry = self._registry(change, as_of)
        replace_file(self._state / REGISTRY, json.dumps(registry, indent=1) + "\n")

    def _registry(self, change: int, as_of: float) -> dict[str, Any]:
        nodes = [_entry(built) for built in self._reconciler.built.values()]
        return {
            "pid": os.getpid(),
            "change": change,
            "as_of": as_of,
            "problems": self._problems,
            "nodes": sorted(nodes, key=lambda node: str(node["id"])),
        }


def _entry(built: Built) -> dict[str, Any]:
    node = built.shown
    return {
        "id": node.key,
        "kind": node.kind,
        "name": node.name,
        "region": node.region,
        "pid": built.namespace.pid,
        "namespace": built.name,
        "addresses": [address.partition("/")[0] for each in node.interfaces for address in each.addresses],
    }
