"""Programs that keep running in nodes: daemons, health checks, wires."""

from __future__ import annotations

import os
import select
import subprocess
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import IO

from lanecast_lab.cloud.data_plane.model import DIRECTORY, File, Program
from lanecast_lab.errors import LabError
from lanecast_lab.node import Node, executable

READY_WITHIN_S = 10.0
STOPPED_WITHIN_S = 3.0
AGAIN_AFTER_S = 1.0
"""A program that ends by itself is started again after so long."""


@dataclass(slots=True)
class Running:
    """A program of a node, and its process."""

    node: Node
    program: Program
    process: subprocess.Popen[str] | None = None
    handle: int = -1
    """By which its end is noticed: pidfd_open(2)."""
    started_at: float = field(default=0.0)

    def start(self) -> None:
        """Write its files and start it; wait until it works when it says so."""
        _write(self.node, self.program.files)
        name, *arguments = (_placed(word, self.node) for word in self.program.command)
        command = [name if "/" in name else executable(name), *arguments]
        self.started_at = time.monotonic()
        log = self.node.directory / f"{self.program.role}.log"
        with log.open("a") as errors:
            process = subprocess.Popen(
                self.node.inside(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if self.program.ready else errors,
                stderr=errors,
                text=True,
                cwd=self.node.directory,
                process_group=0,  # and no session of its own: the kernel may share processors by session
            )
        self.process, self.handle = process, os.pidfd_open(process.pid)
        if self.program.ready:
            try:
                self._await_ready(process)
            except LabError:
                self.stop()
                raise

    def _await_ready(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None  # asked for in start
        readable, _, _ = select.select([process.stdout], [], [], READY_WITHIN_S)
        line = process.stdout.readline() if readable else ""
        if self.program.ready not in line:
            raise LabError(f"{self.node.name}: {self.program.role} does not work: {line.strip() or self.last_words()}")
        log = self.node.directory / f"{self.program.role}.log"
        threading.Thread(target=_copy, args=(process.stdout, str(log)), daemon=True).start()

    def last_words(self) -> str:
        """The end of its log."""
        log = self.node.directory / f"{self.program.role}.log"
        return log.read_text(errors="replace")[-500:].strip() if log.exists() else ""

    def ended(self) -> bool:
        """Whether it does not run."""
        return self.process is None or self.process.poll() is not None

    def ended_early(self) -> bool:
        """Whether it was started only a moment ago: to start it again at once would be a loop."""
        return time.monotonic() < self.started_at + AGAIN_AFTER_S

    def status(self) -> int | None:
        """With which status it ended."""
        return None if self.process is None else self.process.poll()

    def reload(self, program: Program) -> None:
        """Give it other files, and tell it."""
        _write(self.node, program.files)
        self.node.run(*(_placed(word, self.node) for word in program.reload))
        self.program = program

    def stop(self) -> None:
        """End it, kindly at first."""
        process, self.process = self.process, None
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1
        if process is None:
            return
        if process.poll() is None:
            if self.program.stop:
                self.node.run(*(_placed(word, self.node) for word in self.program.stop))
            else:
                process.terminate()
            try:
                process.wait(STOPPED_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def can_reload(before: Program, after: Program) -> bool:
    """Whether nothing but files changed, and the program takes them while it runs."""
    return bool(after.reload) and replace(before, files=after.files) == after


def _placed(text: str, node: Node) -> str:
    return text.replace(DIRECTORY, str(node.directory))


def _write(node: Node, files: Iterable[File]) -> None:
    for file in files:
        path = node.directory / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        # with its mode from the first byte on: it may hold a secret
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, file.mode), "w") as place:
            os.fchmod(place.fileno(), file.mode)
            place.write(_placed(file.text, node))


def _copy(source: IO[str], log: str) -> None:
    """Keep what a program says on standard output, so that it never waits for a reader."""
    with open(log, "a") as file:  # noqa: PTH123 - a thread's own handle
        try:
            for line in source:
                file.write(line)
                file.flush()
        except ValueError:  # closed while it was read: the program was stopped
            return
