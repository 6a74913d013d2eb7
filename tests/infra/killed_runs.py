"""Runs of `lanecast infra up` that are killed at random moments, again and again until one comes through."""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from emulated_cloud import serving
from engine_processes import Process, descendants
from region_runs import Regions

PLAN = Path(__file__).parent / "one_region.yaml"
STACK = "hk"
ASYNC_DELAY_S = 0.3
LATENCY = {"kind": "delay", "seconds": 0.05}
"""Of every request, so that there is much time between what the cloud does and what the engine knows of it."""
LOOKS_EVERY_S = 0.01
BEGINS_AT = 0.15
"""From which share of a run's time on there is something to kill."""
ENDS_WITHIN_S = 120
VICTIMS = ("engine", "provider", "engine and provider", "everything")
"""``everything`` is what the machine would lose: the command, and all that it started."""

OF_THE_CLOUD = ("route-table",)
"""Kinds that come with a VPC; so do its first security group and that group's rules."""
CHANCE = ("createTime", "createdTime", "status", "dnsStatus", "localIfId")
"""Fields that no program says."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a program made in a cloud."""

    ids: tuple[str, ...]
    kinds: Counter[str]
    """By kind and what distinguishes one of it: names, addresses, ports, and the kind of what it refers to."""


@dataclass(slots=True)
class KilledRun:
    """One run from nothing of one region's stack, in a cloud of its own, with everything that it started."""

    regions: Regions
    folder: Path
    killed: list[str] = field(default_factory=list)
    """What was killed, and when."""
    seen: dict[int, Process] = field(default_factory=dict)
    """Every process that a run that was killed had started."""

    def attempt(self, moment_s: float, victim: str, what: str = "up") -> bool:
        """Run `lanecast infra`, killing at the moment; whether it came through before."""
        command = self.start(what)
        try:
            command.wait(moment_s)
            killed = False
        except subprocess.TimeoutExpired:
            killed = self._kill(command, victim)
        except KeyboardInterrupt:  # of the tests: it lets the engine end, too
            command.terminate()
            raise
        text, _ = command.communicate(timeout=ENDS_WITHIN_S)
        if killed:
            self.killed.append(f"{victim} at {moment_s:.2f} s: {text[-200:]!r}")
        else:
            assert command.returncode == 0, (self.killed, text)
        return not killed

    def start(self, what: str) -> subprocess.Popen[str]:
        """`lanecast infra up`, or another of its commands, of the region."""
        words = [sys.executable, "-m", "lanecast", "infra", what, str(self.regions.plan), "--stack", STACK, "--json"]
        return subprocess.Popen(
            [*words, "--no-protect"] if what == "up" else words,
            cwd=self.regions.folder,
            env=self.regions.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _kill(self, command: subprocess.Popen[str], victim: str) -> bool:
        """Kill the victim as soon as there is one, and wait for the command; whether there was one."""
        while not (targets := self._targets(command.pid, victim)):
            try:
                command.wait(LOOKS_EVERY_S)
            except subprocess.TimeoutExpired:
                continue
            return False
        for one in targets:
            one.kill()
        if victim == "everything":
            command.kill()
        return True

    def _targets(self, command: int, victim: str) -> list[Process]:
        started = descendants(command)
        engines = [one for one in started if one.parent == command]
        providers = [one for one in started if one.is_provider]
        if victim in ("engine and provider", "provider") and not providers:
            return []
        self.seen |= {one.pid: one for one in started}
        return {
            "engine": engines,
            "provider": providers,
            "engine and provider": engines + providers,
            "everything": started,
        }[victim]

    def finish(self) -> None:
        """Come through."""
        done = self.regions.infra("up", "--stack", STACK, "--no-protect")
        assert done.code == 0, (self.killed, done.err)
        assert done.stacks[STACK]["error"] is None, (self.killed, done.err)

    def check(self, expected: Held) -> None:
        """Nothing is orphaned or doubled, and a plain run says that nothing changes."""
        there = held(self.folder / "cloud")
        too_many, missing = there.kinds - expected.kinds, expected.kinds - there.kinds
        assert not too_many, (too_many, self.killed)
        assert not missing, (missing, self.killed)
        state = json.loads(self.regions.pulumi("stack", "export", "--stack", STACK).out)["deployment"]
        assert not state.get("pending_operations"), self.killed
        known = sorted(
            one["id"].split("/")[-1] for one in state["resources"] if one["type"].startswith("baiducloud:index:")
        )
        assert known == sorted(there.ids), self.killed
        after = self.regions.pulumi("up", "--yes", "--skip-preview", "--expect-no-changes", "--stack", STACK)
        assert after.code == 0, (self.killed, after.out, after.err)


@contextmanager
def a_run(folder: Path) -> Iterator[KilledRun]:
    """A run from nothing; at the end nothing that it started runs any more."""
    with serving(folder / "cloud", ASYNC_DELAY_S) as cloud:
        run = KilledRun(Regions(cloud, folder / "project", example=PLAN), folder)
        cloud.set_faults(LATENCY)
        try:
            yield run
        finally:
            for one in run.seen.values():  # a language host would look for its engine for minutes yet
                one.kill()


def measured(folder: Path) -> tuple[float, Held]:
    """How long a run takes that nobody kills, and what it makes."""
    with a_run(folder) as run:
        began = time.monotonic()
        run.finish()
        return time.monotonic() - began, held(folder / "cloud")


def held(cloud: Path) -> Held:
    """What is in a cloud's own file, apart from what comes by itself."""
    with closing(sqlite3.connect(f"file:{cloud / 'cloud.sqlite'}?mode=ro", uri=True)) as file:
        rows = file.execute("SELECT key, kind, parent, body FROM resources").fetchall()
    kinds = {key.partition(":")[0]: kind for key, kind, _, _ in rows}
    kinds |= {json.loads(body)["localIfId"]: "interface of a peering" for _, kind, _, body in rows if kind == "peering"}
    default = {key for key, _, _, body in rows if json.loads(body).get("_default")}
    made = [row for row in rows if row[1] not in OF_THE_CLOUD and not {row[0], row[2]} & default]
    looks = Counter(
        f"{kind} of {kinds.get(parent)}: {_look(json.loads(body), kinds)}" for _, kind, parent, body in made
    )
    return Held(tuple({key.partition(":")[0] for key, *_ in made}), looks)


def _look(body: dict[str, object], kinds: dict[str, str]) -> str:
    """A resource's fields, without what is by chance."""
    fixed = {name: value for name, value in body.items() if name not in CHANCE and not name.startswith("_")}
    return json.dumps(
        {name: kinds.get(value, value) if isinstance(value, str) else value for name, value in fixed.items()}
    )


def kill_again_and_again(folder: Path, seed: int, kills: int, run_takes_s: float, expected: Held) -> list[str]:
    """That many kills, over as many runs from nothing as that takes. The last one is taken down; that is killed, too."""
    killed: list[str] = []
    chance, number = random.Random(seed), 0
    while len(killed) < kills:
        number += 1
        with a_run(folder / f"run-{number}") as run:
            through = False
            while not through and len(killed) + len(run.killed) < kills:
                through = run.attempt(chance.uniform(BEGINS_AT, 1) * run_takes_s, chance.choice(VICTIMS))
            if not through:
                run.finish()
            run.check(expected)
            killed += run.killed
            if len(killed) >= kills:
                run.attempt(chance.uniform(BEGINS_AT, 1) * run_takes_s, chance.choice(VICTIMS), "destroy")
                down = run.regions.infra("destroy", "--stack", STACK)
                assert (down.code, held(run.folder / "cloud").ids) == (0, ()), (run.killed, down.err)
    return killed
