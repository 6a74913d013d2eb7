"""Reads Comware 7 of MSR and SR routers: the text's commands first, then what they come to.

Besides the facts it insists on what every router of ours has to say (Telnet off, refused packets counted, a bound for
the remainder of the control plane), since the absence of such a line changes no fact.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from lanecast.router import CONTROL_PACKET_BYTES
from lanecast_templates.readers.facts import (
    AccessFacts,
    Facts,
    IgmpFacts,
    MsdpFacts,
    NeighborFacts,
    PimFacts,
    Range,
    RendezvousFacts,
    VlanFacts,
)
from lanecast_templates.readers.h3c_comware.accounts import management
from lanecast_templates.readers.h3c_comware.commands import read_commands
from lanecast_templates.readers.h3c_comware.declarations import Commands, Interface, Peer, fail
from lanecast_templates.readers.h3c_comware.lists import acl_of, filter_rules, groups_only, permitted, permitting

ALWAYS = (
    "undo ftp server enable",
    "undo ip http enable",
    "undo ip https enable",
    "undo ip redirects enable",
    "undo ip unreachables enable",
    "undo lldp global enable",
    "undo telnet server enable",
    "return",
)
BFD_COMMANDS = {"min-transmit-interval", "min-receive-interval", "detect-multiplier"}


def read(text: str) -> Facts:
    """What ``text`` says; raises ValueError with the line of what it cannot read."""
    commands = read_commands(text)
    _insist(commands)
    try:
        return _facts(commands)
    except KeyError as error:
        raise ValueError(f"nothing is called {error}") from None


def _facts(commands: Commands) -> Facts:
    interfaces = list(commands.interfaces.values())
    bgp, multicast = commands.bgp, commands.multicast
    return Facts(
        name=commands.name,
        addresses=frozenset((each.name, address) for each in interfaces for address in each.addresses),
        tags=frozenset((each.name, each.tag) for each in interfaces if each.tag is not None),
        vlans=frozenset(_vlans(commands)),
        vrf_of=frozenset((each.name, each.vrf) for each in interfaces if each.vrf is not None),
        shut=frozenset(each.name for each in interfaces if each.shut),
        routes=frozenset(commands.routes),
        asn=bgp.asn,
        router_id=bgp.router_ids[0] if bgp.router_ids else None,
        networks=frozenset(bgp.networks),
        neighbors=frozenset(_neighbor(commands, each) for each in bgp.peers.values()),
        bfd=frozenset(_bfd(commands)),
        ssm_ranges=permitted(commands, multicast.ssm_acl) if multicast.ssm_acl else frozenset(),
        pim=frozenset(_pim(commands, each) for each in interfaces if each.pim and not each.is_loopback),
        igmp=frozenset(_igmp(commands, each) for each in interfaces if each.igmp),
        boundaries=frozenset(
            (each.name, groups_only(commands, each.filters["outbound"]))
            for each in interfaces
            if "outbound" in each.filters
        ),
        rendezvous_points=frozenset(_rendezvous_points(commands)),
        msdp=frozenset(_msdp(commands)),
        access={
            each.name: filter_rules(commands, each.filters["inbound"])
            for each in interfaces
            if "inbound" in each.filters
        },
        control_plane=frozenset(_control_plane(commands)),
        reverse_path=frozenset((each.name, each.reverse_path) for each in interfaces if each.reverse_path),
        no_redirects=frozenset(each.name for each in interfaces if each.no_broadcasts and each.no_proxy),
        management=management(commands),
    )


def _insist(commands: Commands) -> None:
    """What has to be there, and everything in the one VPN instance."""
    for wanted in ALWAYS:
        if wanted not in commands.said:
            raise ValueError(f"there is no '{wanted}'")
    vrfs = {each.vrf for each in commands.interfaces.values() if each.addresses}
    if len(vrfs) > 1:
        raise ValueError(f"interfaces are in {len(vrfs)} VPN instances")
    for line, vrf in commands.scopes:
        if {vrf} != vrfs:
            fail(line, f"is for the VPN instance {vrf}, the interfaces are in {vrfs}")
    for name, said in commands.vpn_instances.items():
        if commands.bgp.asn is not None and "route-distinguisher" not in said:
            raise ValueError(f"the VPN instance {name} has no route distinguisher")
    for interface in commands.interfaces.values():
        if interface.is_port and (interface.shut is None or interface.routed is None):
            fail(interface.line, f"{interface.name} is neither shut nor not, or neither routed nor switched")
        if interface.routed is False and interface.access_vlan not in commands.vlans:
            fail(interface.line, f"{interface.name} switches, and has no VLAN of this text")
    _insist_on_bgp(commands, next(iter(vrfs), None))


def _insist_on_bgp(commands: Commands, vrf: str | None) -> None:
    bgp = commands.bgp
    if bgp.asn is not None:
        # In a VPN instance the BGP process and the instance have one each.
        if len(bgp.router_ids) != (1 if vrf is None else 2) or len(set(bgp.router_ids)) != 1:
            raise ValueError(f"BGP has the router IDs {', '.join(map(str, bgp.router_ids)) or 'of nobody'}")
        if not bgp.first_as:
            raise ValueError("nothing says that BGP looks at a path's first AS")


def _vlans(commands: Commands) -> Iterator[VlanFacts]:
    for number, vlan in commands.vlans.items():
        ports = [each for each in commands.interfaces.values() if each.access_vlan == number]
        if vlan.snooping:
            if "igmp-snooping" not in commands.said or vlan.snooping != {"enable", "version", "drop-unknown"}:
                fail(vlan.line, f"VLAN {number} does not snoop IGMPv3")
            for port in ports:
                if set(port.snooped_groups) != {number}:
                    fail(port.line, f"{port.name} does not limit the groups of VLAN {number}")
        yield VlanFacts(number, f"Vlan-interface{number}", frozenset(each.name for each in ports), bool(vlan.snooping))


def _ranges(commands: Commands, name: str | None) -> frozenset[Range]:
    if name is None:
        raise ValueError("a neighbour lacks a prefix list")
    return frozenset((network, longest) for network, longest in commands.prefix_lists[name] if longest is not None)


def _neighbor(commands: Commands, peer: Peer) -> NeighborFacts:
    if not peer.enabled:
        fail(peer.line, f"{peer.address} is not enabled in the address family")
    keepalive, hold = commands.bgp.timers
    return NeighborFacts(
        address=peer.address,
        asn=peer.asn,
        accept=_ranges(commands, peer.accept),
        announce=_ranges(commands, peer.announce),
        accept_paths_of=None if peer.as_paths is None else commands.as_paths[peer.as_paths],
        maximum_prefixes=peer.maximum_prefixes,
        keepalive_s=keepalive,
        hold_s=hold,
        authentication="md5" if peer.password else None,
        gtsm=peer.ttl_hops == 1,
        first_as=commands.bgp.first_as,
        bfd=peer.bfd,
    )


def _bfd(commands: Commands) -> Iterator[tuple[str, int, int]]:
    """BFD's timers of interfaces, which are those of PIM and BGP alike; sessions without would have Comware's own."""
    timed = {name for name, each in commands.interfaces.items() if each.bfd}
    asked = {name for name, each in commands.interfaces.items() if each.pim_bfd}
    for peer in commands.bgp.peers.values():
        if peer.bfd:
            asked.add(_interface_towards(commands, peer.address, peer.line).name)
    if timed != asked:
        raise ValueError(f"BFD has timers or sessions alone on {sorted(timed ^ asked)}")
    for name in timed:
        held = commands.interfaces[name]
        if set(held.bfd) != BFD_COMMANDS or held.bfd["min-transmit-interval"] != held.bfd["min-receive-interval"]:
            fail(held.line, f"{name} does not say BFD's timers for both directions")
        yield name, held.bfd["min-transmit-interval"], held.bfd["detect-multiplier"]


def _interface_towards(commands: Commands, address: IPv4Address, line: int) -> Interface:
    for interface in commands.interfaces.values():
        if any(address in own.network for own in interface.addresses):
            return interface
    return fail(line, f"{address} is in no subnet of an interface")


def _pim(commands: Commands, interface: Interface) -> PimFacts:
    if not interface.passive and (interface.hello_s is None or interface.holdtime_s != -(-7 * interface.hello_s // 2)):
        fail(interface.line, f"{interface.name} does not hold PIM neighbours for three and a half hellos")
    return PimFacts(
        interface=interface.name,
        passive=interface.passive,
        hello_s=interface.hello_s,
        neighbors=None if interface.neighbor_acl is None else frozenset(_hosts(commands, interface.neighbor_acl)),
        dr_priority=interface.dr_priority,
        bfd=interface.pim_bfd,
    )


def _hosts(commands: Commands, number: str) -> Iterator[IPv4Address]:
    for network in permitted(commands, number):
        if network.prefixlen != network.max_prefixlen:
            fail(acl_of(commands, number).line, f"{number} permits more than single addresses")
        yield network.network_address


def _igmp(commands: Commands, interface: Interface) -> IgmpFacts:
    if interface.query_s is None or interface.response_s is None:
        return fail(interface.line, f"{interface.name} has no IGMP timers")
    return IgmpFacts(
        interface=interface.name,
        version=interface.igmp_version,
        query_interval_s=interface.query_s,
        max_response_ds=interface.response_s * 10,
        groups=None if interface.group_acl is None else permitted(commands, interface.group_acl),
        maximum_groups=None,
        static_joins=frozenset(interface.joins),
    )


def _rendezvous_points(commands: Commands) -> Iterator[RendezvousFacts]:
    multicast = commands.multicast
    if multicast.ssm_acl is not None and "multicast routing" not in commands.said:
        raise ValueError("there is PIM without multicast routing")
    for address, number in multicast.rendezvous_points:
        own = next((each for each in commands.interfaces.values() if _has(each, address)), None)
        if own is not None and not own.pim:
            fail(own.line, f"{own.name} has the rendezvous point's address, and no PIM")
        registers: frozenset[IPv4Network] | None = None
        if own is not None and multicast.register_acl is not None:
            registers = frozenset(rule.source for rule in permitting(commands, multicast.register_acl))
        yield RendezvousFacts(address, permitted(commands, number), registers)


def _has(interface: Interface, address: IPv4Address) -> bool:
    return any(own.ip == address for own in interface.addresses)


def _msdp(commands: Commands) -> Iterator[MsdpFacts]:
    for peer in commands.msdp.peers.values():
        if commands.msdp.originator not in commands.interfaces:
            fail(peer.line, "MSDP has no originating interface")
        if not peer.silenced:
            fail(peer.line, f"{peer.address} is told of sources")
        told = None if peer.import_acl is None else set(_told(commands, peer.import_acl))
        sources = None if told is None else frozenset(source for source, _ in told)
        groups = None if told is None else frozenset(group for _, group in told)
        if told is not None and sources is not None and groups is not None and len(told) != len(sources) * len(groups):
            fail(peer.line, f"{peer.import_acl} does not take every sender with every group")
        yield MsdpFacts(
            address=peer.address,
            local_interface=peer.interface,
            sources=sources,
            groups=groups,
            maximum_active_sources=peer.maximum_active_sources,
            authenticated=peer.password,
        )


def _told(commands: Commands, number: str) -> Iterator[tuple[IPv4Network, IPv4Network]]:
    for rule in permitting(commands, number):
        yield rule.source, rule.destination


def _control_plane(commands: Commands) -> Iterator[tuple[frozenset[AccessFacts], int]]:
    if not commands.control_planes:
        return
    ports = [each.name for each in commands.interfaces.values() if each.is_port]
    needed = {_slot(name) for name in ports}
    [applied] = set(commands.control_planes.values())
    if set(commands.control_planes) != needed:
        raise ValueError(f"the control plane is not guarded in each of the slots {needed}")
    *classes, (remainder, bound) = commands.policies[applied]
    if commands.classifiers[remainder] or not commands.behaviors[bound]:
        raise ValueError("nothing bounds what belongs to no class of the control plane, or it comes before the classes")
    for classifier, behavior in classes:
        if not commands.classifiers[classifier]:
            raise ValueError(f"the class {classifier} has everything, and does not come last")
        rules = filter_rules(commands, commands.classifiers[classifier])
        yield frozenset(rules), commands.behaviors[behavior] * 1000 // (CONTROL_PACKET_BYTES * 8)


def _slot(port: str) -> int | None:
    """The first of three numbers; ports with two are those of routers without a control plane for each slot."""
    numbers = port.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-").split("/")
    return int(numbers[0]) if len(numbers) == 3 else None
