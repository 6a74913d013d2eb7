"""EOS's access lists, prefix lists, AS-path lists, route maps and control-plane classes, as a text has them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Any, TypeVar

from lanecast_templates.readers.eos_lines import MATCH, PREFIX, Commands, Line, network
from lanecast_templates.readers.facts import AccessFacts, Range

ANY = IPv4Network("0.0.0.0/0")
T = TypeVar("T")

OWN_AS_ALONE = re.compile(r"\^(\d+)\(_(\d+)\)\*\$")


@dataclass(slots=True)
class RouteMap:
    """One entry, which permits."""

    line: Line
    prefix_list: str | None = None
    as_path_list: str | None = None


@dataclass(slots=True)
class Lists:
    """All lists by their names; entries by their sequence numbers, in which order a router asks them."""

    standard: dict[str, dict[int, tuple[bool, IPv4Network]]] = field(default_factory=dict)
    extended: dict[str, dict[int, AccessFacts]] = field(default_factory=dict)
    prefixes: dict[str, dict[int, tuple[bool, Range]]] = field(default_factory=dict)
    as_paths: dict[str, str] = field(default_factory=dict)
    as_paths_are_strings: bool = False
    route_maps: dict[str, RouteMap] = field(default_factory=dict)
    class_lists: dict[str, tuple[Line, str]] = field(default_factory=dict)
    class_rates: dict[str, tuple[Line, int]] = field(default_factory=dict)

    def permitted(self, line: Line, name: str) -> frozenset[IPv4Network]:
        """What a standard list permits; a denial may only end it. Raises :class:`ValueError`."""
        if name not in self.standard:
            raise line.wrong(f"there is no standard list {name}")
        return frozenset(_permits(line, name, self.standard[name], ANY))

    def extended_list(self, line: Line, name: str) -> tuple[AccessFacts, ...]:
        """The rules in order. Raises :class:`ValueError`."""
        if name not in self.extended:
            raise line.wrong(f"there is no list {name}")
        return tuple(rule for _, rule in sorted(self.extended[name].items()))

    def ranges(self, line: Line, route_map: str | None) -> tuple[frozenset[Range], int | None]:
        """What a route map lets through: prefixes, and the AS that alone may be in the path."""
        if route_map is None:
            return frozenset({(ANY, 32)}), None
        if route_map not in self.route_maps:
            raise line.wrong(f"there is no route map {route_map}")
        entry = self.route_maps[route_map]
        return self._prefixes(entry), self._own_as(entry)

    def _prefixes(self, entry: RouteMap) -> frozenset[Range]:
        if entry.prefix_list is None:
            return frozenset({(ANY, 32)})
        if entry.prefix_list not in self.prefixes:
            raise entry.line.wrong(f"there is no prefix list {entry.prefix_list}")
        name = entry.prefix_list
        return frozenset(_permits(entry.line, name, self.prefixes[name], (ANY, ANY.max_prefixlen)))

    def _own_as(self, entry: RouteMap) -> int | None:
        if entry.as_path_list is None:
            return None
        if entry.as_path_list not in self.as_paths:
            raise entry.line.wrong(f"there is no AS-path list {entry.as_path_list}")
        found = OWN_AS_ALONE.fullmatch(self.as_paths[entry.as_path_list])
        if found is None or found[1] != found[2] or not self.as_paths_are_strings:
            return None
        return int(found[1])

    def control_classes(self) -> Iterator[tuple[frozenset[AccessFacts], int]]:
        """What belongs to each class of the control plane, and packets a second."""
        for name, (line, rate) in self.class_rates.items():
            if name not in self.class_lists:
                raise line.wrong(f"there is no class {name}")
            where, list_name = self.class_lists[name]
            yield frozenset(rule for rule in self.extended_list(where, list_name) if rule.permit), rate


def _permits(line: Line, name: str, entries: Mapping[int, tuple[bool, T]], everything: T) -> Iterator[T]:
    """What a list permits; only everything else may be denied, at its end."""
    ordered = [entry for _, entry in sorted(entries.items())]
    for number, (permit, what) in enumerate(ordered, start=1):
        if permit:
            yield what
        elif number < len(ordered) or what != everything:
            raise line.wrong(f"{name} denies some of what it permits")


def register(top: Commands) -> None:
    """Add the commands of lists to those of the configuration, whose reader has a :class:`Lists`."""
    top.says(r"ip access-list standard (\S+)", opens=True)(_standard_list)
    top.says(r"ip access-list (\S+)", opens=True)(_extended_list)
    top.says(r"ip prefix-list (\S+)", opens=True)(_prefix_list)
    top.says(r"ip as-path regex-mode string")(_strings)
    top.says(r"ip as-path access-list (\S+) permit (\S+) any")(_as_path_list)
    top.says(r"route-map (\S+) permit \d+", opens=True)(_route_map)
    top.says(r"class-map type copp match-any (\S+)", opens=True)(_class_map)
    top.says(r"policy-map type copp copp-system-policy", opens=True)(_policy)


def _standard_list(held: Any, line: Line, groups: tuple[str, ...]) -> None:
    _STANDARD.read(held.lists.standard.setdefault(groups[0], {}), line.block)


_STANDARD = Commands("a standard access list")
_STANDARD.silent(r"counters per-entry")


@_STANDARD.says(rf"(\d+) (permit|deny) ({MATCH})")
def _standard_entry(held: dict[int, tuple[bool, IPv4Network]], line: Line, groups: tuple[str, ...]) -> None:
    _once(held, line, int(groups[0]))
    held[int(groups[0])] = groups[1] == "permit", network(groups[2])


def _extended_list(held: Any, line: Line, groups: tuple[str, ...]) -> None:
    _EXTENDED.read(held.lists.extended.setdefault(groups[0], {}), line.block)


_EXTENDED = Commands("an access list")


@_EXTENDED.says(rf"(\d+) (permit|deny) (ip|tcp|udp|icmp|igmp|pim) ({MATCH})(?: eq (\d+))? ({MATCH})(?: eq (\d+))?")
def _extended_entry(held: dict[int, AccessFacts], line: Line, groups: tuple[str | None, ...]) -> None:
    sequence, action, protocol, source, source_port, destination, destination_port = groups
    assert sequence and action and protocol and source and destination  # noqa: PT018 - by the pattern
    _once(held, line, int(sequence))
    held[int(sequence)] = AccessFacts(
        permit=action == "permit",
        protocol=protocol,
        source=network(source),
        destination=network(destination),
        source_port=None if source_port is None else int(source_port),
        destination_port=None if destination_port is None else int(destination_port),
    )


_EXTENDED.silent(r"counters per-entry", r"\d+ remark .+")


def _prefix_list(held: Any, line: Line, groups: tuple[str, ...]) -> None:
    _PREFIXES.read(held.lists.prefixes.setdefault(groups[0], {}), line.block)


_PREFIXES = Commands("a prefix list")


@_PREFIXES.says(rf"seq (\d+) (permit|deny) ({PREFIX})(?: le (\d+))?")
def _prefix_entry(held: dict[int, tuple[bool, Range]], line: Line, groups: tuple[str, ...]) -> None:
    _once(held, line, int(groups[0]))
    prefix = IPv4Network(groups[2])
    held[int(groups[0])] = groups[1] == "permit", (prefix, int(groups[3] or prefix.prefixlen))


def _once(held: dict[int, Any], line: Line, sequence: int) -> None:
    if sequence in held:
        raise line.wrong(f"{sequence} is there twice")


def _strings(held: Any, line: Line, groups: tuple[str, ...]) -> None:
    held.lists.as_paths_are_strings = True


def _as_path_list(held: Any, line: Line, groups: tuple[str, ...]) -> None:
    if groups[0] in held.lists.as_paths:
        raise line.wrong(f"{groups[0]} is there twice")
    held.lists.as_paths[groups[0]] = groups[1]


def _route_map(held: Any, line: Line, groups: tuple[str, ...]) -> None:
    if groups[0] in held.lists.route_maps:
        raise line.wrong(f"{groups[0]} is there twice")
    _ROUTE_MAP.read(held.lists.route_maps.setdefault(groups[0], RouteMap(line)), line.block)


_ROUTE_MAP = Commands("a route map")
_ROUTE_MAP.sets(r"match ip address prefix-list (\S+)", "prefix_list", str)
_ROUTE_MAP.sets(r"match as-path (\S+)", "as_path_list", str)


def _class_map(held: Any, line: Line, groups: tuple[str, ...]) -> None:
    for each in line.block:
        words = each.text.split()
        if words[:3] != ["match", "ip", "access-group"] or len(words) != 4:
            raise each.wrong("no command that is known in a class")
        held.lists.class_lists[groups[0]] = each, words[3]


def _policy(held: Any, line: Line, groups: tuple[str, ...]) -> None:
    _POLICY.read(held.lists, line.block)


_POLICY = Commands("the control plane's policy")
_SYSTEM_CLASS = Commands("a class of EOS's own")
_SYSTEM_CLASS.silent(r"shape pps \d+")


@_POLICY.says(r"class (copp-system-\S+)", opens=True)
def _system_class(held: Lists, line: Line, groups: tuple[str, ...]) -> None:
    _SYSTEM_CLASS.read(held, line.block)


@_POLICY.says(r"class (\S+)", opens=True)
def _policy_class(held: Lists, line: Line, groups: tuple[str, ...]) -> None:
    for each in line.block:
        words = each.text.split()
        if words[:2] != ["shape", "pps"] or len(words) != 3:
            raise each.wrong("no command that is known in a class")
        held.class_rates[groups[0]] = each, int(words[2])
