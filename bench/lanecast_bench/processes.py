"""Processes that the benchmark starts: each in its own session, ended by its id, and dead when the benchmark dies."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

TERM_WAIT_S = 3.0
"""How long a process may take to end after SIGTERM, before SIGKILL."""

SHOWN_ERROR_CHARACTERS = 400

DIE_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL", "--")
"""prctl(2), PR_SET_PDEATHSIG: also a benchmark that is killed leaves nothing running."""


class BenchError(Exception):
    """A measurement cannot be made; the message says why."""


def run(*arguments: str, stdin: str | None = None) -> str:
    """Run a command to its end and return its output; raise :class:`BenchError` with what it said when it fails."""
    try:
        done = subprocess.run(arguments, input=stdin, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise BenchError(f"{arguments[0]} is not installed: see setup/debian-packages.txt") from None
    if done.returncode:
        raise BenchError(f"{' '.join(arguments)}: {done.stderr.strip() or f'status {done.returncode}'}")
    return done.stdout


class Child:
    """A process whose output is read as it comes, so that a full pipe never stops it."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._errors: IO[str] = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by stop
        self._command = " ".join(arguments)
        self._process = subprocess.Popen(
            [*DIE_WITH_PARENT, *arguments],
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            start_new_session=True,
        )
        self._printed = threading.Event()
        self._last = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None  # it is a pipe
        for line in self._process.stdout:
            self._last = line
            self._printed.set()
        self._printed.set()

    @property
    def session(self) -> int:
        """The session's id, which is the process's."""
        return self._process.pid

    def wait_printed(self, seconds: float) -> None:
        """Wait until the process has printed a line or ended, at most ``seconds``."""
        self._printed.wait(seconds)

    def check(self, name: str) -> None:
        """Raise :class:`BenchError` with the process's last words when it has ended."""
        status = self._process.poll()
        if status is not None:
            raise BenchError(f"{name} ended with status {status}: {self._last_words() or 'it said nothing'}")

    def finish(self, seconds: float) -> dict[str, Any]:
        """Wait for the end, and return the JSON object of the last line that was printed."""
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise BenchError(f"{self._command}: not done after {seconds:.0f} s") from None
        self._reader.join()
        if status or not self._last:
            raise BenchError(f"{self._command}: status {status}: {self._last_words() or 'no result'}")
        result = json.loads(self._last)
        assert isinstance(result, dict)  # every tool here prints objects
        return result

    def stop(self) -> None:
        """End the process and its session; fine when it has ended."""
        if self._process.poll() is None:
            self._signal(signal.SIGTERM)
            try:
                self._process.wait(TERM_WAIT_S)
            except subprocess.TimeoutExpired:
                self._signal(signal.SIGKILL)
                self._process.wait(TERM_WAIT_S)
        self._reader.join(TERM_WAIT_S)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):  # it ended between the look and the signal
            os.killpg(self._process.pid, number)

    def _last_words(self) -> str:
        self._errors.seek(0)
        return self._errors.read()[-SHOWN_ERROR_CHARACTERS:].strip()


def start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since boot (proc(5), ``stat``, field 22); None when there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(stat.rpartition(")")[2].split()[19])
