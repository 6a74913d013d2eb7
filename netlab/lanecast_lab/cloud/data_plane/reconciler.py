"""Makes it so: compares a description with what is built, and applies the difference alone.

What cannot be made as described is reported, and tried again with the next round. A node that is left in an unknown
state is made anew. Filters are there before what they filter is connected.
"""

from __future__ import annotations

import itertools
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from lanecast_lab import instances
from lanecast_lab.cloud.data_plane import commands
from lanecast_lab.cloud.data_plane.conntrack import forget_marked
from lanecast_lab.cloud.data_plane.model import Description, End, Interface, Link, Node, PolicyRule, Route
from lanecast_lab.cloud.data_plane.namespaces import Namespaces, end_holder
from lanecast_lab.cloud.data_plane.programs import Running, can_reload
from lanecast_lab.cloud.data_plane.status import NODES
from lanecast_lab.errors import LabError
from lanecast_lab.node import Node as Namespace
from lanecast_lab.node import executable, run

WORKERS = 4
"""Commands in nodes mostly wait for the kernel."""

CARRIER_WITHIN_S = 3.0
BOOT_ENDS_WITHIN_S = 5.0
"""What an instance's start gets to notice that everything in it was killed."""

BRIDGE_HOOKS = Path("/proc/sys/net/bridge")
"""There where the kernel has br_netfilter."""


@dataclass(slots=True)
class Built:
    """A node as it is now."""

    namespace: Namespace
    name: str
    """Of its namespace."""
    shown: Node
    """How it was described last."""
    handle: int
    """By which the end of the process that holds the namespace is noticed: pidfd_open(2)."""
    sysctls: tuple[tuple[str, str], ...] = ()
    tables: dict[str, str] = field(default_factory=dict)
    flow_marks: frozenset[int] = frozenset()
    interfaces: dict[str, Interface] = field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    rules: tuple[PolicyRule, ...] = ()
    programs: dict[str, Running] = field(default_factory=dict)
    unplugged: set[str] = field(default_factory=set)
    """Interfaces that are no more, and routes by them with them."""
    problems: list[str] = field(default_factory=list)
    broken: bool = False
    """Whether nobody knows what is there."""
    boot: threading.Thread | None = None
    boot_problems: list[str] = field(default_factory=list)

    def break_down(self, why: str) -> None:
        """Nobody knows what is there any more."""
        self.broken = True
        self.problems.append(why)

    def is_over(self) -> bool:
        """Whether it has to be made anew."""
        return self.broken or self.namespace.processes[0][1].poll() is not None

    def interfaces_of(self, node: Node) -> dict[str, Interface]:
        """Its interfaces as wanted: those whose cables are there, and bridges."""
        return {each.name: each for each in node.interfaces if each.bridge or each.name in self.interfaces}

    def routes_of(self, node: Node) -> tuple[Route, ...]:
        """Its routes as wanted, as far as the interfaces are there and up."""
        usable = {name for name, interface in self.interfaces_of(node).items() if interface.up} | {"lo"}
        return tuple(route for route in node.routes if all(hop.interface in usable for hop in route.hops))

    def is_filtered_as(self, node: Node) -> bool:
        """Whether kernel settings and filters are as wanted."""
        return self.sysctls == node.sysctls and self.tables == dict(node.tables) and self.flow_marks == node.flow_marks

    def is_routed_as(self, node: Node) -> bool:
        """Whether interfaces, routes and rules are as wanted."""
        return (
            self.interfaces == self.interfaces_of(node)
            and self.routes == self.routes_of(node)
            and self.rules == node.rules
            and not self.unplugged
        )

    def runs_as(self, node: Node) -> bool:
        """Whether its programs are as wanted."""
        running = [each.program for each in self.programs.values() if not each.ended()]
        return sorted(running, key=lambda each: each.role) == sorted(node.programs, key=lambda each: each.role)


class Reconciler:
    """What is built, and how it becomes something else. For one thread at a time."""

    def __init__(self, state: Path, ended: Callable[[], None]) -> None:
        """``ended`` is called, by another thread, when an instance has done what its user data says."""
        self._directory = (state / NODES).absolute()
        self._namespaces = Namespaces(state)
        self._ended = ended
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="data-plane")
        self.built: dict[str, Built] = {}
        self._links: dict[str, Link] = {}
        self._carrying: set[str] = set()
        self._link_problems: list[str] = []
        self._numbers = itertools.count(commands.FIRST_INDEX, 2)

    def clean(self) -> int:
        """Remove what a killed server of the same state directory has left; returns how many namespaces."""
        count = self._namespaces.remove_all()
        shutil.rmtree(self._directory, ignore_errors=True)
        return count

    def close(self) -> None:
        """Remove everything."""
        self._remove(list(self.built))
        self._namespaces.remove_all()
        shutil.rmtree(self._directory, ignore_errors=True)
        self._pool.shutdown()

    def problems(self) -> list[str]:
        """What is not as described, for people."""
        found = list(self._link_problems)
        for key, built in self.built.items():
            # what a command says begins with the node's name already
            found += [f"{key}: {one.removeprefix(f'{key}: ')}" for one in (*built.problems, *built.boot_problems)]
        return found

    def is_unfinished(self) -> bool:
        """Whether something is to be tried again. An instance's own start is not."""
        return bool(self._link_problems) or any(built.problems or built.is_over() for built in self.built.values())

    def is_settled(self) -> bool:
        """Whether every node and program that was wanted last is still there."""
        return all(not built.is_over() and built.runs_as(built.shown) for built in self.built.values())

    def handles(self) -> list[int]:
        """File descriptors that are readable when a namespace's holder or a program has ended."""
        programs = [each.handle for built in self.built.values() for each in built.programs.values()]
        return [*(built.handle for built in self.built.values()), *(handle for handle in programs if handle >= 0)]

    def apply(self, wanted: Description) -> None:
        """Make it as described. What fails is among the problems."""
        over = {key for key, built in self.built.items() if key not in wanted.nodes or built.is_over()}
        self._unplug(
            key
            for key, link in self._links.items()
            if wanted.links.get(key) != link or {link.first.node, link.second.node} & over
        )
        self._remove(over)
        self._make(node for key, node in wanted.nodes.items() if key not in self.built)
        for key, node in wanted.nodes.items():
            self.built[key].shown = node
            self.built[key].problems.clear()
        self._each(_filter, lambda built, node: built.is_filtered_as(node))
        self._plug(wanted)
        self._each(_route, lambda built, node: built.is_routed_as(node))
        self._await_carrier()
        self._each(_run_programs, lambda built, node: built.runs_as(node))
        for built in self.built.values():
            self._boot(built)

    def _each(self, step: Callable[[Built, Node], None], done: Callable[[Built, Node], bool]) -> None:
        """Do a step for every node where it is not done, several at a time."""

        def guarded(built: Built) -> None:
            try:
                step(built, built.shown)
            except LabError as error:
                built.problems.append(str(error))

        whole = [built for built in self.built.values() if not built.broken]
        list(self._pool.map(guarded, [built for built in whole if not done(built, built.shown)]))

    def _make(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            name, namespace = self._namespaces.make(node.key, self._directory / node.key)
            self.built[node.key] = Built(namespace, name, node, os.pidfd_open(namespace.pid))

    def _remove(self, keys: Iterable[str]) -> None:
        """Remove nodes with everything that runs in them."""
        removed = [self.built.pop(key) for key in list(keys)]
        for built in removed:
            for running in built.programs.values():
                running.stop()
        self._namespaces.remove(built.name for built in removed)
        for built in removed:
            if built.boot is not None:  # its next command must not find another process by the holder's number
                built.boot.join(BOOT_ENDS_WITHIN_S)
            os.close(built.handle)
            end_holder(built.namespace)
            shutil.rmtree(built.namespace.directory, ignore_errors=True)

    def _unplug(self, keys: Iterable[str]) -> None:
        """Take cables out, before their nodes go: a namespace's end is noticed late by the other end."""
        for key in list(keys):
            link = self._links.pop(key)
            for end in (link.first, link.second):
                self.built[end.node].interfaces.pop(end.interface, None)
                self.built[end.node].unplugged.add(end.interface)
            alive = next((end for end in (link.first, link.second) if not self.built[end.node].is_over()), None)
            if alive is not None:
                try:
                    self.built[alive.node].namespace.run("ip", "link", "delete", "dev", alive.interface)
                except LabError as error:
                    # somebody in a node was faster
                    for end in (link.first, link.second):
                        self.built[end.node].break_down(str(error))

    def _plug(self, wanted: Description) -> None:
        """Put cables in between nodes that are ready for them."""
        ready = {key for key, built in self.built.items() if built.is_filtered_as(built.shown)}
        new = {
            key: link
            for key, link in wanted.links.items()
            if key not in self._links and {link.first.node, link.second.node} <= ready
        }
        self._link_problems = []
        if not new:
            return
        lines = [
            commands.link_line(self._end(link.first), self._end(link.second), next(self._numbers))
            for link in new.values()
        ]
        try:
            run(["ip", "-batch", "-"], where="links", stdin="".join(f"{line}\n" for line in lines))
        except LabError as error:
            # what was made before the failing line is not known: their nodes are made anew
            self._link_problems.append(str(error))
            for node in {end.node for link in new.values() for end in (link.first, link.second)}:
                self.built[node].broken = True
            return
        self._links |= new
        for end in (end for link in new.values() for end in (link.first, link.second)):
            interface, _ = self._end(end)
            bare = Interface(end.interface, mac=interface.mac, mtu=interface.mtu, up=False)
            self.built[end.node].interfaces[end.interface] = bare

    def _await_carrier(self) -> None:
        """Wait until the kernel has noticed that new links are up: it takes up to a second, or until somebody asks."""
        up = {key for key, link in self._links.items() if self._is_up(link.first) and self._is_up(link.second)}
        asked: dict[str, list[str]] = {}
        for key in up - self._carrying:
            for end in (self._links[key].first, self._links[key].second):
                asked.setdefault(end.node, []).append(end.interface)
        deadline = time.monotonic() + CARRIER_WITHIN_S
        while asked and time.monotonic() < deadline:
            left = list(self._pool.map(self._without_carrier, asked.items()))
            asked = {key: names for key, names in zip(asked, left, strict=True) if names}
        for key, names in asked.items():
            self.built[key].problems.append(f"{', '.join(names)}: no carrier although the other end is up")
        self._carrying = up

    def _without_carrier(self, asked: tuple[str, list[str]]) -> list[str]:
        key, names = asked
        lines = "".join(f"link show dev {name}\n" for name in names)
        try:
            shown = self.built[key].namespace.run("ip", "-oneline", "-batch", "-", stdin=lines).splitlines()
        except LabError as error:
            self.built[key].break_down(str(error))
            return []
        return [name for name, line in zip(names, shown, strict=True) if " state UP " not in line]

    def _is_up(self, end: End) -> bool:
        return self.built[end.node].interfaces[end.interface].up

    def _end(self, end: End) -> tuple[Interface, int]:
        built = self.built[end.node]
        interface = next(each for each in built.shown.interfaces if each.name == end.interface)
        return interface, built.namespace.pid

    def _boot(self, built: Built) -> None:
        """Start an instance, by the side: what its user data does may take its time."""
        node = built.shown
        if not node.user_data or not node.booted or built.boot is not None or not built.is_routed_as(node):
            return

        def start() -> None:
            try:
                instances.start(built.namespace, node.user_data)
            except LabError as error:
                built.boot_problems.append(str(error))
            except Exception as error:  # whatever somebody gave it: a problem of this instance, which has to be told
                built.boot_problems.append(f"user data: {type(error).__name__}: {error}")
            self._ended()

        built.boot = threading.Thread(target=start, name=f"boot-{node.key}", daemon=True)
        built.boot.start()


def _filter(built: Built, node: Node) -> None:
    """Kernel settings and filters."""
    wanted = commands.settable(node.sysctls, BRIDGE_HOOKS.exists())
    if new := [f"{name}={value}" for name, value in wanted if (name, value) not in built.sysctls]:
        built.namespace.run("sysctl", "-q", "-w", *new)
    built.sysctls = node.sysctls
    if text := commands.table_text(built.tables, node.tables):
        built.namespace.run("nft", "-f", "-", stdin=text)
    built.tables = dict(node.tables)
    try:
        forget_marked(built.namespace.pid, built.flow_marks - node.flow_marks)
    except OSError as error:
        raise LabError(str(error)) from None
    built.flow_marks = node.flow_marks


def _route(built: Built, node: Node) -> None:
    """Interfaces, routes and policy rules."""
    before, after = built.interfaces, built.interfaces_of(node)
    lost = built.unplugged | commands.lost_interfaces(before, after)
    routes = built.routes_of(node)
    try:
        _batch(
            built.namespace,
            "ip",
            [
                *commands.interface_lines(before, after),
                *commands.route_lines(built.routes, routes, lost),
                *commands.rule_lines(built.rules, node.rules),
            ],
        )
        _batch(built.namespace, "bridge", list(commands.station_lines(before, after)))
        for name, interface in after.items():
            if interface.plain and not (name in before and before[name].plain):
                built.namespace.run(executable("lanecast-wire"), "plain-offloads", name)
    except LabError as error:
        built.break_down(str(error))
        return
    built.interfaces, built.routes, built.rules = after, routes, node.rules
    built.unplugged = set()


def _batch(namespace: Namespace, program: str, lines: list[str]) -> None:
    if lines:
        namespace.run(program, "-batch", "-", stdin="".join(f"{line}\n" for line in lines))


def _run_programs(built: Built, node: Node) -> None:
    """Start what does not run, stop what is not wanted."""
    if not built.is_routed_as(node):
        return
    wanted = {program.role: program for program in node.programs}
    for role in [role for role in built.programs if role not in wanted]:
        built.programs.pop(role).stop()
    for role, program in wanted.items():
        running = built.programs.get(role)
        if running is not None and not running.ended():
            if running.program == program:
                continue
            if can_reload(running.program, program):
                running.reload(program)
                continue
        if running is not None:
            if running.ended() and running.ended_early() and running.program == program:
                built.problems.append(f"{role} ended with status {running.status()}: {running.last_words()}")
                continue
            running.stop()
        built.programs[role] = Running(built.namespace, program)
        built.programs[role].start()
