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
from pathlib import Path
from typing import Any

from lanecast.fabric import (
    Fabric,
    Host,
)
from lanecast.plan.layout import PROMETHEUS
from lanecast.router import InterfaceKind, Router
from lanecast_relay.config.document import DocumentError, load_document, validate
from lanecast_relay.config.model import RelayFile
from lanecast_templates import grammars
from lanecast_templates.frr_configuration import complaints, missing_lines
from lanecast_templates.frr_daemons import FRR_DAEMONS
from lanecast_templates.networkd_files import (
    NETWORKD,
    NetworkdError,
    NetworkdFiles,
    is_networkd_file,
    read_files,
    read_sections,
)
from lanecast_templates.oracles.box import COMMANDS, FRR, FRR_DAEMONS_FILE, MACHINE_WIDE
from lanecast_templates.readers import READERS, read_back
from lanecast_templates.renderer import RenderedFile, node_folder
from lanecast_templates.router_templates import router_templates
from lanecast_templates.user_data import TAB_WIDTH, USER_DATA, UserDataError, read_user_data
from lanecast_templates.views.frr import DEFAULT_VERSION

ISOLATED = ("unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child")
MOST_S = 60
"""A node takes about a second."""

RELAY_FILE = "etc/lanecast/relay.yaml"
UNITS = "etc/systemd/system/"
DROP_INS = ".d"
NETWORKD_CONFIGURATION = "etc/systemd/networkd.conf.d/"
NETWORKD_ORACLE = "systemd.network(5), ip -batch"
PACKAGES = {
    "unshare": "util-linux",
    "ip": "iproute2",
    "nft": "nftables",
    "sysctl": "procps",
    "vtysh": "frr",
    "systemd-analyze": "systemd",
}


@dataclass(frozen=True, slots=True)
class Program:
    """A program that reads a file and says whether it takes it, without doing anything else."""

    command: tuple[str, ...]
    """Up to the file."""
    package: str
    refusal: re.Pattern[str]
    """A line that says what is wrong."""


PROGRAMS = {
    "etc/chrony/chrony.conf": Program(("chronyd", "-p", "-f"), "chrony", re.compile("Fatal error")),
    # It tells as well that the interface is not here.
    "etc/keepalived/keepalived.conf": Program(
        ("keepalived", "-t", "-l", "-f"), "keepalived", re.compile(r"Line \d+\) (?!WARNING - interface )")
    ),
    "etc/rsyslog.d/60-lanecast-syslog.conf": Program(("rsyslogd", "-N1", "-f"), "rsyslog", re.compile("error")),
    # It goes on to look for the port, which is not here, and ends.
    "etc/linuxptp/ptp4l.conf": Program(("ptp4l", "-q", "-m", "-f"), "linuxptp", re.compile(" at line | parse ")),
}
"""By file. A machine may lack them: boxes without these services need none."""

PROMTOOL = Program(("promtool", "check", "config"), "prometheus", re.compile(r"FAILED|^ +line \d+: "))


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
    for file in rendered:
        if file.path.is_relative_to(PROMETHEUS):
            yield _asked_of_program(PROMETHEUS, file, PROMTOOL)


def _check_node(node: Router | Host, files: list[RenderedFile]) -> Iterator[Finding]:
    by_name = {str(file.path.relative_to(node_folder(node))): file for file in files}
    if isinstance(node, Router):
        yield from _read(node, by_name)
    applied = {
        name: file.text
        for name, file in by_name.items()
        if name in (*COMMANDS, MACHINE_WIDE, FRR, FRR_DAEMONS_FILE) or is_networkd_file(name)
    }
    if applied:
        yield from _applied(node, by_name, applied)
    for name, file in by_name.items():
        if name.startswith(UNITS):
            yield _finding(node, file, "systemd-analyze verify", _unit_problems(name.removeprefix(UNITS), file.text))
        elif name.startswith(NETWORKD_CONFIGURATION):
            yield _finding(node, file, "networkd.conf(5)", _section_problems(file))
        elif name in PROGRAMS:
            yield _asked_of_program(node.name, file, PROGRAMS[name])
        elif name == RELAY_FILE:
            yield _finding(node, file, "lanecast relay check", _relay_problems(file.text))
        elif name == USER_DATA:
            yield _finding(node, file, "read back", _user_data_problems(file.text, by_name))


def _user_data_problems(text: str, by_name: dict[str, RenderedFile]) -> Iterator[str]:
    """What an instance would be given at its first start has to be the files that stand beside it."""
    try:
        given = {str(file.path).lstrip("/"): (file.text, file.mode) for file in read_user_data(text).files}
    except UserDataError as error:
        yield str(error)
        return
    meant = {name: (file.text.expandtabs(TAB_WIDTH), file.mode) for name, file in by_name.items() if name != USER_DATA}
    for name in sorted(given.keys() | meant.keys()):
        if given.get(name) != meant.get(name):
            yield f"{name} is {'not in it' if name not in given else 'another there'}"


def _read(router: Router, by_name: dict[str, RenderedFile]) -> Iterator[Finding]:
    """What can be said of a router's text without such a router: its grammar, and whether it says what was meant."""
    file = by_name[router_templates(router.platform).main]
    if router.platform.value in grammars.platforms():
        problems = (f"line {line}: {said}" for line, said in grammars.check_text(router.platform.value, file.text))
        yield _finding(router, file, f"{router.platform} grammar (not device-checked)", problems)
    if router.platform in READERS:
        yield _finding(router, file, "reader", read_back(router, file.text))


def _finding(node: Router | Host, file: RenderedFile, oracle: str, problems: Iterable[str]) -> Finding:
    return Finding(node.name, str(file.path), oracle, tuple(problems))


def _applied(node: Router | Host, by_name: dict[str, RenderedFile], applied: dict[str, str]) -> Iterator[Finding]:
    """What a box in namespaces of its own makes of its files."""
    names = [name for name in applied if is_networkd_file(name)]
    try:
        networkd = read_files({name: applied[name] for name in names})
    except NetworkdError as error:
        # Nobody knows what the others mean without it.
        for name in names:
            wrong = name == error.file
            reason = None if wrong else f"{error.file} is refused"
            refusal = (str(error),) if wrong else ()
            yield Finding(node.name, str(by_name[name].path), NETWORKD_ORACLE, refusal, reason)
        networkd = NetworkdFiles((), ())
    answer = _asked(node, networkd, {name: text for name, text in applied.items() if name not in names})
    for name, reason in answer["unchecked"].items():
        yield Finding(node.name, str(by_name[name].path), NETWORKD_ORACLE, (), reason)
    for name, said in answer["said"].items():
        problems = complaints(said) if name == FRR else said.splitlines()
        oracle = NETWORKD_ORACLE if name in names else " ".join(COMMANDS.get(name, ("sysctl",)))
        if name == FRR:
            oracle = "FRR, show running-config"
            problems += [f"does not run: {line}" for line in missing_lines(applied[name], answer["running"])]
        yield _finding(node, by_name[name], oracle, problems)


def _asked(node: Router | Host, networkd: NetworkdFiles, files: dict[str, str]) -> dict[str, Any]:
    """The answer of ``box``, run in namespaces of its own."""
    plugged = [interface for interface in node.interfaces if interface.kind is not InterfaceKind.LOOPBACK]
    untagged = {interface.name for interface in plugged if interface.vlan is None}
    parents = {interface.parent for interface in plugged if interface.parent is not None}
    question = {
        "ports": sorted(untagged | parents),
        "interfaces": [interface.name for interface in plugged],
        "vlans": [(vlan.file, list(vlan.commands())) for vlan in networkd.vlans],
        "links": [(link.file, list(link.commands())) for link in networkd.links],
        "files": files,
    }
    command = [*ISOLATED, sys.executable, "-m", "lanecast_templates.oracles.box"]
    try:
        done = subprocess.run(
            command, input=json.dumps(question), capture_output=True, text=True, timeout=MOST_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise OracleMissing(f"{node.name}: checking took longer than {MOST_S} s: is the machine busy?") from None
    if done.returncode:
        raise OracleMissing(f"{node.name}: the box for checking cannot be built: {done.stderr.strip()[-1000:]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _unit_problems(name: str, text: str) -> list[str]:
    """Settings that systemd does not know. That a box's programs and other units are not here is no mistake."""
    with tempfile.TemporaryDirectory(prefix="lanecast-unit-") as folder:
        path = Path(folder, name)
        unit = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if path.parent.suffix == DROP_INS:
            unit = path.parent.with_suffix("")
            unit.write_text("[Service]\nExecStart=/bin/true\n")
        command = ["systemd-analyze", "verify", "--recursive-errors=no", str(unit)]
        said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    wrong = ("Unknown", "Failed to parse", "Invalid")
    return [line for line in said.splitlines() if path.name in line and any(word in line for word in wrong)]


def _asked_of_program(node: str, file: RenderedFile, program: Program) -> Finding:
    name, *_ = program.command
    if shutil.which(name) is None:
        return Finding(
            node, str(file.path), name, (), f"{name} is not on this machine (Debian package {program.package})"
        )
    with tempfile.TemporaryDirectory(prefix=f"lanecast-{name}-") as folder:
        path = Path(folder, file.path.name)
        path.write_text(file.text)
        # Ports of the plan are not to be found here, whatever this machine's are called.
        command = ["unshare", "--net", *program.command, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=MOST_S, check=False)
    said = (done.stdout + done.stderr).replace(f"{folder}/", "").splitlines()
    return Finding(node, str(file.path), name, tuple(line for line in said if program.refusal.search(line)))


def _section_problems(file: RenderedFile) -> list[str]:
    try:
        read_sections(file.path.name, file.text, NETWORKD)
    except NetworkdError as error:
        return [str(error)]
    return []


def _relay_problems(text: str) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="lanecast-relay-") as folder:
        path = Path(folder, "relay.yaml")
        path.write_text(text)
        try:
            validate(RelayFile, load_document(path))
        except DocumentError as error:
            return [str(problem) for problem in error.problems]
    return []
