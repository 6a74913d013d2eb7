"""The data plane's thread: after every change of the store, and whenever an asynchronous state ends, it makes it so.

It reads the store by a connection of its own, so that the API never waits for it.
"""

from __future__ import annotations

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
from lanecast_lab.cloud.data_plane.snapshot import Reader, Snapshot, Surroundings

REGISTRY = "data-plane.json"
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
                self._wait(self._round(reader))
        finally:
            reader.close()
            self._reconciler.close()
            (self._state / REGISTRY).unlink(missing_ok=True)

    def _wait(self, until: float | None) -> None:
        """Wait for a change, the end of a program, or a moment (seconds of Unix time)."""
        poll = select.poll()
        for handle in (self._wakeup, *self._reconciler.handles()):
            poll.register(handle, select.POLLIN)
        poll.poll(None if until is None else max(0.0, until - time.time()) * 1000 + 1)
        try:
            os.eventfd_read(self._wakeup)
        except BlockingIOError:
            return

    def _round(self, reader: Reader) -> float | None:
        """Make it as it has to be now; returns when to look again even if nothing changes."""
        now = time.time()
        snapshot = reader.read(now, self._surroundings())
        try:
            self._apply(describe(snapshot))
            problems = self._reconciler.problems()
        except Exception as error:
            # a mistake of ours must not end the thread: the next change may well succeed
            traceback.print_exc()
            self._last = None
            problems = [f"{type(error).__name__}: {error}"]
        for problem in problems:
            if problem not in self._problems:
                print(f"data plane: {problem}", file=sys.stderr, flush=True)
        self._problems = problems
        replace_file(self._state / REGISTRY, json.dumps(self._registry(snapshot), indent=1) + "\n")
        moments = [time.time() + AGAIN_AFTER_S] if problems else []
        if (end := snapshot.next_end()) is not None:
            moments.append(end)
        return min(moments, default=None)

    def _apply(self, wanted: Description) -> None:
        if wanted != self._last or self._problems or not self._reconciler.is_settled():
            self._reconciler.apply(wanted)
        self._last = wanted

    def _registry(self, snapshot: Snapshot) -> dict[str, Any]:
        nodes = [_entry(built) for built in self._reconciler.built.values()]
        return {
            "pid": os.getpid(),
            "change": snapshot.change,
            "as_of": snapshot.now,
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
