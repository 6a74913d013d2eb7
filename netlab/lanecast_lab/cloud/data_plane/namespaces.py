"""Network namespaces with a name below ``/run/netns``, and the ledger by which a killed server's are found again.

A namespace of ours is held by a process (``lanecast_lab.node``) and mounted where ``ip netns`` looks. The ledger is
written before the mount is made, with the namespace's number: so whatever is mounted and has the number is ours, and
nothing else ever is. The mount keeps the number from being given to another.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import json
import os
import select
import signal
import stat
import time
from collections.abc import Iterable
from pathlib import Path

from lanecast_lab.errors import LabError
from lanecast_lab.node import Node, hold_namespace

RUN_NETNS = Path("/run/netns")
"""Where iproute2 looks for namespaces by name: ip-netns(8)."""

LEDGER = "data-plane-ledger.json"
ENDED_WITHIN_S = 5.0

MS_BIND, MS_REC, MS_SHARED, MNT_DETACH = 0x1000, 0x4000, 0x100000, 2
"""mount(2), umount2(2)."""

_libc = ctypes.CDLL(None, use_errno=True)


def _mount(source: str, target: Path, flags: int) -> None:
    if _libc.mount(source.encode(), str(target).encode(), b"none", ctypes.c_ulong(flags), None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))


def _unmount(target: Path, flags: int = 0) -> None:
    if _libc.umount2(str(target).encode(), flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))


def namespace_of(pid: int) -> int:
    """The number of a process's network namespace."""
    return Path(f"/proc/{pid}/ns/net").stat().st_ino


def replace_file(path: Path, text: str) -> None:
    """Write a file so that readers see the old text or the new one."""
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    new.replace(path)


class Namespaces:
    """The namespaces of one state directory."""

    def __init__(self, state: Path) -> None:
        self._path = state / LEDGER
        self._numbers: dict[str, int] = {}
        self._made_folder = False
        if self._path.exists():
            kept = json.loads(self._path.read_text())
            self._numbers, self._made_folder = kept["namespaces"], kept["made_folder"]

    def make(self, key: str, directory: Path) -> tuple[str, Node]:
        """Hold a new namespace and mount it by a name: the key, with a number when somebody else's is called so."""
        self._prepare_folder()
        node = hold_namespace(key, directory)
        try:
            return self._mounted(key, node), node
        except BaseException:
            end_holder(node)
            raise

    def _mounted(self, key: str, node: Node) -> str:
        for number in itertools.count(1):
            name = key if number == 1 else f"{key}.{number}"
            if name in self._numbers or (RUN_NETNS / name).exists():
                continue
            self._numbers[name] = namespace_of(node.pid)
            self._save()
            try:
                os.close(os.open(RUN_NETNS / name, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o444))
            except FileExistsError:  # somebody was faster
                del self._numbers[name]
                continue
            try:
                _mount(f"/proc/{node.pid}/ns/net", RUN_NETNS / name, MS_BIND)
            except OSError:
                (RUN_NETNS / name).unlink()
                del self._numbers[name]
                raise
            return name
        raise AssertionError("numbers do not end")

    def remove(self, names: Iterable[str]) -> None:
        """End everything that runs in these namespaces, and let go of them."""
        ours = {name: number for name in names if (number := self._numbers.get(name)) is not None}
        mounted = {name: number for name, number in ours.items() if _number_at(RUN_NETNS / name) == number}
        _end_processes(frozenset(mounted.values()))
        for name in mounted:
            _unmount(RUN_NETNS / name, MNT_DETACH)
            (RUN_NETNS / name).unlink()
        for name in ours:
            if name not in mounted and _is_empty_file(RUN_NETNS / name):
                (RUN_NETNS / name).unlink()  # made, and killed before it was mounted
            del self._numbers[name]
        if ours:
            self._save()

    def remove_all(self) -> int:
        """Let go of everything that the ledger names, the ledger included; returns how many namespaces were there."""
        count = sum(_number_at(RUN_NETNS / name) == number for name, number in self._numbers.items())
        self.remove(list(self._numbers))
        if self._made_folder:
            with contextlib.suppress(OSError):  # others have namespaces there by now, so it stays
                _unmount(RUN_NETNS)
                RUN_NETNS.rmdir()
            self._made_folder = False
        self._path.unlink(missing_ok=True)
        return count

    def _prepare_folder(self) -> None:
        """Make ``/run/netns`` as iproute2 does: shared, so that what is unmounted there is gone everywhere."""
        try:
            _mount("", RUN_NETNS, MS_SHARED | MS_REC)
        except OSError:
            if not RUN_NETNS.exists():
                RUN_NETNS.mkdir(mode=0o755)
            self._made_folder = True
            self._save()
            _mount(str(RUN_NETNS), RUN_NETNS, MS_BIND | MS_REC)
            _mount("", RUN_NETNS, MS_SHARED | MS_REC)

    def _save(self) -> None:
        replace_file(self._path, json.dumps({"made_folder": self._made_folder, "namespaces": self._numbers}))


def end_holder(node: Node) -> None:
    """Let go of a namespace that has no name, or no more."""
    for _, process in node.processes:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _number_at(place: Path) -> int | None:
    """The number of the namespace that is mounted there, if one is."""
    try:
        status = place.stat()
        return status.st_ino if status.st_dev == Path("/proc/self/ns/net").stat().st_dev else None
    except FileNotFoundError:
        return None


def _is_empty_file(place: Path) -> bool:
    try:
        status = place.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == 0 and status.st_dev == place.parent.stat().st_dev


def processes_in(namespaces: frozenset[int]) -> list[int]:
    """The processes that are in one of these network namespaces."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                if namespace_of(int(entry.name)) in namespaces:
                    found.append(int(entry.name))
    return found


def _end_processes(namespaces: frozenset[int]) -> None:
    """Kill what runs in these namespaces and wait until it is gone, until nothing new is found."""
    if not namespaces:
        return
    deadline = time.monotonic() + ENDED_WITHIN_S
    while pids := processes_in(namespaces):
        handles = []
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                handle = os.pidfd_open(pid)
                handles.append(handle)
                if namespace_of(pid) in namespaces:
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
        for handle in handles:
            _wait(handle, deadline - time.monotonic())
            os.close(handle)
        if time.monotonic() > deadline:
            raise LabError(f"processes {', '.join(map(str, pids))} in the data plane's namespaces do not end")


def _wait(handle: int, within_s: float) -> None:
    """Wait for the end of a process, by its file descriptor."""
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    poll.poll(max(0.0, within_s) * 1000)
