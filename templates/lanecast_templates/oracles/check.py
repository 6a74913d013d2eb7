"""Asks what would really run them whether rendered files are right: FRR, nft, ip, sysctl, systemd, the relay.

For routers that cannot be run here, grammars and readers of their configurations are asked.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lanecast.fabric import (
    Fabric,
    Host,
)
from lanecast.router import InterfaceKind, Router
from lanecast_relay.config.document import DocumentError, load_document, validate
from lanecast_relay.config.model import RelayFile
from lanecast_templates import grammars
from lanecast_templates.frr_configuration import complaints, missing_lines
from lanecast_templates.frr_daemons import FRR_DAEMONS
from lanecast_templates.oracles.box import COMMANDS, MACHINE_WIDE
from lanecast_templates.readers import READERS, read_back
from lanecast_templates.renderer import RenderedFile, node_folder
from lanecast_templates.router_templates import router_templates
from lanecast_templates.views.frr import DEFAULT_VERSION

ISOLATED = ("unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child")
MOST_S = 60
"""A node takes about a second."""

FRR_FILES = ("frr.conf", "daemons")
RELAY_FILE = "relay.yaml"
UNIT_SUFFIX = ".service"
PACKAGES = {
    "unshare": "util-linux",
    "ip": "iproute2",
    "nft": "nftables",
    "sysctl": "procps",
    "vtysh": "frr",
    "systemd-analyze": "systemd",
}


class OracleMissing(Exception):
    """An oracle cannot be asked on this machine; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one oracle says of one file; no ``problems`` means that it takes it, unless it could not be asked."""

    node: str
    file: str
    oracle: str
    problems: tuple[str, ...]
    unchecked: str | None = None
    """Why it could not be asked on this machine."""


def require_oracles(frr_version: str = DEFAULT_VERSION) -> None:
    """Raise :class:`OracleMissing` with everything that this machine lacks."""
    lacking = [f"{command} (package {package})" for command, package in PACKAGES.items() if not shutil.which(command)]
    if lacking:
        raise OracleMissing(f"install {', '.join(lacking)} to check, or leave --check out")
    if os.geteuid():
        raise OracleMissing("checking starts routers in network namespaces of its own, which needs root: use sudo")
    said = subprocess.run([FRR_DAEMONS / "zebra", "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"version (\d+\.\d+)", said)
    if found is None or found[1] != frr_version:
        there = f"FRR {found[1]}" if found else "no FRR that tells its version"
        raise OracleMissing(f"the files are for FRR {frr_version} and this machine has {there}: install that version")


def check(fabric: Fabric, files: Iterable[RenderedFile], tell: Callable[[str], None]) -> Iterator[Finding]:
    """Check every node's files, one node at a time; ``tell`` hears which one is next."""
    rendered = tuple(files)
    for node in fabric.nodes():
        tell(node.name)
        yield from _check_node(node, [file for file in rendered if file.path.is_relative_to(node_folder(node))])


def _check_node(node: Router | Host, files: list[RenderedFile]) -> Iterator[Finding]:
    by_name = {file.path.name: file for file in files}
    if isinstance(node, Router):
        yield from _read(node, by_name)
    applied = {name: by_name[name].text for name in (*COMMANDS, MACHINE_WIDE, *FRR_FILES) if name in by_name}
    if applied:
        yield from _applied(node, by_name, applied)
    for name, file in by_name.items():
        if name.endswith(UNIT_SUFFIX):
            yield _finding(node, file, "systemd-analyze verify", _unit_problems(name, file.text))
        elif name == RELAY_FILE:
            yield _finding(node, file, "lanecast relay check", _relay_problems(file.text))


def _read(router: Router, by_name: dict[str, RenderedFile]) -> Iterator[Finding]:
    """What can be said of a router's text without such a router: its grammar, and whether it says what was meant."""
    main = PurePosixPath(next(iter(router_templates(router.platform).files))).name
    file = by_name[main]
    if router.platform.value in grammars.platforms():
        problems = (f"line {line}: {said}" for line, said in grammars.check_text(router.platform.value, file.text))
        yield _finding(router, file, f"{router.platform} grammar (not device-checked)", problems)
    if router.platform in READERS:
        yield _finding(router, file, "reader", read_back(router, file.text))


def _finding(node: Router | Host, file: RenderedFile, oracle: str, problems: Iterable[str]) -> Finding:
    return Finding(node.name, str(file.path), oracle, tuple(problems))


def _applied(node: Router | Host, by_name: dict[str, RenderedFile], applied: dict[str, str]) -> Iterator[Finding]:
    """What a box in namespaces of its own makes of its files."""
    plugged = [interface for interface in node.interfaces if interface.kind is not InterfaceKind.LOOPBACK]
    untagged = {interface.name for interface in plugged if interface.vlan is None}
    parents = {interface.parent for interface in plugged if interface.parent is not None}
    names = [interface.name for interface in plugged]
    question = json.dumps({"ports": sorted(untagged | parents), "interfaces": names, "files": applied})
    command = [*ISOLATED, sys.executable, "-m", "lanecast_templates.oracles.box"]
    try:
        done = subprocess.run(command, input=question, capture_output=True, text=True, timeout=MOST_S, check=False)
    except subprocess.TimeoutExpired:
        raise OracleMissing(f"{node.name}: checking took longer than {MOST_S} s: is the machine busy?") from None
    if done.returncode:
        raise OracleMissing(f"{node.name}: the box for checking cannot be built: {done.stderr.strip()[-1000:]}")
    answer = json.loads(done.stdout)
    for name, reason in answer["unchecked"].items():
        yield Finding(node.name, str(by_name[name].path), " ".join(COMMANDS[name]), (), reason)
    for name, said in answer["said"].items():
        problems = complaints(said) if name == "frr.conf" else said.splitlines()
        oracle = " ".join(COMMANDS.get(name, ("sysctl",)))
        if name == "frr.conf":
            oracle = "FRR, show running-config"
            problems += [f"does not run: {line}" for line in missing_lines(applied[name], answer["running"])]
        yield _finding(node, by_name[name], oracle, problems)


def _unit_problems(name: str, text: str) -> list[str]:
    """Settings that systemd does not know. That a box's programs and other units are not here is no mistake."""
    with tempfile.TemporaryDirectory(prefix="lanecast-unit-") as folder:
        path = Path(folder) / name
        path.write_text(text)
        command = ["systemd-analyze", "verify", "--recursive-errors=no", str(path)]
        said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    wrong = ("Unknown", "Failed to parse", "Invalid")
    return [line for line in said.splitlines() if name in line and any(word in line for word in wrong)]


def _relay_problems(text: str) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="lanecast-relay-") as folder:
        path = Path(folder) / RELAY_FILE
        path.write_text(text)
        try:
            validate(RelayFile, load_document(path))
        except DocumentError as error:
            return [str(problem) for problem in error.problems]
    return []
