"""The relays that are compared, and one of them running."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from lanecast_bench import clone_program, python_relay
from lanecast_bench.addresses import (
    GROUP,
    GROUP_PORT,
    RECEIVER_PORT,
    RELAY_INPUT,
    SECOND_GROUP,
    SECOND_GROUP_PORT,
    SENDER,
    multicast_leg,
    receiver,
    receivers,
)
from lanecast_bench.machine import cpu_seconds
from lanecast_bench.namespaces import Network
from lanecast_bench.processes import BenchError, Child
from lanecast_bench.relay_file import Input, RelayOptions, write_relay_file
from lanecast_bench.tools import LANECAST_RELAY, UDPBENCH

RELAY_PROCESSOR = "1"
BIG_BUFFER_BYTES = "33554432"
LONGEST_RUN_S = "3600"
START_S, START_EACH_SOCAT_S = 0.5, 0.02
"""How long a relay that does not say when it is ready is given."""


class RelayClass(StrEnum):
    """Relays are compared within their class only."""

    USER_SPACE = "user-space"
    KERNEL = "kernel-assisted"


@dataclass(frozen=True, slots=True)
class Setting:
    """What a relay is started for."""

    network: Network
    fanout: int
    input_kind: Input
    folder: Path
    """For the files of this relay; empty at first."""


Commands = Callable[[Setting], list[list[str]]]
"""The argument vectors of a relay's processes."""


@dataclass(frozen=True, slots=True)
class RelaySpec:
    """A relay under test. ``needs``: programs without which it is left out."""

    name: str
    commands: Commands
    reads: frozenset[Input]
    relay_class: RelayClass = RelayClass.USER_SPACE
    says_ready: bool = True
    delivers_mold: bool = False
    needs: tuple[str, ...] = ()
    in_kernel: bool = False
    """Nothing of it runs in user space, so the sink gets the processor that the relay leaves free."""
    attach: Callable[[Network, int, Path], None] | None = None
    detach: Callable[[Network], None] | None = None

    def why_not(self) -> str | None:
        """Why it cannot run on this machine, or None."""
        missing = [program for program in self.needs if shutil.which(program) is None]
        return f"{', '.join(missing)} not installed" if missing else None


def _reference(mode: str, batch: int = 64, big_buffer: bool = False) -> Commands:
    def commands(setting: Setting) -> list[list[str]]:
        options = {
            "mode": mode,
            "batch": batch,
            "group": GROUP,
            "group-port": GROUP_PORT,
            "second-group": SECOND_GROUP,
            "second-group-port": SECOND_GROUP_PORT,
            "interface": RELAY_INPUT,
            "destination": receiver(0),
            "port": RECEIVER_PORT,
            "fanout": setting.fanout,
            "seconds": LONGEST_RUN_S,
        }
        if big_buffer:
            options["receive-buffer"] = BIG_BUFFER_BYTES
        return [
            [str(UDPBENCH), "relay", *(word for name, value in options.items() for word in (f"--{name}", str(value)))]
        ]

    return commands


def _socat(setting: Setting) -> list[list[str]]:
    source = f"UDP4-RECV:{GROUP_PORT},reuseaddr,ip-add-membership={GROUP}:{RELAY_INPUT}"
    return [["socat", "-u", source, f"UDP4-SENDTO:{each}:{RECEIVER_PORT}"] for each in receivers(setting.fanout)]


def _python(setting: Setting) -> list[list[str]]:
    to = [str(RECEIVER_PORT), *receivers(setting.fanout)]
    return [[sys.executable, python_relay.__file__, GROUP, str(GROUP_PORT), RELAY_INPUT, *to]]


def _smcroute(setting: Setting) -> list[list[str]]:
    legs = [f"leg{index}" for index in range(setting.fanout)]
    lines = [f"phyint {device} enable" for device in ("from-sender", *legs)]
    lines.append(f"mgroup from from-sender group {GROUP}")
    lines.append(f"mroute from from-sender source {SENDER} group {GROUP} to {' '.join(legs)}")
    file = setting.folder / "smcroute.conf"
    file.write_text("\n".join(lines) + "\n")
    return [["smcrouted", "-N", "-n", "-f", str(file), "-u", f"{file}.sock", "-P", f"{file}.pid", "-i", "bench"]]


def _lanecast(options: RelayOptions) -> Commands:
    def commands(setting: Setting) -> list[list[str]]:
        if not LANECAST_RELAY.exists():
            raise BenchError(f"{LANECAST_RELAY} is missing: run `make setup`")
        file = write_relay_file(setting.fanout, setting.input_kind, options, setting.folder)
        return [[str(LANECAST_RELAY), "run", str(file), "--json"]]

    return commands


def from_template(template: str) -> RelaySpec:
    """A relay given by its command. ``{name}`` in it stands for one of :func:`template_values`."""

    def commands(setting: Setting) -> list[list[str]]:
        values = template_values(setting.fanout)
        config = setting.folder / "relay.json"
        config.write_text(json.dumps(values))
        return [expand(template, {**values, "dsts": ",".join(values["dsts"]), "config": str(config)})]

    return RelaySpec("cmd", commands, frozenset(Input))


def template_values(fanout: int) -> dict[str, Any]:
    """The addresses that another relay's command or JSON file may name."""
    return {
        "group": GROUP,
        "gport": GROUP_PORT,
        "group2": SECOND_GROUP,
        "gport2": SECOND_GROUP_PORT,
        "ifaddr": RELAY_INPUT,
        "source": SENDER,
        "dsts": [f"{address}:{RECEIVER_PORT}" for address in receivers(fanout)],
        "ndst": fanout,
    }


def expand(template: str, values: dict[str, Any]) -> list[str]:
    """Split like a shell's words, then put the values in; a name that is not known stays as it is written."""
    return [
        re.sub(r"\{(\w+)\}", lambda found: str(values.get(found[1], found[0])), word) for word in shlex.split(template)
    ]


def ours(name: str, reads: frozenset[Input], options: RelayOptions) -> RelaySpec:
    """This project's relay with some of its options."""
    relay_class = RelayClass.KERNEL if options.kernel_fan_out else RelayClass.USER_SPACE
    return RelaySpec(name, _lanecast(options), reads, relay_class, delivers_mold=options.mold_delivery)


ANY = frozenset(Input)
PLAIN = frozenset({Input.PLAIN})
UNNUMBERED = frozenset({Input.PLAIN, Input.MOLD})
"""What a relay that reads one line and does not look inside can take."""
NUMBERED = frozenset({Input.MOLD, Input.LINES})

_KNOWN = (
    ours("lanecast", ANY, RelayOptions()),
    ours("lanecast-busy", ANY, RelayOptions(busy_wait=True)),
    ours("lanecast-sockets", ANY, RelayOptions(io_uring=False)),
    ours("lanecast-journal", ANY, RelayOptions(journal=True)),
    ours("lanecast-mold", NUMBERED, RelayOptions(mold_delivery=True)),
    ours("lanecast-kernel", ANY, RelayOptions(kernel_fan_out=True)),
    RelaySpec("socat", _socat, UNNUMBERED, says_ready=False, needs=("socat",)),
    RelaySpec("python", _python, UNNUMBERED, says_ready=False),
    RelaySpec("ref-sendto", _reference("sendto", 1), UNNUMBERED),
    RelaySpec("ref-sendmmsg", _reference("sendmmsg"), UNNUMBERED),
    RelaySpec("ref-gso", _reference("gso"), UNNUMBERED),
    RelaySpec("ref-sendmmsg-bigbuf", _reference("sendmmsg", big_buffer=True), UNNUMBERED),
    RelaySpec("ref-gso-bigbuf", _reference("gso", big_buffer=True), UNNUMBERED),
    RelaySpec("arb-sendmmsg", _reference("arb-sendmmsg", big_buffer=True), NUMBERED),
    RelaySpec("arb-gso", _reference("arb-gso", big_buffer=True), NUMBERED),
    RelaySpec(
        "tc-clone",
        lambda setting: [["sleep", LONGEST_RUN_S]],
        UNNUMBERED,
        RelayClass.KERNEL,
        says_ready=False,
        needs=(clone_program.COMPILER, "tc"),
        in_kernel=True,
        attach=clone_program.attach,
        detach=clone_program.detach,
    ),
    RelaySpec(
        "smcroute",
        _smcroute,
        PLAIN,
        RelayClass.KERNEL,
        says_ready=False,
        needs=("smcrouted",),
        in_kernel=True,
    ),
)
RELAYS = {spec.name: spec for spec in _KNOWN}


@dataclass(slots=True)
class RunningRelay:
    """The processes of one relay at one fan-out, on a processor of their own."""

    spec: RelaySpec
    setting: Setting
    ready_s: float
    _children: list[Child] = field(default_factory=list)
    _attached: bool = False

    def start(self) -> None:
        """Start every process and wait until it is ready; raise :class:`BenchError` when one ends."""
        pinned = self.setting.network.inside(self.setting.network.relay, "taskset", "-c", RELAY_PROCESSOR)
        if self.spec.attach is not None:
            self.spec.attach(self.setting.network, self.setting.fanout, self.setting.folder)
            self._attached = True
        for command in self.spec.commands(self.setting):
            self._children.append(Child([*pinned, *command]))
        if self.spec.says_ready:
            for child in self._children:
                child.wait_printed(self.ready_s)
        else:
            time.sleep(START_S + START_EACH_SOCAT_S * len(self._children))
        self.check()

    def check(self) -> None:
        """Raise :class:`BenchError` when a process ended by itself."""
        for child in self._children:
            child.check(self.spec.name)

    def cpu_seconds(self) -> tuple[float, float]:
        """Processor time of the relay, and of all that is not the benchmark's."""
        return cpu_seconds({child.session for child in self._children})

    def stop(self) -> None:
        """End every process; fine when none runs."""
        for child in self._children:
            child.stop()
        if self._attached and self.spec.detach is not None:
            self.spec.detach(self.setting.network)
        self._children, self._attached = [], False

    def restart(self) -> None:
        """Start afresh: a new session, from message 1."""
        self.stop()
        self.start()


def multicast_legs(specs: list[RelaySpec], fanout: int) -> int:
    """How many legs of kernel multicast routing the network needs."""
    return fanout if any(spec.name == "smcroute" for spec in specs) else 0


def sink_place(spec: RelaySpec, fanout: int) -> dict[str, str]:
    """Where the sink listens and on which processor: opposite to where the forwarding is done."""
    if spec.name != "smcroute":
        return {"cpu": "1" if spec.in_kernel else "0", "port": str(RECEIVER_PORT)}
    legs = ",".join(multicast_leg(index)[1] for index in range(fanout))
    return {"cpu": "1", "port": str(GROUP_PORT), "bind": GROUP, "group": GROUP, "interface": legs}
