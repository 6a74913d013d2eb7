"""The states that a network has to reach before traffic: each names what is still missing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from lanecast.fabric import (
    Fabric,
    Host,
    HostRole,
)
from lanecast.router import RouterRole
from lanecast_lab import waits
from lanecast_lab.frr import FrrRouter
from lanecast_lab.node import Node, run
from lanecast_lab.topology import Topology

Routers = dict[str, FrrRouter]


def converge_unicast(routers: Routers) -> dict[str, float]:
    """Wait for PIM neighbours, BGP and BFD sessions and the routes they bring; return the seconds each took."""
    return {
        "pim_neighbors_s": waits.until("PIM neighbours", waits.PIM_NEIGHBORS_S, lambda: _each(routers, _pim)),
        "bgp_established_s": waits.until("BGP sessions", waits.BGP_ESTABLISHED_S, lambda: _each(routers, _bgp)),
        "bfd_sessions_s": waits.until("BFD sessions", waits.BFD_SESSIONS_S, lambda: _each(routers, _bfd)),
        "routes_s": waits.until("routes", waits.BGP_ESTABLISHED_S, lambda: _each(routers, _routes)),
    }


def converge_multicast(topology: Topology, routers: Routers) -> dict[str, float]:
    """Wait for memberships at routers and bridges and for multicast routes; return the seconds each took."""
    joins = _joins(topology.fabric)
    return {
        "igmp_memberships_s": waits.until(
            "IGMP memberships", waits.IGMP_MEMBERSHIPS_S, lambda: _missing_memberships(topology.fabric, routers, joins)
        ),
        "bridge_memberships_s": waits.until(
            "bridge memberships", waits.BRIDGE_MEMBERSHIPS_S, lambda: _missing_bridge_entries(topology, joins)
        ),
        "multicast_routes_s": waits.until(
            "multicast routes", waits.MULTICAST_ROUTES_S, lambda: _missing_mroutes(topology.fabric, routers, joins)
        ),
    }


def converge_bridges(topology: Topology) -> dict[str, float]:
    """Wait until every address that instances share is with the one that is to hold it; return the seconds it took."""
    if not topology.fabric.cloud.shared_addresses:
        return {}
    took = waits.until("addresses of bridges", waits.BRIDGE_ADDRESSES_S, lambda: list(_unheld(topology)))
    return {"bridge_addresses_s": took}


def await_ports(topology: Topology, hosts: list[Host]) -> float:
    """Wait until hosts that others have started take every copy that is sent to them; return the seconds it took."""
    names = {host.name for host in hosts}
    wanted = {
        (delivery.instance, endpoint.port)
        for delivery in topology.fabric.deliveries
        if delivery.instance in names
        for endpoint in delivery.endpoints.values()
    }

    def missing() -> list[str]:
        there = {(name, port) for name in names for port in _udp_ports(topology.nodes[name])}
        return [f"{name}: nobody listens at UDP port {port}" for name, port in sorted(wanted - there)]

    return waits.until("relays of instances", waits.PROCESS_READY_S, missing)


def _udp_ports(node: Node) -> set[int]:
    """proc(5): the local address is the second column, its port in hexadecimal behind the colon."""
    lines = Path(f"/proc/{node.pid}/net/udp").read_text().splitlines()[1:]
    return {int(line.split()[1].rpartition(":")[2], 16) for line in lines}


def _unheld(topology: Topology) -> Iterator[str]:
    for shared in topology.fabric.cloud.shared_addresses:
        holders = [name for name in shared.instances if shared.address in addresses_of(topology.nodes[name])]
        if holders != [shared.instances[0]]:
            yield f"{shared.address} is held by {' and '.join(holders) or 'nobody'}, not by {shared.instances[0]}"


def addresses_of(node: Node) -> set[IPv4Address]:
    """Every address that a node has."""
    shown = node.json("ip", "-j", "-4", "address", "show")
    return {IPv4Address(each["local"]) for interface in shown for each in interface["addr_info"]}


def _each(routers: Routers, missing: Callable[[FrrRouter], list[str]]) -> list[str]:
    return [text for router in routers.values() for text in missing(router)]


def _pim(frr: FrrRouter) -> list[str]:
    settings = frr.router.multicast
    if settings is None:
        return []
    neighbors = frr.show("show ip pim neighbor json")
    return [
        f"{frr.router.name} has no PIM neighbour on {pim.interface}"
        for pim in settings.pim
        if not pim.passive and not neighbors.get(pim.interface)
    ]


def _bgp(frr: FrrRouter) -> list[str]:
    if frr.router.bgp is None:
        return []
    peers = frr.show("show bgp ipv4 unicast summary json").get("peers", {})
    return [
        f"{frr.router.name} has no BGP session with {neighbor.node} ({neighbor.address})"
        for neighbor in frr.router.bgp.neighbors
        if peers.get(str(neighbor.address), {}).get("state") != "Established"
    ]


def _bfd(frr: FrrRouter) -> list[str]:
    """PIM's sessions are of a single hop; BGP's are taken for ones of several, because of GTSM (RFC 5883)."""
    neighbors = {each.interface: each for each in frr.router.bgp.neighbors} if frr.router.bgp else {}
    wanted = {(str(each.address), True) for each in neighbors.values() if each.bfd}
    for pim in frr.router.multicast.pim if frr.router.multicast else ():
        if pim.bfd:
            wanted |= {(str(address), False) for address in pim.neighbors}
    if not wanted:
        return []
    peers = frr.show("show bfd peers json")
    up = {(peer["peer"], bool(peer["multihop"])) for peer in peers if peer["status"] == "up"}
    return [
        f"{frr.router.name} has no BFD session {'of BGP' if multihop else 'of PIM'} with {address}"
        for address, multihop in sorted(wanted - up)
    ]


def _routes(frr: FrrRouter) -> list[str]:
    """Every prefix that a site's or exchange's router accepts has to be in its table, by BGP or static."""
    if frr.router.role is RouterRole.GATEWAY or frr.router.bgp is None:
        return []
    table = {IPv4Network(prefix) for prefix in frr.show("show ip route json")}
    wanted = {prefix for neighbor in frr.router.bgp.neighbors for prefix in neighbor.accept.permitted}
    wanted |= {route.prefix for route in frr.router.routes}
    return [f"{frr.router.name} has no route to {prefix}" for prefix in sorted(wanted - table)]


Join = tuple[Host, str, IPv4Address, IPv4Address]
"""(relay host, its interface, source, group)."""


def _joins(fabric: Fabric) -> list[Join]:
    return [
        (host, line.multicast.interface, line.multicast.source, group.address)
        for host in fabric.hosts
        if host.role is HostRole.RELAY and host.relay is not None
        for feed in host.relay.feeds.values()
        for line in feed.lines.values()
        if line.multicast is not None
        for group in line.multicast.groups.values()
    ]


def _router_end(fabric: Fabric, host: Host, interface: str) -> tuple[str, str]:
    segment = next(i.attached_to for i in host.interfaces if i.name == interface)
    return next(s.attachments[0] for s in fabric.segments if s.name == segment)


def _missing_memberships(fabric: Fabric, routers: Routers, joins: list[Join]) -> list[str]:
    wanted = {
        (*_router_end(fabric, host, interface), str(group), str(source)) for host, interface, source, group in joins
    }
    present = set()
    for name in sorted({router for router, *_ in wanted}):
        sources = routers[name].show("show ip igmp sources json")
        for interface, groups in sources.items():
            if isinstance(groups, dict):
                for group, entry in groups.items():
                    if isinstance(entry, dict):
                        present |= {(name, interface, group, s["source"]) for s in entry.get("sources", [])}
    return [
        f"{router}: no member of ({source}, {group}) on {i}" for router, i, group, source in sorted(wanted - present)
    ]


def _missing_bridge_entries(topology: Topology, joins: list[Join]) -> list[str]:
    """A bridge floods what it knows no querier for: assert the querier and the member's own entry."""
    wanted = {
        (topology.bridge_ports[host.name, interface], str(group), str(source))
        for host, interface, source, group in joins
    }
    present = set()
    router_ports = set()
    for answer in json.loads(run(["bridge", "-d", "-j", "mdb", "show"])):
        for entry in answer.get("mdb", []):
            for source in entry.get("source_list", []):
                present.add((entry["port"], entry["grp"], source["address"]))
            if "src" in entry:
                present.add((entry["port"], entry["grp"], entry["src"]))
        for ports in answer.get("router", {}).values():
            router_ports |= {port["port"] for port in ports}
    queriers = {
        topology.bridge_ports[segment.attachments[0]] for segment in topology.fabric.segments if segment.multicast
    }
    missing = [f"no querier heard on {port}" for port in sorted(queriers - router_ports)]
    return missing + [f"{port}: no entry for ({source}, {group})" for port, group, source in sorted(wanted - present)]


def _missing_mroutes(fabric: Fabric, routers: Routers, joins: list[Join]) -> list[str]:
    """(S, G) with its outgoing interface: at the site's router towards relays, at the exchange's towards circuits."""
    wanted = set()
    for host, interface, source, group in joins:
        router, outgoing = _router_end(fabric, host, interface)
        wanted.add((router, str(group), str(source), outgoing))
        wanted |= _upstream(fabric, router, source, group)
    present = set()
    for name in sorted({router for router, *_ in wanted}):
        for group, by_source in routers[name].show("show ip mroute json").items():
            for source, entry in by_source.items():
                if entry.get("installed"):
                    present |= {(name, group, source, outgoing) for outgoing in entry.get("oil", {})}
    return [f"{router}: no route of ({s}, {g}) to {o}" for router, g, s, o in sorted(wanted - present)]


def _upstream(fabric: Fabric, router: str, source: IPv4Address, group: IPv4Address) -> set[tuple[str, str, str, str]]:
    """What the exchange's router must forward for a site's router: on one of the circuits that carry the line."""
    carried = {
        f"{feed.name}.{line.name}"
        for feed in fabric.feeds
        for line in feed.lines
        if line.source == source and any(endpoint.address == group for endpoint in line.groups.values())
    }
    ends = [link.ends for link in fabric.links if link.ends[1][0] == router and carried & set(link.carries)]
    if len(ends) != 1:
        return set()
    exchange_router, interface = ends[0][0]
    return {(exchange_router, str(group), str(source), interface)}
