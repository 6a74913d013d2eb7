"""Reads a Cisco NX-OS configuration back. What each line says is :mod:`nx_os_lines`'s."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network
from itertools import product

from lanecast_templates.readers.facts import (
    AccessFacts,
    Facts,
    IgmpFacts,
    ManagementFacts,
    MsdpFacts,
    NeighborFacts,
    PimFacts,
    Range,
    RendezvousFacts,
    VlanFacts,
)
from lanecast_templates.readers.nx_os_lines import (
    DEFAULT_VRF,
    EVERYWHERE,
    MANAGEMENT_VRF,
    Lines,
    Neighbor,
    Port,
    RouteMapEntry,
    Routing,
    read_lines,
)

ALL_GROUPS = IPv4Network("224.0.0.0/4")
SSH_PORT = 22
REVERSE_PATHS = {"rx": "strict", "any": "loose"}
QUIET = {"redirects", "directed-broadcast", "proxy-arp"}
OLD_IGMP = 2
"""What a switch speaks that is told of no version."""

BITS_OF_PACKET = 512 * 8
"""The policer counts bits: lanecast bounds packets, and takes each for 512 bytes."""


def read(text: str) -> Facts:
    """What a configuration says. Raises :class:`ValueError` for what cannot be read or means nothing."""
    return _Reading(read_lines(text)).facts()


class _Reading:
    """The lines, and what they mean together."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines
        self.vrf = self._only_vrf()
        self.here: Routing = lines.routing[self.vrf]

    def _only_vrf(self) -> str:
        """All interfaces with addresses are in one VRF, and nothing is routed in another."""
        [vrf, *others] = sorted({port.vrf for port in self.lines.ports.values() if port.addresses}) or [DEFAULT_VRF]
        if others:
            raise ValueError(f"interfaces are in {vrf} and in {', '.join(others)}")
        for name, routing in self.lines.routing.items():
            if name not in (vrf, MANAGEMENT_VRF) and routing != Routing():
                raise ValueError(f"something is routed in {name}, where there is no interface")
        return vrf

    def facts(self) -> Facts:
        """Everything."""
        lines, here, ports = self.lines, self.here, self.lines.ports
        self._check_ports()
        return Facts(
            name=lines.name,
            addresses=frozenset((name, each) for name, port in ports.items() for each in port.addresses),
            tags=frozenset((name, port.tag) for name, port in ports.items() if port.tag is not None),
            vlans=frozenset(self._vlans()),
            vrf_of=frozenset(
                (name, port.vrf) for name, port in ports.items() if port.addresses and port.vrf != DEFAULT_VRF
            ),
            shut=frozenset(name for name, port in ports.items() if port.shut),
            routes=frozenset(here.routes),
            asn=lines.asn,
            router_id=here.router_id,
            networks=frozenset(here.networks),
            neighbors=frozenset(self._neighbors()),
            bfd=frozenset(self._bfd()),
            ssm_ranges=self._groups(here.ssm) if here.ssm else frozenset(),
            pim=frozenset(self._pim()),
            igmp=frozenset(self._igmp()),
            boundaries=frozenset(self._boundaries()),
            rendezvous_points=frozenset(self._points()),
            msdp=frozenset(self._msdp()),
            access={name: self._access(port.access_list) for name, port in ports.items() if port.access_list},
            control_plane=frozenset(self._control_plane()),
            reverse_path=frozenset(
                (name, REVERSE_PATHS[port.reverse_path]) for name, port in ports.items() if port.reverse_path
            ),
            no_redirects=frozenset(name for name, port in ports.items() if port.off >= QUIET),
            management=self._management(),
        )

    # ------------------------------------------------------------ interfaces and VLANs

    def _check_ports(self) -> None:
        """Ports are shut or up, and routed or switched, since what they are by themselves differs between models."""
        for name, port in self.lines.ports.items():
            if port.up == port.shut and not name.startswith("loopback"):
                raise ValueError(f"{name} is neither shut nor up, or both")
            is_port = "." not in name and name.startswith(("Ethernet", "port-channel"))
            if is_port and not port.shut and port.routed == (port.switched and port.access):
                raise ValueError(f"{name} is neither a routed port nor an access port, or both")
            if "." in name and not self.lines.ports.get(name.partition(".")[0], Port()).routed:
                raise ValueError(f"{name} is on no routed port")

    def _vlans(self) -> Iterator[VlanFacts]:
        for number in self.lines.vlans:
            own = f"Vlan{number}"
            if own not in self.lines.ports or number not in self.lines.snooping:
                raise ValueError(f"VLAN {number} has no interface, or nothing is said of snooping")
            members = (name for name, port in self.lines.ports.items() if port.access_vlan == number)
            yield VlanFacts(number, own, frozenset(members), self.lines.snooping[number])

    def _bfd(self) -> Iterator[tuple[str, int, int]]:
        for name, port in self.lines.ports.items():
            if port.bfd is None:
                continue
            transmit_ms, receive_ms, multiplier = port.bfd
            if transmit_ms != receive_ms or port.echo:
                raise ValueError(f"{name}: both directions of BFD are to be alike, without echo packets")
            yield name, transmit_ms, multiplier

    # ------------------------------------------------------------ lists

    def _ranges(self, name: str | None) -> frozenset[Range]:
        """What a prefix list permits; none at all is everything."""
        if name is None:
            return frozenset({(EVERYWHERE, EVERYWHERE.max_prefixlen)})
        if name not in self.lines.prefix_lists:
            raise ValueError(f"there is no prefix list {name}")
        return frozenset((network, longest) for permit, network, longest in self.lines.prefix_lists[name] if permit)

    def _permitted(self, name: str) -> list[RouteMapEntry]:
        """What a route map about multicast permits; a denial has to be of everything, and the last."""
        if name not in self.lines.route_maps:
            raise ValueError(f"there is no route map {name}")
        entries = self.lines.route_maps[name]
        denials = [entry for entry in entries if not entry.permit]
        if any(entry != RouteMapEntry(False, ALL_GROUPS) or entry is not entries[-1] for entry in denials):
            raise ValueError(f"route map {name} denies something before the end")
        return [entry for entry in entries if entry.permit]

    def _groups(self, name: str) -> frozenset[IPv4Network]:
        entries = self._permitted(name)
        if any(entry.group is None or entry.source is not None for entry in entries):
            raise ValueError(f"route map {name} is not of groups alone")
        return frozenset(entry.group for entry in entries if entry.group is not None)

    def _pairs(self, name: str) -> tuple[frozenset[IPv4Network], frozenset[IPv4Network]]:
        """Sources and groups, of which every pair has to be there."""
        pairs = {(entry.source, entry.group) for entry in self._permitted(name)}
        sources = frozenset(source for source, _ in pairs if source is not None)
        groups = frozenset(group for _, group in pairs if group is not None)
        if pairs != set(product(sources, groups)):
            raise ValueError(f"route map {name} is not of every source with every group")
        return sources, groups

    def _access(self, name: str) -> tuple[AccessFacts, ...]:
        if name not in self.lines.access_lists:
            raise ValueError(f"there is no access list {name}")
        return tuple(self.lines.access_lists[name])

    # ------------------------------------------------------------ BGP

    def _neighbors(self) -> Iterator[NeighborFacts]:
        for address, held in self.here.neighbors.items():
            if held.asn is None or not held.family:
                raise ValueError(f"neighbor {address} has no AS or no address family")
            yield NeighborFacts(
                address=address,
                asn=held.asn,
                accept=self._ranges(held.lists.get("prefix-list in")),
                announce=self._ranges(held.lists.get("prefix-list out")),
                accept_paths_of=self._paths_of(held),
                maximum_prefixes=held.maximum_prefixes,
                keepalive_s=self.here.timers[0],
                hold_s=self.here.timers[1],
                authentication="md5" if held.password else None,
                gtsm=held.gtsm,
                first_as=self.lines.first_as,
                bfd=held.bfd,
            )

    def _paths_of(self, held: Neighbor) -> int | None:
        paths = self.lines.as_paths.get(held.lists.get("filter-list in", ""))
        return held.asn if paths == [f"^{held.asn}(_{held.asn})*$"] else None

    # ------------------------------------------------------------ multicast

    def _pim(self) -> Iterator[PimFacts]:
        """A loopback has no neighbours: PIM on it belongs to the rendezvous point."""
        for name, port in self.lines.ports.items():
            if port.sparse and not name.startswith("loopback"):
                yield PimFacts(
                    interface=name,
                    passive=port.passive,
                    hello_s=None if port.passive else _whole(port.hello_ms, 1000),
                    neighbors=self._allowed(port.neighbors) if port.neighbors else None,
                    dr_priority=port.dr_priority,
                    bfd=port.pim_bfd,
                )

    def _allowed(self, name: str) -> frozenset[IPv4Address]:
        return frozenset(address for network, _ in self._ranges(name) for address in network)

    def _igmp(self) -> Iterator[IgmpFacts]:
        for name, port in self.lines.ports.items():
            if port.reports is None and port.limit is None and port.igmp_version is None:
                continue
            yield IgmpFacts(
                interface=name,
                version=port.igmp_version or OLD_IGMP,
                query_interval_s=port.query_interval_s,
                max_response_ds=port.max_response_s * 10,
                groups=self._groups(port.reports) if port.reports else None,
                maximum_groups=port.limit,
                static_joins=frozenset(port.static_joins),
            )

    def _boundaries(self) -> Iterator[tuple[str, frozenset[IPv4Network]]]:
        """A group passes where a neighbour's join or a host's report of it is taken, and passive PIM takes no joins."""
        for name, port in self.lines.ports.items():
            held = port.reports if port.passive else port.joins
            if held is not None:
                yield name, self._groups(held)

    def _points(self) -> Iterator[RendezvousFacts]:
        for address, name in self.here.points.items():
            own = [port for port in self.lines.ports.values() if any(each.ip == address for each in port.addresses)]
            if own and not own[0].sparse:
                raise ValueError(f"there is no PIM on the interface of the rendezvous point {address}")
            registers = self.here.registers if own else None
            sources = None if registers is None else self._pairs(registers)[0]
            yield RendezvousFacts(address, self._groups(name), sources)

    def _msdp(self) -> Iterator[MsdpFacts]:
        for address, peer in self.here.peers.items():
            if self.here.originator is None:
                raise ValueError("MSDP would name the shared address as its own: there is no originator")
            if "out" not in peer.policies or self._permitted(peer.policies["out"]):
                raise ValueError(f"MSDP tells {address} of sources")
            sources, groups = self._pairs(peer.policies["in"]) if "in" in peer.policies else (None, None)
            yield MsdpFacts(address, peer.interface, sources, groups, peer.limit, peer.password)

    # ------------------------------------------------------------ control plane and management

    def _control_plane(self) -> Iterator[tuple[frozenset[AccessFacts], int]]:
        classes = self._policed()
        remainder = {"class-default", *(name for name, held in self.lines.class_maps.items() if held.arp)}
        if len(remainder) == 1 or not remainder <= classes.keys():
            raise ValueError("ARP or the remainder has no bound of its own")
        if set(self.lines.class_maps) | remainder != set(classes):
            raise ValueError("there are classes without a bound, or bounds without a class")
        for name, bits in classes.items():
            if name in remainder:
                continue
            rules = [rule for each in self.lines.class_maps[name].access_lists for rule in self._access(each)]
            if not rules or not all(rule.permit for rule in rules):
                raise ValueError(f"class {name} is of nothing, or is not said by what it permits")
            yield frozenset(rules), _whole(bits, BITS_OF_PACKET)

    def _policed(self) -> Mapping[str, int]:
        """Bits a second, by class."""
        if self.lines.control_plane is None:
            raise ValueError("nothing polices the control plane")
        policy = self.lines.policies[self.lines.control_plane]
        bounded = {name: bits for name, bits in policy.items() if bits is not None}
        if bounded != policy:
            raise ValueError("there is a class without a bound")
        return bounded

    def _management(self) -> ManagementFacts:
        lines = self.lines
        if lines.roles != lines.keys:
            raise ValueError("a user has no role or no key")
        self._check_requests()
        return ManagementFacts(
            ssh_sources=self._ssh_sources(),
            ntp_servers=frozenset(lines.ntp),
            ntp_key_id=self._ntp_key(),
            ptp_domain=self._ptp_domain(),
            syslog=frozenset(lines.syslog),
            aaa=self._aaa(),
            users=frozenset(lines.roles),
        )

    def _check_requests(self) -> None:
        """The switch's own requests go through the VRF of its interfaces, and all come from the same one of them."""
        lines = self.lines
        vrfs = {vrf for _, vrf in lines.ntp.values()} | set(lines.syslog.values())
        vrfs |= {group.vrf for group in lines.groups.values()}
        if vrfs - {self.vrf}:
            raise ValueError(f"requests to servers go through {', '.join(sorted(vrfs - {self.vrf}))}")
        sources = {group.source for group in lines.groups.values()}
        sources |= {lines.sources.get("ntp")} if lines.ntp else set()
        sources |= {lines.sources.get("logging")} if lines.syslog else set()
        if len(sources) > 1 or not sources <= {*lines.ports, None}:
            raise ValueError("requests to servers come from several addresses, or from none of an interface")

    def _ssh_sources(self) -> frozenset[IPv4Network]:
        if self.lines.terminal_list is None:
            return frozenset()  # interfaces of the plan drop SSH; mgmt0 is not the plan's
        *permitted, last = self._access(self.lines.terminal_list)
        if last != AccessFacts(False, "ip", EVERYWHERE, EVERYWHERE, None, None):
            raise ValueError("what else may reach the terminal lines is not said")
        expected = {AccessFacts(True, "tcp", rule.source, EVERYWHERE, None, SSH_PORT) for rule in permitted}
        if expected != set(permitted):
            raise ValueError("the terminal lines' list is not of SSH alone")
        return frozenset(rule.source for rule in permitted)

    def _ntp_key(self) -> int | None:
        lines = self.lines
        keys = {key for key, _ in lines.ntp.values()} or {None}
        [key, *others] = keys
        known = {key} - {None} == lines.ntp_keys == lines.ntp_trusted
        if others or not known or lines.ntp_authenticate != (key is not None):
            raise ValueError("NTP's servers have several keys, or keys that nothing knows, trusts or asks for")
        return key

    def _ptp_domain(self) -> int | None:
        lines = self.lines
        ports = {name for name, port in lines.ports.items() if port.ptp}
        if not ports:
            return None
        if not lines.ptp_last or not lines.ptp_never_first or not lines.ptp_sets_clock or lines.ptp_source is None:
            raise ValueError("PTP has no source, does not set the clock, or may become a grandmaster")
        if ports != self._ports_of(*lines.ptp_source):
            raise ValueError("PTP is not on the ports of the network of its source")
        return lines.ptp_domain

    def _ports_of(self, address: IPv4Address, vrf: str) -> set[str]:
        """The interface of an address or, where that is a VLAN's, the VLAN's ports that PTP knows the VLAN of."""
        ports = self.lines.ports
        [name] = [name for name, port in ports.items() if any(each.ip == address for each in port.addresses)] or [""]
        if not name or ports[name].vrf != vrf:
            raise ValueError(f"{address} is no address in {vrf}")
        if not name.startswith("Vlan"):
            return {name}
        vlan = int(name.removeprefix("Vlan"))
        return {each for each, port in ports.items() if port.access_vlan == vlan == port.ptp_vlan}

    def _aaa(self) -> tuple[str, tuple[IPv4Address, ...]] | None:
        lines = self.lines
        if lines.login is None and not lines.groups:
            return None
        group = lines.groups.get(lines.login or "")
        if group is None or not lines.fallback:
            raise ValueError("the servers are not asked, or local users are not known when none answers")
        if set(group.servers) != lines.aaa_keys[group.protocol]:
            raise ValueError("a server has no key, or is not asked")
        return group.protocol, tuple(group.servers)


def _whole(value: int, unit: int) -> int:
    if value % unit:
        raise ValueError(f"{value} is no multiple of {unit}")
    return value // unit
