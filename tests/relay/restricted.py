"""Runs a command under a unit's restrictions, as far as they can be had without systemd: ``restricted.py UNIT COMMAND…``.

Which they are is read from the unit itself, and what its sets of system calls hold is asked of systemd, so that nothing
here says it a second time. Mounts, user, capabilities and ``no_new_privs`` come before (:func:`wrapper`); this script adds
the filters, which it may do without privileges, and becomes the command.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
import sys
from functools import cache
from pathlib import Path

import pyseccomp

NOBODY = 65534
ROOT = Path(__file__).parent.parent.parent
PROT_WRITE, PROT_EXEC = 2, 4
"""mmap(2)."""
REALTIME_POLICIES = (os.SCHED_FIFO, os.SCHED_RR, 6)
"""sched(7); 6 is SCHED_DEADLINE."""
NAMESPACES = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)
"""clone(2): the CLONE_NEW* flags."""
FAMILIES = 46
"""How many address families Linux knows (AF_MAX)."""


def wrapper(folder: Path) -> list[str]:
    """What goes in front of a command; ``folder`` holds the unit, belongs to nobody, and is all that can be written."""
    script = " && ".join(mounts(folder)) + ' && exec "$@"'
    unit = folder / "lanecast-relay.service"
    isolated = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]
    return [*isolated, *setpriv(unit), sys.executable, str(Path(__file__)), str(unit)]


def setpriv(unit: Path) -> list[str]:
    """User=, AmbientCapabilities= and CapabilityBoundingSet=, and NoNewPrivileges=."""
    given = values_of(unit, "AmbientCapabilities")
    assert given == values_of(unit, "CapabilityBoundingSet")
    sets = ",".join(["-all", *(f"+{name.removeprefix('CAP_').lower()}" for name in given)])
    user = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    capabilities = [f"--{each}={sets}" for each in ("bounding-set", "inh-caps", "ambient-caps")]
    return ["setpriv", *user, *capabilities, "--no-new-privs"]


def mounts(folder: Path) -> list[str]:
    """ProtectSystem=strict for the file system of ``/``; and where the interpreter or this checkout lies in a folder
    that only root may enter, that folder made to hold nothing else, for everybody to enter."""
    shown = {Path(sys.base_prefix).resolve(), ROOT}
    closed = {path: outermost for path in shown if (outermost := closed_above(path)) is not None}
    held = {path: folder / f"held-{at}" for at, path in enumerate(sorted(closed))}
    commands = [f"mkdir -p {at} && mount --bind {path} {at}" for path, at in held.items()]
    commands += [f"mount -t tmpfs -o mode=755 tmpfs {outermost}" for outermost in sorted(set(closed.values()))]
    commands += [f"mkdir -p {path} && mount --move {at} {path}" for path, at in held.items()]
    return [*commands, f"mount --bind {folder} {folder}", "mount -o remount,bind,ro /"]


def closed_above(path: Path) -> Path | None:
    """The outermost folder above ``path`` that others may not enter."""
    return next((one for one in reversed(path.parents) if not one.stat().st_mode & stat.S_IXOTH), None)


def settings(unit: Path) -> list[tuple[str, str]]:
    """The unit's settings, in their order."""
    lines = unit.read_text().splitlines()
    return [
        (key, value) for key, equals, value in (line.partition("=") for line in lines) if equals and key.isidentifier()
    ]


def value_of(unit: Path, key: str) -> str:
    (value,) = [value for name, value in settings(unit) if name == key]
    return value


def values_of(unit: Path, key: str) -> list[str]:
    """All values of a list, those of drop-ins behind the unit included."""
    return [one for name, value in settings(unit) if name == key for one in value.split()]


@cache
def members(group: str) -> frozenset[str]:
    """The system calls of one of systemd's sets, the sets in it included."""
    shown = subprocess.run(["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True)
    names: set[str] = set()
    for line in shown.stdout.splitlines()[1:]:
        name = line.partition("#")[0].strip()
        names |= members(name) if name.startswith("@") else {name} if name else set()
    return frozenset(names)


def allowed_calls(unit: Path) -> frozenset[str]:
    """SystemCallFilter= (systemd.exec(5)): the first line decides that it is a list of what is allowed."""
    allowed: set[str] = set(members("@default"))
    for key, value in settings(unit):
        if key == "SystemCallFilter":
            away = value.startswith("~")
            for name in value.removeprefix("~").split():
                calls = members(name) if name.startswith("@") else {name}
                allowed = allowed - calls if away else allowed | calls
    return frozenset(allowed)


def families(unit: Path) -> pyseccomp.SyscallFilter:
    """RestrictAddressFamilies=."""
    filter_ = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    wanted = {int(getattr(socket, name)) for name in values_of(unit, "RestrictAddressFamilies")}
    refuse = pyseccomp.ERRNO(errno.EAFNOSUPPORT)
    for family in set(range(FAMILIES)) - wanted:
        filter_.add_rule(refuse, "socket", pyseccomp.Arg(0, pyseccomp.EQ, family))
    filter_.add_rule(refuse, "socket", pyseccomp.Arg(0, pyseccomp.GE, FAMILIES))
    return filter_


def memory_realtime_namespaces(unit: Path) -> pyseccomp.SyscallFilter:
    """MemoryDenyWriteExecute=, RestrictRealtime= and RestrictNamespaces=."""
    filter_ = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    refuse = pyseccomp.ERRNO(errno.EPERM)
    both = PROT_WRITE | PROT_EXEC
    for key in ("MemoryDenyWriteExecute", "RestrictRealtime", "RestrictNamespaces"):
        assert value_of(unit, key) == "yes", key
    filter_.add_rule(refuse, "mmap", pyseccomp.Arg(2, pyseccomp.MASKED_EQ, both, both))
    for call in ("mprotect", "pkey_mprotect"):
        filter_.add_rule(refuse, call, pyseccomp.Arg(2, pyseccomp.MASKED_EQ, PROT_EXEC, PROT_EXEC))
    for policy in REALTIME_POLICIES:
        filter_.add_rule(refuse, "sched_setscheduler", pyseccomp.Arg(1, pyseccomp.EQ, policy))
    for flag in NAMESPACES:
        filter_.add_rule(refuse, "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, flag, flag))
        filter_.add_rule(refuse, "unshare", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, flag, flag))
    filter_.add_rule(refuse, "setns")
    # Its flags are in memory, where no filter looks; glibc falls back to clone (systemd does the same).
    filter_.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    return filter_


def calls(unit: Path) -> pyseccomp.SyscallFilter:
    """SystemCallFilter= with SystemCallErrorNumber=."""
    number = getattr(errno, value_of(unit, "SystemCallErrorNumber"))
    filter_ = pyseccomp.SyscallFilter(pyseccomp.ERRNO(number))
    for name in known(allowed_calls(unit)):
        filter_.add_rule(pyseccomp.ALLOW, name)
    return filter_


def known(names: frozenset[str]) -> list[str]:
    """Those that this architecture and libseccomp have; systemd leaves the others out as well."""
    return [name for name in sorted(names) if pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name) >= 0]


def main() -> None:
    unit, command = Path(sys.argv[1]), sys.argv[2:]
    os.umask(int(value_of(unit, "UMask"), 8))
    filters = (families(unit), memory_realtime_namespaces(unit), calls(unit))
    for filter_ in filters:
        filter_.load()
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
