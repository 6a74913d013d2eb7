"""The control socket: a Unix stream socket. A connection brings one request, a line of JSON, and gets one line back.

``{"request": "counters"}`` is answered with the counters, ``{"request": "counters-with-ranges"}`` with those and the
ranges of numbers that were lost or refused. ``{"request": "reload"}`` reloads the relay's file and is answered with
``{"changes": […]}``, or with ``{"mistakes": […], "refused": …}`` and then nothing has changed. Whatever else is asked
is answered with ``{"error": …}``.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import selectors
import socket
import stat
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from lanecast_relay.unexpected import unexpected

SOCKET_MODE = 0o660
"""The relay's own user and group may read counters, nobody else; only its user and root may reload."""

ANSWER_WITHIN_S = 2.0
"""How long one who asks may take to send the request, and to read the answer, in seconds."""

ENDED_WITHIN_S = 5.0
"""How long the end waits for one who is being answered: long enough for the slowest who asks, but for no disk."""

RELOADED_WITHIN_S = 30.0
"""How long a reload may take, in seconds: opening sockets and joining groups, one after the other."""

LONGEST_REQUEST_BYTES = 4096
PEER_CREDENTIALS = struct.Struct("3i")
"""pid, uid, gid (unix(7), SO_PEERCRED)."""

OWNERS_ONLY = frozenset({"reload"})

Handlers = Mapping[str, Callable[[], dict[str, Any]]]
"""What answers a request, by its name."""


class Log(Protocol):
    """The one method of a structlog logger that is needed."""

    def error(self, event: str, **fields: object) -> object: ...


class ControlSocketInUse(Exception):
    """Another living relay answers on the socket, or something that is no socket stands there."""


class ControlServer:
    """Serves ``handlers`` on ``path`` from a thread of its own, one connection after the other."""

    def __init__(self, path: Path, handlers: Handlers, log: Log) -> None:
        self._path = path
        self._handlers = handlers
        self._log = log
        self._listener = _listen(path)
        self._stop, self._stopped = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="relay-control", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving and remove the socket. One who waits for a disk is left to it."""
        self._stop.close()
        self._thread.join(ENDED_WITHIN_S)
        hangs = self._thread.is_alive()
        if hangs:
            self._log.error("control socket does not end: what it was asked for hangs", within_s=ENDED_WITHIN_S)
        # While the listener is open nobody takes the path for stale, so what stands there is ours.
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        self._listener.close()
        if not hangs:  # else this is what ends the thread, should it go on
            self._stopped.close()

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._stopped, selectors.EVENT_READ)
            while all(key.fileobj is self._listener for key, _ in selector.select()):
                # One who goes away, or is too slow, is its own problem.
                with contextlib.suppress(OSError):
                    connection, _ = self._listener.accept()
                    with connection:
                        request = _request(connection)
                        answer = self._answer(request, connection)
                        connection.settimeout(ANSWER_WITHIN_S)
                        connection.sendall(json.dumps(answer).encode() + b"\n")

    def _answer(self, request: str, connection: socket.socket) -> dict[str, Any]:
        handler = self._handlers.get(request)
        if handler is None:
            return {"error": f"no such request; expected one of {', '.join(sorted(self._handlers))}"}
        if request in OWNERS_ONLY and not _is_owner(connection):
            return {"error": f"{request}: only for the relay's own user and root"}
        try:
            return handler()
        except Exception as error:
            # Whatever it was, the next one who asks is answered.
            self._log.error("request failed", request=request, reason=unexpected(error))
            return {"error": f"{request}: failed; the relay's log says where"}


def _is_owner(connection: socket.socket) -> bool:
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER_CREDENTIALS.size)
    _, user, _ = PEER_CREDENTIALS.unpack(packed)
    return user in (0, os.geteuid())


def _request(connection: socket.socket) -> str:
    """The request's name; empty when it is none. Raises ``OSError`` when it does not come in time."""
    deadline_s, text = time.monotonic() + ANSWER_WITHIN_S, b""
    while b"\n" not in text and len(text) <= LONGEST_REQUEST_BYTES:
        connection.settimeout(max(0.001, deadline_s - time.monotonic()))
        chunk = connection.recv(LONGEST_REQUEST_BYTES)
        if not chunk:
            break
        text += chunk
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    request = document.get("request") if isinstance(document, dict) else None
    return request if isinstance(request, str) else ""


def _listen(path: Path) -> socket.socket:
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Nobody may connect between bind and listen, so the mode is right before the first answer.
        listener.bind(str(path))
        path.chmod(SOCKET_MODE)
        listener.listen(8)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def _remove_stale(path: Path) -> None:
    """Remove a socket that a dead relay left; raise :class:`ControlSocketInUse` for anything else."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ControlSocketInUse(f"{path}: something that is no socket stands there; name another control-socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(ANSWER_WITHIN_S)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except OSError as error:
            if error.errno == errno.ENOENT:
                return
            raise
    raise ControlSocketInUse(f"{path}: a relay is running there; stop it, or name another control-socket")


class RequestRefused(OSError):
    """The relay does not do what was asked; says why."""


def read_counters(path: Path, ranges: bool = False) -> dict[str, Any]:
    """Return the counters of the relay that serves ``path``, with the ``ranges``; raise ``OSError`` when none does."""
    return _ask(path, "counters-with-ranges" if ranges else "counters", ANSWER_WITHIN_S)


def ask_to_reload(path: Path) -> dict[str, Any]:
    """Make the relay that serves ``path`` read its file anew, and return its answer; raise ``OSError``."""
    return _ask(path, "reload", RELOADED_WITHIN_S)


def _ask(path: Path, request: str, within_s: float) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(within_s)
        connection.connect(str(path))
        connection.sendall(json.dumps({"request": request}).encode() + b"\n")
        text = b"".join(_chunks(connection))
    if not text:
        raise RequestRefused(errno.ECONNRESET, "the relay went away before it answered")
    answer: dict[str, Any] = json.loads(text)
    if "error" in answer:
        raise RequestRefused(errno.EPERM, answer["error"])
    return answer


def _chunks(connection: socket.socket) -> Iterator[bytes]:
    while chunk := connection.recv(65536):
        yield chunk


@contextlib.contextmanager
def serving(path: Path | None, handlers: Handlers, log: Log) -> Iterator[None]:
    """Serve ``handlers`` on ``path`` meanwhile; do nothing without a path."""
    if path is None:
        yield
        return
    server = ControlServer(path, handlers, log)
    try:
        yield
    finally:
        server.close()
