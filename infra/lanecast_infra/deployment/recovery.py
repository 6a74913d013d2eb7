"""What a run that was killed leaves behind: a lock, processes that still work, and operations that it had begun."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lanecast_infra.deployment.engine import CommandFailedError, Engine, Outcome, Tell
from lanecast_infra.deployment.file_backend import clear_lock, clear_torn

LOCKED: Final = "the stack is currently locked by"
LOCKED_ELSEWHERE: Final = "Another update is currently in progress"
HOLDER: Final = re.compile(r"(?P<lock>\S+): created by (?P<user>\S+)@(?P<host>\S+) \(pid (?P<pid>\d+)\)")
ADDRESS: Final = re.compile(r"(?:^|=)127\.0\.0\.1:(\d+)$")
PROVIDERS: Final = ("pulumi-resource-baiducloud", "lanecast_infra.provider")
"""By a word of its command line, what the engine starts that asks the cloud. The other things that it starts do
nothing without it, and end in their own time."""
HOLDS_S: Final = 900.0
"""How long a run that goes on is waited for."""
SURVIVES_S: Final = 60.0
LOOKS_EVERY_S: Final = 0.2


class HeldError(Exception):
    """A stack is in another run's hands, or may be."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock."""

    user: str
    host: str
    pid: int
    lock: str = ""
    """The URL of its lock."""

    def __str__(self) -> str:
        return f"{self.user}@{self.host} (pid {self.pid})"

    @property
    def is_dead(self) -> bool:
        """Whether it, on this machine, is no more; another program may have got its number."""
        try:
            words = Path(f"/proc/{self.pid}/cmdline").read_bytes()
            state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        return state == "Z" or (words != b"" and b"pulumi" not in words)  # without words it is just beginning


def run_settled(engine: Engine, stack: str, command: str, flags: Sequence[str], tell: Tell) -> Outcome:
    """One run; when the stack is locked, after the holders of the lock. Raises :class:`HeldError`."""
    until = time.monotonic() + HOLDS_S
    while True:
        outcome = engine.run(stack, command, flags, tell)
        if outcome.succeeded or not (text := _lock_told(outcome)) or time.monotonic() > until:
            return outcome
        free(engine, stack, text, tell)  # somebody else may be the first to have it then
        settle(engine, stack, tell)


def ask_settled(engine: Engine, stack: str, tell: Tell, *words: str) -> str:
    """A command that writes a stack's state; when the stack is locked, after the holder of the lock."""
    try:
        return engine.ask(*words, "--stack", stack)
    except CommandFailedError as error:
        if LOCKED not in str(error):
            raise
        free(engine, stack, str(error), tell)
        return engine.ask(*words, "--stack", stack)


def free(engine: Engine, stack: str, text: str, tell: Tell) -> None:
    """Wait until the holders of the locks that ``text`` tells of have ended, and clear what the dead have left."""
    holders = [Holder(one["user"], one["host"], int(one["pid"]), one["lock"]) for one in HOLDER.finditer(text)]
    here = [one for one in holders if one.host == socket.gethostname()]
    if not holders or here != holders:
        who = ", ".join(map(str, holders)) or "another run"
        raise HeldError(f"stack {stack} is worked on by {who}: wait for it, or `pulumi cancel --stack {stack}`")
    until = time.monotonic() + HOLDS_S
    if alive := [one for one in holders if not one.is_dead]:
        tell(f"waiting for {', '.join(map(str, alive))}, who works on it", False)
    while alive := [one for one in holders if not one.is_dead]:
        if time.monotonic() > until:
            raise HeldError(f"stack {stack} is still worked on by {', '.join(map(str, alive))}")
        engine.pause(LOOKS_EVERY_S)
    wait_for_survivors(engine, tell)
    tell(f"clearing what {', '.join(map(str, holders))} may have left locked", False)
    clear_torn(engine)
    if not all(clear_lock(one.lock) for one in holders):
        engine.ask("cancel", "--yes", "--stack", stack)


def settle(engine: Engine, stack: str, tell: Tell) -> dict[str, Any]:
    """Find out how what was under way ended, and return the stack's state.

    What was being made is forgotten, and made again by the next run, which then finds it by its token.
    """
    state = engine.state(stack)
    pending = state.get("pending_operations") or []
    if not pending:
        return state
    wait_for_survivors(engine, tell)
    tell(f"settling {', '.join(sorted(_told(one) for one in pending))}", False)
    flags = ["--clear-pending-creates"]
    outcome = engine.run(stack, "refresh", flags, lambda text, fleeting: tell(text, True))
    if not outcome.succeeded and (text := _lock_told(outcome)):
        free(engine, stack, text, tell)
        outcome = engine.run(stack, "refresh", flags, lambda text, fleeting: tell(text, True))
    if not outcome.succeeded:
        raise HeldError(f"stack {stack}: what was under way is not settled: {outcome.error}")
    return engine.state(stack)


def wait_for_survivors(engine: Engine, tell: Tell) -> None:
    """Until no process is left whose engine is gone: it may still be making something."""
    until = time.monotonic() + SURVIVES_S
    while left := sorted(survivors()):
        if time.monotonic() > until:
            raise HeldError(f"processes of a run that was killed still work: {', '.join(map(str, left))}; end them")
        tell(f"waiting for processes of a run that was killed: {', '.join(map(str, left))}", True)
        engine.pause(LOOKS_EVERY_S)


def survivors() -> Iterator[int]:
    """This user's providers whose engine answers no more."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            owner = folder.stat().st_uid
        except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            continue
        if owner != os.getuid() or not any(child in word for word in words[:4] for child in PROVIDERS):
            continue
        ports = [int(found[1]) for word in words if (found := ADDRESS.search(word))]
        if ports and not any(_listens(port) for port in ports):
            yield int(folder.name)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _lock_told(outcome: Outcome) -> str | None:
    text = outcome.error or ""
    return text if LOCKED in text or LOCKED_ELSEWHERE in text else None


def _told(operation: dict[str, Any]) -> str:
    return f"{operation['type']} {operation['resource']['urn'].split('::')[-1]}"
