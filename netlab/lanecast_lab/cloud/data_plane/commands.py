"""The difference between two states of a node, as lines for ``ip -batch``, ``bridge -batch`` and ``nft -f``. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from lanecast_lab.cloud.data_plane.model import MAIN_TABLE, Interface, PolicyRule, Route

BRIDGE_HOOK = "net.bridge."

FIRST_INDEX = 1000
"""Interface numbers from here on are given; below, the kernel gives them."""


def settable(sysctls: Collection[tuple[str, str]], bridge_hooks: bool) -> list[tuple[str, str]]:
    """Kernel settings that can be made: where bridges have no hooks into the firewall, none have to be switched off."""
    return [
        (name, value) for name, value in sysctls if bridge_hooks or (not name.startswith(BRIDGE_HOOK) or value != "0")
    ]


def interface_lines(before: Mapping[str, Interface], after: Mapping[str, Interface]) -> Iterator[str]:
    """Lines for ``ip``. Ends of links are there already; bridges are made, and removed, here."""
    yield from (f"link delete dev {name}" for name, old in before.items() if old.bridge and name not in after)
    for name, new in after.items():
        old = before.get(name)
        if old is None and new.bridge:
            yield f"link add name {name}{_address(new)} mtu {new.mtu} type bridge stp_state 0 mcast_snooping 0"
        yield from _attributes(old, new)


def _address(interface: Interface) -> str:
    return f" address {interface.mac}" if interface.mac else ""


def _attributes(old: Interface | None, new: Interface) -> Iterator[str]:
    name = new.name
    if old is not None and (old.mac, old.mtu) != (new.mac, new.mtu):
        yield f"link set dev {name}{_address(new)} mtu {new.mtu}"
    if new.master != (old.master if old else ""):
        yield f"link set dev {name} master {new.master}" if new.master else f"link set dev {name} nomaster"
    if new.master and bool(new.stations) != bool(old and old.stations):
        switch = "off" if new.stations else "on"
        yield f"link set dev {name} type bridge_slave learning {switch} flood {switch} mcast_flood {switch}"
    had = old.addresses if old else ()
    yield from (f"address delete {address} dev {name}" for address in had if address not in new.addresses)
    yield from (f"address replace {address} dev {name}" for address in new.addresses if address not in had)
    if new.up != (old is not None and old.up):
        yield f"link set dev {name} {'up' if new.up else 'down'}"
    # a port that goes down forgets its neighbours
    kept = dict(old.neighbors) if old and old.up and new.up else {}
    known = dict(new.neighbors)
    yield from (f"neigh delete {address} dev {name}" for address in kept if address not in known)
    for address, mac in known.items():
        if new.up and kept.get(address) != mac:
            yield f"neigh replace {address} lladdr {mac} dev {name} nud permanent"


def station_lines(before: Mapping[str, Interface], after: Mapping[str, Interface]) -> Iterator[str]:
    """Lines for ``bridge``: which hardware addresses are behind which port."""
    for name, new in after.items():
        had = before[name].stations if name in before else ()
        yield from (f"fdb delete {mac} dev {name} master static" for mac in had if mac not in new.stations)
        yield from (f"fdb replace {mac} dev {name} master static" for mac in new.stations if mac not in had)


def lost_interfaces(before: Mapping[str, Interface], after: Mapping[str, Interface]) -> set[str]:
    """Those that the kernel has forgotten routes of: they went down, or come up."""
    return {name for name, old in before.items() if name in after and not (old.up and after[name].up)}


def route_lines(before: Collection[Route], after: Collection[Route], lost: Collection[str]) -> Iterator[str]:
    """Lines for ``ip``: new routes first. Those by a ``lost`` interface may be there or not."""
    had = {_key(route): route for route in before}
    wanted = {_key(route): route for route in after}
    for key, new in wanted.items():
        if had.get(key) != new or any(hop.interface in lost for hop in new.hops):
            yield f"route replace {_route(new)}"
    for key, old in had.items():
        if key not in wanted:
            # what may be there or not is first made to be there
            if any(hop.interface in lost for hop in old.hops):
                yield f"route replace blackhole {_place(old)}"
            yield f"route delete {_place(old)}"


def _key(route: Route) -> tuple[str, int, int]:
    return route.destination, route.table, route.metric


def _place(route: Route) -> str:
    metric = f" metric {route.metric}" if route.metric else ""
    table = f" table {route.table}" if route.table != MAIN_TABLE else ""
    return f"{route.destination}{table}{metric}"


def _route(route: Route) -> str:
    source = f" src {route.source}" if route.source else ""
    if not route.hops:
        return f"blackhole {_place(route)}"
    ways = [
        f"via {hop.via} dev {hop.interface} onlink" if hop.via else f"dev {hop.interface} scope link"
        for hop in route.hops
    ]
    if len(ways) == 1:
        return f"{_place(route)} {ways[0]}{source}"
    several = " ".join(f"nexthop {way} weight {hop.weight}" for way, hop in zip(ways, route.hops, strict=True))
    return f"{_place(route)}{source} {several}"


def rule_lines(before: Collection[PolicyRule], after: Collection[PolicyRule]) -> Iterator[str]:
    """Lines for ``ip``: new rules first."""
    for verb, rules in (
        ("add", [rule for rule in after if rule not in before]),
        ("delete", [rule for rule in before if rule not in after]),
    ):
        for rule in rules:
            yield f"rule {verb} {rule.selector or 'from all'} lookup {rule.table} priority {rule.priority}"


def table_text(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """One transaction for ``nft``; empty when nothing changes."""
    text = []
    for name, rules in after.items():
        if before.get(name) != rules:
            text.append(f"table {name}\ndelete table {name}\ntable {name} {{\n{rules}\n}}\n")
    text += [f"delete table {name}\n" for name in before if name not in after]
    return "".join(text)


def link_line(first: tuple[Interface, int], second: tuple[Interface, int], index: int) -> str:
    """The line for ``ip`` that makes a link between two interfaces, each with the process that holds its namespace.

    The ends get this number and the next one: the kernel is slow to notice a link whose ends have the same number, in
    namespaces of their own.
    """
    ends = [
        f"name {end.name} index {index + which}{_address(end)} mtu {end.mtu} netns {pid}"
        for which, (end, pid) in enumerate((first, second))
    ]
    return f"link add {ends[0]} type veth peer {ends[1]}"
