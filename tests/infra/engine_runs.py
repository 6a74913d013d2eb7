"""Runs of the real Pulumi engine with the real provider, on a backend of files."""

from __future__ import annotations

import gc
import os
import shutil
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emulated_cloud import ACCESS_KEY, REGION, SECRET_KEY, EmulatedCloud
from pulumi import automation as auto

ROOT = Path(__file__).parent.parent.parent
BUILT = ROOT / "build/pulumi/bin"
PROVIDER = "pulumi-resource-baiducloud"

Program = Callable[[], None]


@dataclass(slots=True)
class Outcome:
    """What a run did, by the program's names of the resources; those that stayed the same are left out."""

    steps: dict[str, str] = field(default_factory=dict)
    """The operation by resource."""
    changes: dict[str, list[str]] = field(default_factory=dict)
    """The properties that made it."""
    messages: str = ""
    outputs: dict[str, Any] = field(default_factory=dict)

    def note(self, event: auto.EngineEvent) -> None:
        """Take in one event of the engine."""
        for part in (event.resource_pre_event, event.res_outputs_event):
            if part and part.metadata.type.startswith("baiducloud:"):
                self._note_step(part.metadata)
        if event.diagnostic_event:
            self.messages += event.diagnostic_event.message

    def _note_step(self, one: auto.StepEventMetadata) -> None:
        operation = str(getattr(one.op, "value", one.op))
        if operation not in ("same", "read", "refresh"):
            name = one.urn.split("::")[-1]
            self.steps[name] = operation
            self.changes[name] = sorted(one.detailed_diff or one.diffs or [])


class RunFailedError(Exception):
    """The engine's run failed; the text is what it told."""


@dataclass(slots=True)
class Runs:
    """One stack."""

    cloud: EmulatedCloud
    folder: Path
    stack: str = "hk"
    settings: dict[str, str] = field(default_factory=dict)
    """The provider's configuration in the stack."""
    variables: dict[str, str] = field(default_factory=dict)
    """Its configuration in the environment."""

    def __post_init__(self) -> None:
        given = {"ACCESS_KEY": ACCESS_KEY, "SECRET_KEY": SECRET_KEY, "REGION": REGION, "ENDPOINT": self.cloud.endpoint}
        self.variables |= {f"BAIDUCLOUD_{name}": value for name, value in given.items()}

    def up(self, program: Program, **options: Any) -> Outcome:
        """`pulumi up`."""
        return self._run(program, lambda stack, note: stack.up(on_event=note, **options))

    def preview(self, program: Program, **options: Any) -> Outcome:
        """`pulumi preview`."""
        return self._run(program, lambda stack, note: stack.preview(on_event=note, **options))

    def refresh(self, program: Program, **options: Any) -> Outcome:
        """`pulumi refresh`."""
        return self._run(program, lambda stack, note: stack.refresh(on_event=note, **options))

    def destroy(self, program: Program, **options: Any) -> Outcome:
        """`pulumi destroy`."""
        return self._run(program, lambda stack, note: stack.destroy(on_event=note, **options))

    def state(self, program: Program) -> dict[str, Any]:
        """The resources of the stack's state by the program's names."""
        deployment = self.open(program).export_stack().deployment or {}
        return {one["urn"].split("::")[-1]: one for one in deployment.get("resources", [])}

    def open(self, program: Program) -> auto.Stack:
        """The stack with this program."""
        backend = self.folder / "backend"
        backend.mkdir(parents=True, exist_ok=True)
        options = auto.LocalWorkspaceOptions(
            work_dir=str(self.folder),
            project_settings=auto.ProjectSettings(
                name="lanecast-tests", runtime="python", backend=auto.ProjectBackend(url=f"file://{backend}")
            ),
            env_vars={**environment(self.folder), **self.variables},
        )
        opened = auto.create_or_select_stack(self.stack, project_name="lanecast-tests", program=program, opts=options)
        for name, value in self.settings.items():
            opened.set_config(f"baiducloud:{name}", auto.ConfigValue(value, secret=name == "secretKey"))
        return opened

    def _run(self, program: Program, act: Callable[[auto.Stack, Any], Any]) -> Outcome:
        outcome, failure = Outcome(), None
        try:
            result = act(self.open(program), outcome.note)
        except auto.CommandError as error:
            failure = str(error)  # the error itself holds on to what the program left
        end_what_programs_left()
        if failure is not None:
            raise RunFailedError(f"{outcome.messages}\n{failure}")
        outcome.outputs = {name: one.value for name, one in (getattr(result, "outputs", None) or {}).items()}
        return outcome


def end_what_programs_left() -> None:
    """End the coroutines of programs whose runs failed, now.

    The SDK leaves them waiting for the engine. Ended by a collection of garbage at another time they disturb what runs
    then (CPython 3.11: "AST constructor recursion depth mismatch"), and complain that there is no event loop.
    """
    told, sys.unraisablehook = sys.unraisablehook, lambda unraisable: None
    try:
        gc.collect()
    finally:
        sys.unraisablehook = told


def environment(folder: Path) -> dict[str, str]:
    """What a run of Pulumi gets: nothing leaves the machine, and the provider of this source tree is on PATH."""
    path = f"{_provider_folder(folder)}:{os.environ['PATH']}"
    path = f"{BUILT}:{path}" if (BUILT / "pulumi").exists() else path
    assert shutil.which("pulumi", path=path), "there is no Pulumi: run setup/pulumi.sh"
    os.environ["PATH"] = path  # the automation API looks for the command before it looks at the workspace's variables
    return {
        "PATH": path,
        "PULUMI_CONFIG_PASSPHRASE": "a passphrase of these tests",
        "PULUMI_SKIP_UPDATE_CHECK": "1",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "1",
        "PULUMI_HOME": str(folder / "home"),
    }


def _provider_folder(folder: Path) -> Path:
    """The installed console script's folder; a clone that runs in another's environment gets such a script."""
    beside = Path(sys.executable).parent
    if (beside / PROVIDER).exists():
        return beside
    made = folder / "bin"
    made.mkdir(parents=True, exist_ok=True)
    script = made / PROVIDER
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m lanecast_infra.provider "$@"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return made
