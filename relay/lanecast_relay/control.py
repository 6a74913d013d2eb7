"""The control socket: a Unix stream socket that answers every connection with one JSON document of counters."""

from __future__ import annotations

import contextlib
import errno
import json
import selectors
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SOCKET_MODE = 0o660
"""The relay's own user and group may read counters, nobody else."""

ANSWER_WITHIN_S = 2.0
"""How long a reader may take to read its answer before it is dropped, in seconds."""


class ControlSocketInUse(Exception):
    """Another living relay answers on the socket, or something that is no socket stands there."""


class ControlServer:
    """Serves ``answer()`` on ``path`` from a thread of its own, one connection after the other."""

    def __init__(self, path: Path, answer: Callable[[], dict[str, Any]]) -> None:
        self._path = path
        self._answer = answer
        self._listener = _listen(path)
        self._stop, self._stopped = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="relay-control", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving and remove the socket."""
        self._stop.close()
        self._thread.join()
        # While the listener is open nobody takes the path for stale, so what stands there is ours.
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        self._listener.close()
        self._stopped.close()

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._stopped, selectors.EVENT_READ)
            while all(key.fileobj is self._listener for key, _ in selector.select()):
                # A reader that goes away, or reads too slowly, is its own problem.
                with contextlib.suppress(OSError):
                    connection, _ = self._listener.accept()
                    with connection:
                        connection.settimeout(ANSWER_WITHIN_S)
                        connection.sendall(json.dumps(self._answer()).encode() + b"\n")


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


def read_counters(path: Path) -> dict[str, Any]:
    """Return the counters of the relay that serves ``path``; raise ``OSError`` when none does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_WITHIN_S)
        connection.connect(str(path))
        counters: dict[str, Any] = json.loads(b"".join(_chunks(connection)))
        return counters


def _chunks(connection: socket.socket) -> Iterator[bytes]:
    while chunk := connection.recv(65536):
        yield chunk


@contextlib.contextmanager
def serving(path: Path | None, answer: Callable[[], dict[str, Any]]) -> Iterator[None]:
    """Serve ``answer()`` on ``path`` meanwhile; do nothing without a path."""
    if path is None:
        yield
        return
    server = ControlServer(path, answer)
    try:
        yield
    finally:
        server.close()
