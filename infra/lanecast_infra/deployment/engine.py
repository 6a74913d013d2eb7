"""The `pulumi` command: one run of it, its events as they come, and what it did."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any, Final

STACK_TYPE: Final = "pulumi:pulumi:Stack"
OWN: Final = "baiducloud:index:"
NO_CHANGE: Final = frozenset({"same", "read", "refresh"})
SUMMARY_OF_A_FAILURE: Final = frozenset({"update failed", "preview failed", "destroy failed", "refresh failed"})

Tell = Callable[[str, bool], None]
"""Takes a line of progress, and whether it is of the moment only."""


class CommandFailedError(Exception):
    """A command that does not touch the cloud failed; the text is its own."""


class StoppedError(Exception):
    """Ctrl-C: nothing is begun any more."""


@dataclass(slots=True)
class Outcome:
    """What a run did."""

    succeeded: bool = False
    steps: dict[str, str] = field(default_factory=dict)
    """The operation by type and name of each cloud resource that changed, or would, or could not."""
    stirred: bool = False
    """Whether anything in the cloud is another than before, also where the run failed."""
    before: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    """The stack's outputs before the run and after it."""
    errors: list[str] = field(default_factory=list)

    @property
    def error(self) -> str | None:
        """Why it failed."""
        return None if self.succeeded else "\n".join(self.errors) or "pulumi failed and told no reason"


@dataclass(frozen=True, slots=True)
class Engine:
    """One project's stacks, by the command. Runs of several stacks may go on at a time."""

    project: Path
    environment: Mapping[str, str]
    _running: set[subprocess.Popen[str]] = field(default_factory=set)
    _stopped: Event = field(default_factory=Event)

    def run(self, stack: str, command: str, flags: Sequence[str], tell: Tell) -> Outcome:
        """`pulumi COMMAND` of a stack, such as up; what fails is in the outcome."""
        words = [command, "--stack", stack, "--json", *flags]
        words += [] if command == "preview" else ["--yes", "--skip-preview"]
        outcome = Outcome()
        with tempfile.TemporaryFile("w+") as errors:
            with self._started(words, errors) as process:
                try:
                    _read_events(process, outcome, tell)
                except Exception:
                    process.send_signal(signal.SIGINT)  # nobody would read on, and it would wait for that
                    process.communicate()
                    raise
                finally:
                    self._running.discard(process)
            outcome.succeeded = process.returncode == 0
            errors.seek(0)
            outcome.errors += [text for line in errors if (text := line.strip().removeprefix("error: "))]
        return outcome

    def ask(self, *words: str) -> str:
        """What a command prints. Raises :class:`CommandFailedError`."""
        self.pause(0)
        done = subprocess.run(
            ["pulumi", *words, "--non-interactive", "--color", "never"],
            cwd=self.project,
            env=dict(self.environment),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = done.stderr.strip().removeprefix("error: ") or done.stdout.strip()
            raise CommandFailedError(said or f"pulumi {words[0]} ended with {done.returncode} and told no reason")
        return done.stdout

    def stacks(self) -> dict[str, dict[str, Any]]:
        """The project's stacks by name."""
        return {one["name"]: one for one in json.loads(self.ask("stack", "ls", "--json"))}

    def settings(self, stack: str) -> dict[str, str]:
        """A stack's configuration, secrets left out."""
        held = json.loads(self.ask("config", "--stack", stack, "--json"))
        return {name: one["value"] for name, one in held.items() if "value" in one and not one.get("secret")}

    def state(self, stack: str) -> dict[str, Any]:
        """A stack's deployment: its resources and what was under way when a run ended."""
        return json.loads(self.ask("stack", "export", "--stack", stack)).get("deployment") or {}

    def last_result(self, stack: str) -> str | None:
        """How a stack's last run ended: succeeded or failed; None when there was none."""
        runs = json.loads(self.ask("stack", "history", "--stack", stack, "--json", "--page-size", "1"))
        return str(runs[0]["result"]) if runs else None

    def _started(self, words: Sequence[str], errors: Any) -> subprocess.Popen[str]:
        self.pause(0)
        process = subprocess.Popen(
            ["pulumi", *words, "--non-interactive", "--color", "never"],
            cwd=self.project,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,  # Ctrl-C reaches it through interrupt() alone: a second one would be a kill
        )
        self._running.add(process)
        if self._stopped.is_set():  # since it was looked at
            process.send_signal(signal.SIGINT)
        return process

    def pause(self, seconds: float) -> None:
        """Wait. Raises :class:`StoppedError` as soon as there was an interrupt."""
        if self._stopped.wait(seconds):
            raise StoppedError

    def interrupt(self) -> None:
        """Let what runs finish what it has begun, and begin no more."""
        self._stopped.set()
        for process in list(self._running):
            process.send_signal(signal.SIGINT)


def resources(state: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The cloud's resources of a deployment."""
    return [one for one in state.get("resources") or [] if one["type"].startswith(OWN)]


def outputs(state: Mapping[str, Any]) -> dict[str, Any]:
    """The stack's outputs of a deployment."""
    found = [one for one in state.get("resources") or [] if one["type"] == STACK_TYPE]
    return dict(found[0].get("outputs") or {}) if found else {}


def _read_events(process: subprocess.Popen[str], outcome: Outcome, tell: Tell) -> None:
    assert process.stdout
    for line in process.stdout:
        if line.startswith("{") and line.endswith("\n"):  # an engine that is killed leaves half a line
            _take_in(outcome, json.loads(line), tell)


def _take_in(outcome: Outcome, event: dict[str, Any], tell: Tell) -> None:
    if began := event.get("resourcePreEvent"):
        metadata = began["metadata"]
        if _is_change(metadata):
            outcome.steps[shown(metadata["urn"])] = metadata["op"]
            tell(f"{metadata['op']} {shown(metadata['urn'])}", False)
    if ended := event.get("resOutputsEvent"):
        metadata = ended["metadata"]
        outcome.stirred |= _is_change(metadata)
        if metadata["type"] == STACK_TYPE:
            outcome.before = (metadata.get("old") or {}).get("outputs") or {}
            outcome.outputs = (metadata.get("new") or {}).get("outputs") or {}
    if said := event.get("diagnosticEvent"):
        _hear(outcome, said, tell)


def _is_change(metadata: Mapping[str, Any]) -> bool:
    return metadata["op"] not in NO_CHANGE and metadata["type"].startswith(OWN)


def _hear(outcome: Outcome, said: dict[str, Any], tell: Tell) -> None:
    text = said["message"].strip()
    if said["severity"] == "error" and text not in SUMMARY_OF_A_FAILURE:
        outcome.errors.append(text)
    if said["severity"] == "info" and said.get("urn", "").count(OWN):
        tell(f"{shown(said['urn'])}: {text}", True)


def shown(urn: str) -> str:
    """A resource as a person reads it: its type and name."""
    parts = urn.split("::")
    return f"{parts[2].rpartition(':')[2]} {parts[3]}"
