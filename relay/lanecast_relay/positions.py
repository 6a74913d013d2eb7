"""Where the relay's streams are, kept in a file: the next process goes on under the same names of its own sessions.

A disk that hangs holds up nothing: a thread of its own writes, and of what waits for it only the latest.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any, Protocol

FILE_NAME = "sessions.json"
FORMAT_KEY = "lanecast-sessions"
FORMAT = 1

CLOSE_WITHIN_S = 10.0
"""How long the end of a relay waits for its disk, in seconds."""

Position = dict[str, Any]
"""What ``core/edge/src/config.rs`` reads as ``PositionConfig``."""

FIELDS: dict[str, type] = {"feed": str, "channel": str, "protocol": str, "stream": int, "epoch": str, "next": int}


class Log(Protocol):
    """The one method of a structlog logger that is needed."""

    def warning(self, event: str, **fields: object) -> object: ...


class Positions:
    """Follows the counters; with a directory what it knows outlives the process."""

    def __init__(self, directory: Path | None, log: Log) -> None:
        self._log = log
        self._path = None if directory is None else directory / FILE_NAME
        self._known: dict[tuple[str, str, int], Position] = {}
        self._condition = threading.Condition()
        self._waiting: list[Position] | None = None
        self._closed = False
        self._thread: threading.Thread | None = None
        if self._path is not None:
            self._read(self._path)

    def known(self) -> list[Position]:
        """Every stream's latest position, those of feeds that are gone included."""
        return list(self._known.values())

    def follow(self, counters: dict[str, Any]) -> None:
        """Take over where the streams are now."""
        known = dict(self._known)
        for stream in counters["streams"]:
            at = stream["position"]
            if at is not None:
                # A stream of several in a channel is told as ``channel/stream``.
                channel = stream["channel"].partition("/")[0]
                named = {"feed": stream["feed"], "channel": channel, "protocol": stream["protocol"]}
                known[stream["feed"], channel, at["stream"]] = named | at
        changed, self._known = known != self._known, known
        if self._path is not None and changed:
            with self._condition:
                self._waiting = self.known()
                self._condition.notify()
            if self._thread is None:
                # Started here, after whatever has to be done before there are threads.
                self._thread = threading.Thread(target=self._write_all, args=(self._path,), name="relay-sessions")
                self._thread.daemon = True
                self._thread.start()

    def close(self) -> None:
        """Wait until the latest is written, but not for ever."""
        with self._condition:
            self._closed = True
            self._condition.notify()
        if self._thread is not None:
            self._thread.join(CLOSE_WITHIN_S)
            if self._thread.is_alive():
                self._log.warning(
                    "sessions not kept", file=str(self._path), reason="the disk did not take them in time"
                )

    def _read(self, path: Path) -> None:
        try:
            document = json.loads(path.read_bytes())
        except FileNotFoundError:
            return
        except (OSError, ValueError, RecursionError) as error:
            self._log.warning("sessions not read", file=str(path), reason=str(error))
            return
        streams = document.get("streams") if isinstance(document, dict) and document.get(FORMAT_KEY) == FORMAT else None
        if not isinstance(streams, list) or not all(_is_position(one) for one in streams):
            self._log.warning("sessions not read", file=str(path), reason="it is none of this version's files")
            return
        self._known = {(one["feed"], one["channel"], one["stream"]): one for one in streams}

    def _write_all(self, path: Path) -> None:
        told = ""
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._waiting is not None or self._closed)
                streams, self._waiting = self._waiting, None
            if streams is None:
                return
            try:
                _replace(path, json.dumps({FORMAT_KEY: FORMAT, "streams": streams}))
                told = ""
            except OSError as error:
                if str(error) != told:
                    self._log.warning("sessions not kept", file=str(path), reason=str(error))
                told = str(error)


def _is_position(one: object) -> bool:
    return (
        isinstance(one, dict)
        and set(one) == set(FIELDS)
        and all(type(one[name]) is kind for name, kind in FIELDS.items())
        and 0 <= one["stream"] < 1 << 64
        and 0 <= one["next"] < 1 << 64
    )


def _replace(path: Path, text: str) -> None:
    """All of it or what was there before, whatever happens."""
    fresh = path.with_name(path.name + ".new")
    with fresh.open("w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
