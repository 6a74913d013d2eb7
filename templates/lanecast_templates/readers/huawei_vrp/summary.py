"""Reads VRP 8 of NetEngine 40E: the text's commands first, then what they come to.

Besides the facts it insists on what every router of ours has to say (Telnet off, no source routes, a bound for the
remainder of the control plane), since the absence of such a line changes no fact.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network

from lanecast.router import ANYWHERE, CONTROL_PACKET_BYTES
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
from lanecast_templates.readers.huawei_vrp.commands import read_commands
from lanecast_templates.readers.huawei_vrp.declarations import (
    Acl,
    Commands,
    Interface,
    Peer,
    fail,
)

NO_REDIRECTS = frozenset({"host-redirect", "host-tos-redirect", "net-redirect", "net-tos-redirect"})
"""Redirects that a router must not take; of the ICMP that these routers send, redirects are no part."""

FLOWS_FIRST = "tcpsyn-flood fragment-flood dynamic-link-protection management-acl whitelist user-defined-flow blacklist"
"""The order in which a packet to the CPU is held against the lists: the remainder last."""

TERMINAL = {"authentication-mode aaa", "protocol inbound ssh", "user privilege level 3", "idle-timeout 10 0"}
SSH_SERVER = {
    "stelnet server enable",
    "ssh server-source all-interface",
    "undo ssh server compatible-ssh1x enable",
}
SSH_ALGORITHMS = {"cipher", "hmac", "key-exchange", "publickey", "dh-exchange"}

REMAINDER = [AccessFacts(True, each, ANYWHERE, ANYWHERE, None, None) for each in ("ip", "igmp", "pim")]


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
        router_id=bgp.router_id,
        networks=frozenset(bgp.networks),
        neighbors=frozenset(_neighbor(commands, each) for each in bgp.peers.values()),
        bfd=frozenset(_bfd(commands)),
        ssm_ranges=_permitted(commands, multicast.ssm_acl) if multicast.ssm_acl else frozenset(),
        pim=frozenset(_pim(commands, each) for each in interfaces if each.pim and not each.is_loopback),
        igmp=frozenset(_igmp(commands, each) for each in interfaces if each.igmp),
        boundaries=frozenset(
            (each.name, _groups(commands, each.join_acl)) for each in interfaces if each.join_acl is not None
        ),
        rendezvous_points=frozenset(_rendezvous_points(commands)),
        msdp=frozenset(_msdp(commands)),
        access=dict(_access(commands)),
        control_plane=frozenset(_control_plane(commands)),
        reverse_path=frozenset((each.name, each.reverse_path) for each in interfaces if each.reverse_path),
        no_redirects=frozenset(
            each.name
            for each in interfaces
            if each.no_broadcasts and each.no_proxy and commands.refused_icmp >= NO_REDIRECTS
        ),
        management=_management(commands),
    )


def _insist(commands: Commands) -> None:
    """What has to be there, and everything in the one VRF."""
    for wanted in (
        "undo telnet server enable",
        "undo telnet ipv6 server enable",
        "undo ip option source-route enable",
        "undo lldp enable",
        "ntp-service server disable",
        "ntp-service ipv6 server disable",
        "return",
    ):
        if wanted not in commands.said:
            raise ValueError(f"there is no '{wanted}'")
    if commands.terminals != {"user-interface vty 0 4": TERMINAL}:
        raise ValueError(f"terminals are {commands.terminals}")
    if commands.log_hosts and "info-center enable" not in commands.said:
        raise ValueError("there are servers for logs, which nothing is sent to")
    vrfs = {each.vrf for each in commands.interfaces.values() if each.addresses}
    if len(vrfs) > 1:
        raise ValueError(f"interfaces are in {len(vrfs)} VRFs")
    for line, vrf in commands.scopes:
        if {vrf} != vrfs:
            fail(line, f"is for the VRF {vrf}, the interfaces are in {vrfs}")
    for interface in commands.interfaces.values():
        if interface.is_port and interface.shut is None:
            fail(interface.line, f"{interface.name} is neither shut nor not")
        if interface.is_port and interface.silences != {"lldp", "dcn"}:
            fail(interface.line, f"{interface.name} tells of the router")


def _networks(rules: Iterable[AccessFacts], by_destination: bool) -> Iterator[IPv4Network]:
    for rule in rules:
        yield rule.destination if by_destination else rule.source


def _list(commands: Commands, name: str) -> Acl:
    if name not in commands.acls:
        raise ValueError(f"there is no ACL {name}")
    return commands.acls[name]


def _permitting(commands: Commands, name: str) -> list[AccessFacts]:
    """The rules of a list that permits some and denies the others, which it has to say."""
    acl = _list(commands, name)
    if acl.rules[-1:] != [AccessFacts(False, "ip", ANYWHERE, ANYWHERE, None, None)]:
        fail(acl.line, f"{name} does not end with a rule that denies everything")
    permitting = acl.rules[:-1]
    if any(not rule.permit or rule.protocol != "ip" for rule in permitting):
        fail(acl.line, f"{name} does not only permit before its end")
    return permitting


def _permitted(commands: Commands, name: str) -> frozenset[IPv4Network]:
    """What a basic list permits."""
    acl = _list(commands, name)
    if not acl.basic:
        fail(acl.line, f"{name} is no basic list")
    return frozenset(_networks(_permitting(commands, name), by_destination=False))


def _groups(commands: Commands, name: str) -> frozenset[IPv4Network]:
    """Which groups an advanced list permits, from any source."""
    rules = _permitting(commands, name)
    for rule in rules:
        if rule.source != ANYWHERE:
            fail(_list(commands, name).line, f"{name} asks for sources as well")
    return frozenset(_networks(rules, by_destination=True))


def _vlans(commands: Commands) -> Iterator[VlanFacts]:
    for number, vlan in commands.vlans.items():
        if number not in commands.vlan_batch:
            fail(vlan.line, f"VLAN {number} is not made by 'vlan batch'")
        if vlan.snooping and ("igmp-snooping enable" not in commands.said or vlan.version != 3):
            fail(vlan.line, f"VLAN {number} does not snoop IGMPv3")
        ports = frozenset(each.name for each in commands.interfaces.values() if each.access_vlan == number)
        yield VlanFacts(number, f"Vlanif{number}", ports, vlan.snooping)


def _ranges(commands: Commands, name: str | None) -> frozenset[Range]:
    if name is None:
        raise ValueError("a neighbour lacks a prefix list")
    if name not in commands.prefix_lists:
        raise ValueError(f"there is no ip-prefix list {name}")
    return frozenset((network, longest) for network, longest in commands.prefix_lists[name] if longest is not None)


def _neighbor(commands: Commands, peer: Peer) -> NeighborFacts:
    if not peer.enabled:
        fail(peer.line, f"{peer.address} is not enabled in the address family")
    if not peer.has_retry:
        fail(peer.line, f"nothing says when {peer.address} is tried again")
    keepalive, hold = commands.bgp.timers
    paths = peer.as_paths
    return NeighborFacts(
        address=peer.address,
        asn=peer.asn,
        accept=_ranges(commands, peer.accept),
        announce=_ranges(commands, peer.announce),
        accept_paths_of=None if paths is None else commands.as_paths[paths],
        maximum_prefixes=peer.maximum_prefixes,
        keepalive_s=keepalive,
        hold_s=hold,
        authentication=_authentication(commands, peer),
        gtsm=peer.ttl_hops == 1,
        first_as=peer.first_as,
        bfd=peer.bfd,
    )


def _authentication(commands: Commands, peer: Peer) -> Authentication | None:
    if peer.tcp_ao is None:
        return "md5" if peer.password else None
    bound = commands.tcp_ao.get(peer.tcp_ao)
    if bound is None or bound.keychain is None or bound.keychain not in commands.keychains:
        fail(peer.line, f"TCP-AO {peer.tcp_ao} has no keychain")
    keychain = commands.keychains[bound.keychain]
    if set(bound.identifiers) != set(keychain.keys) or not bound.identifiers:
        fail(peer.line, f"TCP-AO {peer.tcp_ao} and its keychain differ in their keys")
    for key in keychain.keys.values():
        if key != {"algorithm", "key-string", "send-time", "receive-time", "default"}:
            fail(peer.line, f"a key of TCP-AO {peer.tcp_ao} has only {sorted(key)}")
    for send, receive in bound.identifiers.values():
        if send != receive:
            fail(peer.line, f"TCP-AO {peer.tcp_ao} has different numbers for sending and receiving")
    return "tcp-ao"


def _interface_towards(commands: Commands, address: IPv4Address, line: int) -> Interface:
    for interface in commands.interfaces.values():
        if any(address in own.network for own in interface.addresses):
            return interface
    return fail(line, f"{address} is in no subnet of an interface")


def _bfd(commands: Commands) -> Iterator[tuple[str, int, int]]:
    """PIM's and BGP's timers of an interface, which have to be the same."""
    for interface in commands.interfaces.values():
        if interface.pim_bfd != (interface.bfd_times is not None):
            fail(interface.line, f"{interface.name} has PIM BFD without times, or times without it")
        if interface.bfd_times is not None:
            yield interface.name, *interface.bfd_times
    for peer in commands.bgp.peers.values():
        if peer.bfd != (peer.bfd_times is not None):
            fail(peer.line, f"{peer.address} has BFD without times, or times without it")
        if peer.bfd_times is not None:
            yield _interface_towards(commands, peer.address, peer.line).name, *peer.bfd_times


def _pim(commands: Commands, interface: Interface) -> PimFacts:
    if not interface.silent and (interface.hello_s is None or interface.holdtime_s != -(-7 * interface.hello_s // 2)):
        fail(interface.line, f"{interface.name} does not hold PIM neighbours for three and a half hellos")
    return PimFacts(
        interface=interface.name,
        passive=interface.silent,
        hello_s=interface.hello_s,
        neighbors=None if interface.neighbor_acl is None else frozenset(_hosts(commands, interface.neighbor_acl)),
        dr_priority=interface.dr_priority,
        bfd=interface.pim_bfd,
    )


def _hosts(commands: Commands, name: str) -> Iterator[IPv4Address]:
    for network in _permitted(commands, name):
        if network.prefixlen != network.max_prefixlen:
            fail(_list(commands, name).line, f"{name} permits more than single addresses")
        yield network.network_address


def _igmp(commands: Commands, interface: Interface) -> IgmpFacts:
    if not interface.router_alert:
        fail(interface.line, f"{interface.name} takes IGMP without the router-alert option")
    if interface.query_s is None or interface.response_s is None:
        return fail(interface.line, f"{interface.name} has no IGMP timers")
    return IgmpFacts(
        interface=interface.name,
        version=interface.igmp_version,
        query_interval_s=interface.query_s,
        max_response_ds=interface.response_s * 10,
        groups=None if interface.group_acl is None else _permitted(commands, interface.group_acl),
        maximum_groups=interface.group_limit,
        static_joins=frozenset(interface.joins),
    )


def _rendezvous_points(commands: Commands) -> Iterator[RendezvousFacts]:
    multicast = commands.multicast
    for address, name in multicast.rendezvous_points:
        own = next((each for each in commands.interfaces.values() if _has(each, address)), None)
        if own is not None and not own.pim:
            fail(own.line, f"{own.name} has the rendezvous point's address, and no PIM")
        registers = None
        if own is not None and multicast.register_acl is not None:
            registers = frozenset(_networks(_permitting(commands, multicast.register_acl), by_destination=False))
        yield RendezvousFacts(address, _permitted(commands, name), registers)


def _has(interface: Interface, address: IPv4Address) -> bool:
    return any(own.ip == address for own in interface.addresses)


def _msdp(commands: Commands) -> Iterator[MsdpFacts]:
    for peer in commands.msdp.peers.values():
        if commands.msdp.originator not in commands.interfaces:
            fail(peer.line, "MSDP has no originating interface")
        if not peer.silenced:
            fail(peer.line, f"{peer.address} is told of sources")
        rules = _permitting(commands, peer.import_acl) if peer.import_acl is not None else None
        if rules is not None and len(rules) != len({each.source for each in rules}) * len(
            {each.destination for each in rules}
        ):
            fail(peer.line, f"{peer.import_acl} does not take every sender with every group")
        yield MsdpFacts(
            address=peer.address,
            local_interface=peer.interface,
            sources=None if rules is None else frozenset(each.source for each in rules),
            groups=None if rules is None else frozenset(each.destination for each in rules),
            maximum_active_sources=peer.maximum_active_sources,
            authenticated=peer.password,
        )


def _access(commands: Commands) -> Iterator[tuple[str, tuple[AccessFacts, ...]]]:
    for interface in commands.interfaces.values():
        if interface.policy is not None:
            yield interface.name, _policy_rules(commands, interface.policy, interface.line)
    for number, vlan in commands.vlans.items():
        ports = [each for each in commands.interfaces.values() if each.access_vlan == number]
        policies = {each.vlan_policy for each in ports}
        if len(policies) != 1 or None in policies:
            fail(vlan.line, f"the ports of VLAN {number} have different filters, or none")
        for name, filtered in (each for each in policies if each is not None):
            if filtered != number:
                fail(vlan.line, f"a port of VLAN {number} filters VLAN {filtered}")
            yield f"Vlanif{number}", _policy_rules(commands, name, vlan.line)


def _policy_rules(commands: Commands, name: str, line: int) -> tuple[AccessFacts, ...]:
    policy = commands.policies.get(name)
    if policy is None or len(policy.pairs) != 1:
        return fail(line, f"the traffic policy {name} has no classifier, or several")
    if not policy.counted:
        fail(line, f"the traffic policy {name} counts nothing")
    [(classifier, behavior)] = policy.pairs
    if commands.behaviors.get(behavior) != "permit":
        fail(line, f"the traffic behavior {behavior} does not leave the decision to the list")
    matched = commands.classifiers.get(classifier, [])
    if len(matched) != 1:
        fail(line, f"the traffic classifier {classifier} has not one list")
    return tuple(_list(commands, matched[0]).rules)


def _control_plane(commands: Commands) -> Iterator[tuple[frozenset[AccessFacts], int]]:
    if not commands.slots:
        return
    [policy] = commands.cpu_policies.values()
    missing = {each.slot for each in commands.interfaces.values() if each.is_port} - set(commands.slots)
    if missing or set(commands.slots.values()) != set(commands.cpu_policies):
        raise ValueError(f"the policy for the CPU is not that of every slot with a port: {sorted(missing)}")
    if policy.sequence != FLOWS_FIRST or policy.remainder_acl is None or not policy.remainder_kbps:
        fail(policy.line, "nothing bounds what belongs to no class, or it comes before the classes")
    if _list(commands, policy.remainder_acl).rules != REMAINDER:
        fail(policy.line, f"{policy.remainder_acl} is not everything")
    if set(policy.flows) != set(policy.rates_kbps):
        fail(policy.line, "a class has no bound, or a bound no class")
    for number, name in policy.flows.items():
        rules = frozenset(_list(commands, name).rules)
        yield rules, policy.rates_kbps[number] * 1000 // (CONTROL_PACKET_BYTES * 8)


def _management(commands: Commands) -> ManagementFacts:
    sources: frozenset[IPv4Network] = frozenset()
    if commands.ssh_acl is not None:
        missing = SSH_SERVER - commands.said | SSH_ALGORITHMS - commands.ssh_algorithms
        if missing:
            raise ValueError(f"SSH has a list of who may come, and lacks {sorted(missing)}")
        sources = _permitted(commands, commands.ssh_acl)
    keys = set(commands.ntp_servers.values())
    if len(keys) > 1:
        raise ValueError("NTP servers have different keys")
    return ManagementFacts(
        ssh_sources=sources,
        ntp_servers=frozenset(commands.ntp_servers),
        ntp_key_id=next(iter(keys), None),
        ptp_domain=None,
        syslog=frozenset(commands.log_hosts),
        aaa=_aaa(commands),
        users=frozenset(_users(commands)),
    )


def _aaa(commands: Commands) -> tuple[str, tuple[IPv4Address, ...]] | None:
    domain = commands.domains.get("default_admin")
    if domain is None:
        return None
    method, group = domain.server
    for scheme in domain.schemes.values():
        if commands.schemes.get(scheme) != (method, "local"):
            fail(domain.line, f"the scheme {scheme} does not ask {method} and then the router itself")
    if commands.ssh_acl is not None and "ssh authentication-type default password" not in commands.said:
        fail(domain.line, "SSH does not ask for passwords, which servers would check")
    servers = commands.server_groups[method, group]
    if not servers.has_key or servers.source is None:
        fail(domain.line, f"the servers {group} have no key, or requests no source")
    if method == "radius":
        if set(domain.schemes) != {"authentication"}:
            fail(domain.line, "the domain has not the schemes that RADIUS needs")
        return "radius", tuple(servers.authentication)
    if "hwtacacs enable" not in commands.said or set(domain.schemes) != {"authentication", "authorization"}:
        fail(domain.line, "the domain has not what HWTACACS needs")
    if servers.authentication != servers.authorization:
        fail(domain.line, "who authenticates does not authorize")
    return "tacacs+", tuple(servers.authentication)


def _users(commands: Commands) -> Iterator[str]:
    for name, user in commands.users.items():
        kind = {"rsa": "rsa-key", "ecc": "ecc-key"}.get(user.authentication or "")
        if kind is None or user.assigned is None or user.assigned[0] != kind or user.service != "stelnet":
            fail(user.line, f"the SSH user {name} does not log in by a key")
        if user.assigned not in commands.public_keys:
            fail(user.line, f"there is no {user.assigned[0]} {user.assigned[1]}")
        if "ssh authorization-type default root" not in commands.said:
            fail(user.line, f"nothing says what the SSH user {name} may do")
        yield name
    unused = set(commands.public_keys) - {user.assigned for user in commands.users.values()}
    if unused:
        raise ValueError(f"nobody uses the keys {sorted(unused)}")
