"""Reads an IOS XE configuration back: what its lines (``ios_xe_text``) mean together.

Written from Cisco's command references, apart from the templates. Where the facts have no place for something that must
be so (Auto-RP off, services off, all of it in one VRF), a text in which it is not so cannot be read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from itertools import product

from lanecast_templates.readers.facts import (
    AccessFacts,
    Authentication,
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
from lanecast_templates.readers.ios_xe_entries import ANYWHERE, Words
from lanecast_templates.readers.ios_xe_text import (
    SAYS_NOTHING,
    Block,
    Key,
    MsdpPeer,
    Neighbor,
    Port,
    Text,
)

ALWAYS = (
    "no service pad",
    "service password-encryption",
    "no ip source-route",
    "no ip bootp server",
    "no ip http server",
    "no ip http secure-server",
    "no cdp run",
    "no lldp run",
    "ip ssh version 2",
    "end",
)
"""Lines that every text has: without one of them a service answers, or the text may have been cut off."""

CLOSED = {"ip redirects", "ip directed-broadcast", "ip proxy-arp"}
SSH = 22


def read(text: str) -> Facts:
    """What a configuration says. Raises :class:`ValueError` with the line that cannot be read."""
    held = Text()
    blocks: list[tuple[int, Block]] = [(0, held.top)]
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith(("!", *SAYS_NOTHING)):
            continue
        indent = len(raw) - len(raw.lstrip())
        while blocks[-1][0] > indent:
            blocks.pop()
        words: Words = tuple(line.split())
        try:
            if blocks[-1][0] < indent:
                raise ValueError("no block is open for it")
            inner = blocks[-1][1](words)
        except (ValueError, IndexError) as error:
            raise ValueError(f"line {number}: {words[0]} …: {error}") from None
        if inner is not None:
            blocks.append((indent + 1, inner))
    try:
        return _Meaning(held).facts()
    except KeyError as error:
        raise ValueError(f"what is named is not there: {error}") from None


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What a whole text means."""

    text: Text

    def facts(self) -> Facts:
        text, ports = self.text, self.text.ports
        self._check_whole()
        return Facts(
            name=text.name,
            addresses=frozenset((name, each) for name, port in ports.items() for each in port.addresses),
            tags=frozenset((name, port.tag) for name, port in ports.items() if port.tag is not None),
            vlans=frozenset(self._vlans()),
            vrf_of=frozenset((name, port.vrf) for name, port in ports.items() if port.vrf),
            shut=frozenset(name for name, port in ports.items() if port.shut),
            routes=frozenset(text.routes),
            asn=text.asn,
            router_id=text.router_id,
            networks=frozenset(text.networks),
            neighbors=frozenset(self._neighbor(*each) for each in text.neighbors.items()),
            bfd=frozenset((name, *port.bfd) for name, port in ports.items() if port.bfd),
            ssm_ranges=self._permitted(text.ssm_list) if text.ssm_list else frozenset(),
            pim=frozenset(self._pim()),
            igmp=frozenset(self._igmp()),
            boundaries=frozenset(
                (name, self._permitted(port.boundary_out)) for name, port in ports.items() if port.boundary_out
            ),
            rendezvous_points=frozenset(self._points()),
            msdp=frozenset(self._msdp(*each) for each in text.msdp.items()),
            access={name: self._access(port) for name, port in ports.items() if port.access_list},
            control_plane=frozenset(self._control_plane()),
            reverse_path=frozenset(self._reverse_path()),
            no_redirects=frozenset(name for name, port in ports.items() if port.off >= CLOSED),
            management=self._management(),
        )

    # ------------------------------------------------------------ what must be so

    def _check_whole(self) -> None:
        text = self.text
        for line in ALWAYS:
            if line not in text.switches:
                raise ValueError(f"lacks '{line}'")
        tables = self._tables()
        if len(tables) != 1 or not tables - {""} <= text.vrfs:
            raise ValueError("the addresses are not in one table that is defined")
        for vrf, command in text.vrf_uses:
            if {vrf} != tables:
                raise ValueError(f"'{command}' is not for the table that the interfaces are in")
        for name, port in text.ports.items():
            self._check_port(name, port)
        if not text.autorp_off and any(port.pim for port in text.ports.values()):
            raise ValueError("rendezvous points may be learnt: Auto-RP is not off")

    def _tables(self) -> set[str]:
        return {port.vrf for port in self.text.ports.values() if port.addresses}

    def _check_port(self, name: str, port: Port) -> None:
        """A port is up or shut by its own word; a subinterface and a loopback are up without one."""
        if port.shut is None and port.tag is None and not name.startswith("Loopback"):
            raise ValueError(f"{name} is said to be neither up nor shut")
        if port.tag is not None and self.text.ports.get(name.partition(".")[0], Port()).shut is not False:
            raise ValueError(f"{name} is on a port that is not up")
        if port.off - CLOSED - {"ip address", "bfd echo"}:
            raise ValueError(f"{name} has something off that is not known")
        if not port.addresses and not port.access_mode and not port.shut and "ip address" not in port.off:
            raise ValueError(f"{name} is used for nothing")
        if port.pim is not None and not self.text.multicast:
            raise ValueError(f"{name} has PIM, but multicast is not routed")
        if port.pim == "sparse-mode" and not port.bsr_border and not self._is_own_point(port):
            raise ValueError(f"rendezvous points may be learnt: {name} is no border of BSR")
        if port.bfd and "bfd echo" not in port.off:
            raise ValueError(f"{name} sends BFD echoes, which no access list lets in")

    # ------------------------------------------------------------ interfaces

    def _vlans(self) -> Iterator[VlanFacts]:
        text = self.text
        for number, snooping in text.vlans.items():
            if snooping is None or (snooping and "ip igmp snooping" not in text.switches):
                raise ValueError(f"VLAN {number} is not said to snoop or not")
            ports = frozenset(
                name
                for name, port in text.ports.items()
                if (port.access_vlan, port.access_mode, port.edge) == (number, True, True)
            )
            interface = f"Vlan{number}"
            if interface not in text.ports:
                raise ValueError(f"VLAN {number} has no interface")
            yield VlanFacts(number, interface, ports, snooping)

    def _reverse_path(self) -> Iterator[tuple[str, str]]:
        for name, port in self.text.ports.items():
            if port.reachable_via is not None:
                yield name, "strict" if port.reachable_via == "rx" else "loose"

    def _access(self, port: Port) -> tuple[AccessFacts, ...]:
        return tuple(self.text.extended[port.access_list or ""])

    # ------------------------------------------------------------ lists

    def _permitted(self, name: str) -> frozenset[IPv4Network]:
        """What a standard list permits; all else is denied, at the latest behind its last entry."""
        entries = self.text.standard[name]
        if not entries:
            raise ValueError(f"list {name} has no entry, and lets everything through")
        if any(entry == (False, ANYWHERE) for entry in entries[:-1]):
            raise ValueError(f"list {name}: what stands behind 'deny any' counts for nothing")
        if any(not permit and network != ANYWHERE for permit, network in entries):
            raise ValueError(f"list {name} makes an exception, which no fact has")
        return frozenset(network for permit, network in entries if permit)

    def _pairs(self, name: str) -> tuple[frozenset[IPv4Network], frozenset[IPv4Network]]:
        """The sources and groups of an extended list that permits each source with each group."""
        entries = self.text.extended[name]
        if not entries:
            raise ValueError(f"list {name} has no entry, and lets everything through")
        found = [each for each in entries if each.permit]
        if any(each.protocol != "ip" for each in entries) or entries != sorted(
            entries, key=lambda each: not each.permit
        ):
            raise ValueError(f"list {name} is none of sources and groups")
        sources, groups = frozenset(each.source for each in found), frozenset(each.destination for each in found)
        if {(each.source, each.destination) for each in found} != set(product(sources, groups)):
            raise ValueError(f"list {name} has not every source with every group")
        return sources, groups

    def _ranges(self, route_map: str | None) -> frozenset[Range]:
        """What a route map lets through by its prefix list."""
        [entry] = self.text.route_maps[route_map or ""]
        entries = self.text.prefix_lists[entry.prefix_list or ""]
        if any(not permit and held != (ANYWHERE, 32) for permit, held in entries):
            raise ValueError(f"prefix list {entry.prefix_list} makes an exception, which no fact has")
        return frozenset(held for permit, held in entries if permit)

    # ------------------------------------------------------------ BGP

    def _neighbor(self, address: IPv4Address, held: Neighbor) -> NeighborFacts:
        text = self.text
        if held.asn is None or held.timers is None or not held.activated or not text.policy_required:
            raise ValueError(f"neighbor {address} has no AS, timers or family, or may do without policy")
        [entry] = text.route_maps[held.route_maps["in"]]
        expressions = text.as_paths.get(entry.as_path or "", [])
        of = re.fullmatch(r"\^(\d+)\(_\1\)\*\$", expressions[0]) if len(expressions) == 1 else None
        return NeighborFacts(
            address=address,
            asn=held.asn,
            accept=self._ranges(held.route_maps["in"]),
            announce=self._ranges(held.route_maps["out"]),
            accept_paths_of=int(of[1]) if of else None,
            maximum_prefixes=held.maximum_prefixes,
            keepalive_s=held.timers[0],
            hold_s=held.timers[1],
            authentication=self._authentication(held),
            gtsm=held.gtsm,
            first_as=text.first_as,
            bfd=held.bfd,
        )

    def _authentication(self, held: Neighbor) -> Authentication | None:
        if held.key_chain is None:
            return "md5" if held.password else None
        [key] = self.text.key_chains[held.key_chain]
        if not _is_whole(key):
            raise ValueError(f"the key of chain {held.key_chain} lacks something")
        return "tcp-ao"

    # ------------------------------------------------------------ multicast

    def _pim(self) -> Iterator[PimFacts]:
        for name, port in self.text.ports.items():
            if port.pim is None or self._is_own_point(port):
                continue
            passive = port.pim == "passive"
            if not passive and port.hello_s is None:
                raise ValueError(f"{name} does not say when it sends hellos")
            neighbors = None if port.neighbor_filter is None else self._hosts(port.neighbor_filter)
            yield PimFacts(name, passive, port.hello_s, neighbors, port.dr_priority, port.pim_bfd)

    def _hosts(self, name: str) -> frozenset[IPv4Address]:
        permitted = self._permitted(name)
        if any(network.prefixlen != 32 for network in permitted):
            raise ValueError(f"list {name} has more than single neighbours")
        return frozenset(network.network_address for network in permitted)

    def _is_own_point(self, port: Port) -> bool:
        """Whether it has the address of a rendezvous point, for which IOS wants PIM where no neighbour can be."""
        return any(each.ip in self.text.points and each.network.prefixlen == 32 for each in port.addresses)

    def _igmp(self) -> Iterator[IgmpFacts]:
        for name, port in self.text.ports.items():
            if not port.igmp and not port.static_joins:
                continue
            said = dict(port.igmp)
            groups = said.pop("access-group", None)
            most = said.pop("limit", None)
            yield IgmpFacts(
                interface=name,
                version=int(said.pop("version")),
                query_interval_s=int(said.pop("query-interval")),
                max_response_ds=int(said.pop("query-max-response-time")) * 10,
                groups=None if groups is None else self._permitted(groups),
                maximum_groups=None if most is None else int(most),
                static_joins=frozenset(port.static_joins),
            )
            if said:
                raise ValueError(f"{name}: ip igmp {', '.join(said)} is not known")

    def _points(self) -> Iterator[RendezvousFacts]:
        own = {each.ip: port for port in self.text.ports.values() for each in port.addresses}
        for address, groups in self.text.points.items():
            if address in own and own[address].pim != "sparse-mode":
                raise ValueError(f"the interface of rendezvous point {address} has no PIM")
            registers = self._pairs(self.text.registers)[0] if address in own and self.text.registers else None
            yield RendezvousFacts(address, self._permitted(groups), registers)

    def _msdp(self, address: IPv4Address, peer: MsdpPeer) -> MsdpFacts:
        if not peer.silent or self.text.originator is None:
            raise ValueError(f"MSDP peer {address} may be told of sources, or by a shared address")
        sources, groups = (None, None) if peer.filter_in is None else self._pairs(peer.filter_in)
        return MsdpFacts(address, peer.interface, sources, groups, peer.most, peer.password)

    # ------------------------------------------------------------ control plane and management

    def _control_plane(self) -> Iterator[tuple[frozenset[AccessFacts], int]]:
        text = self.text
        if text.control_policy is None:
            return
        policy = text.policies[text.control_policy]
        if list(policy)[-1] != "class-default":
            raise ValueError("what no class has is not bounded")
        if len(text.arp_classes & policy.keys()) != 1 or text.arp_classes & text.classes.keys():
            raise ValueError("ARP has no bound of its own")
        for name, police in policy.items():
            if police.rate_pps is None or police.actions != {("conform-action", "transmit"), ("exceed-action", "drop")}:
                raise ValueError(f"class {name} has no bound that drops")
            if name != "class-default" and name not in text.arp_classes:
                [held] = text.classes[name]
                yield frozenset(text.extended[held]), police.rate_pps

    def _management(self) -> ManagementFacts:
        text = self.text
        if text.transport != ["ssh"]:
            raise ValueError("terminal lines are not for SSH alone")
        return ManagementFacts(
            ssh_sources=self._ssh_sources(),
            ntp_servers=frozenset(text.ntp),
            ntp_key_id=self._ntp_key(),
            ptp_domain=None,
            syslog=frozenset(text.syslog),
            aaa=self._aaa(),
            users=frozenset(self._users()),
        )

    def _ssh_sources(self) -> frozenset[IPv4Network]:
        """Whom the terminal lines let in; they can do without a list where no interface lets anybody to SSH."""
        if self.text.terminal_list is not None:
            return self._permitted(self.text.terminal_list)
        own = {each.ip for port in self.text.ports.values() for each in port.addresses}
        found: set[IPv4Network] = set()
        for port in self.text.ports.values():
            if port.addresses and port.access_list:
                for address in own:
                    found |= _let_to(self._access(port), address)
            elif port.addresses and any(each.network.prefixlen < 32 for each in port.addresses):
                found.add(ANYWHERE)
        if found:
            raise ValueError("interfaces let somebody to SSH, and the terminal lines do not say whom they take")
        return frozenset()

    def _ntp_key(self) -> int | None:
        text = self.text
        keys = {server.key for server in text.ntp.values()}
        if len(keys) > 1 or any(server.source is None for server in text.ntp.values()):
            raise ValueError("NTP servers differ in their keys, or have no source")
        [key] = keys or {None}
        if key is not None and ("ntp authenticate" not in text.switches or key not in text.ntp_keys & text.ntp_trusted):
            raise ValueError(f"NTP key {key} is not asked for, not there or not trusted")
        if text.syslog and text.log_source is None:
            raise ValueError("the log is sent from any address")
        return key

    def _aaa(self) -> tuple[str, tuple[IPv4Address, ...]] | None:
        text = self.text
        match list({tuple(methods) for methods in text.aaa.values()}):
            case [("group", name, "local")] if len(text.aaa) == 2:
                group = text.server_groups[name]
            case [] | [("local",)]:
                return None
            case _:
                raise ValueError("logins and shells are not asked for alike, with local users last")
        if group.source is None or {group.vrf} != self._tables():
            raise ValueError("AAA's servers are asked from any address, or in another table")
        servers = [text.servers[each] for each in group.servers]
        if any(each.protocol != group.protocol or not each.key for each in servers):
            raise ValueError("an AAA server is of another protocol, or has no key")
        return group.protocol, tuple(each.address for each in servers if each.address is not None)

    def _users(self) -> set[str]:
        """Users who log in by a key; they have no password, so no method may ask for one but the servers'."""
        text = self.text
        if text.users != text.key_users:
            raise ValueError("users and keys do not belong together")
        methods = ["publickey", "keyboard"] if text.server_groups else ["publickey"]
        if text.users and (text.ssh_methods != methods or "aaa new-model" not in text.switches or len(text.aaa) != 2):
            raise ValueError("users log in by something else than their keys")
        return text.users


def _is_whole(key: Key) -> bool:
    """Both directions have one number, and there are an algorithm and a secret."""
    numbers = key.identifiers
    return (
        numbers.keys() == {"send-id", "recv-id"}
        and len(set(numbers.values())) == 1
        and bool(key.algorithm)
        and key.secret
    )


def _let_to(rules: tuple[AccessFacts, ...], address: IPv4Address) -> set[IPv4Network]:
    """The sources that a list lets to SSH on an address, until an entry stops everybody."""
    found = set()
    for rule in rules:
        concerned = rule.protocol in ("ip", "tcp") and address in rule.destination and rule.source_port is None
        if not concerned or rule.destination_port not in (None, SSH):
            continue
        if rule.permit:
            found.add(rule.source)
        elif rule.source == ANYWHERE:
            break
    return found
