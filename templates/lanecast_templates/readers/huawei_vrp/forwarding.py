"""A VRP text's commands of forwarding: interfaces, VLANs, lists, filters, routes, BGP, multicast."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from lanecast.router import ANYWHERE
from lanecast_templates.readers.facts import AccessFacts
from lanecast_templates.readers.huawei_vrp.declarations import (
    Acl,
    Bgp,
    Commands,
    CpuPolicy,
    Interface,
    Line,
    MsdpPeer,
    Peer,
    Policy,
    Vlan,
    fail,
    unknown,
)

PIM_PROTOCOL = "103"
"""PIM's number (RFC 7761, section 4.9), which VRP has no name for."""


def sysname(commands: Commands, line: Line) -> None:
    commands.name = line.words[1]


def undo(commands: Commands, line: Line) -> None:
    match line.words:
        case ["undo", "icmp", "name", kind, "receive"]:
            commands.refused_icmp.add(kind)
        case _:
            unknown(line)


def ip(commands: Commands, line: Line) -> None:
    match line.words:
        case ["ip", "vpn-instance", vrf]:
            commands.scopes.append((line.number, vrf))
            _vpn_instance(commands, line)
        case ["ip", "ip-prefix", name, "index", _, action, network, length, *rest]:
            longest = int(rest[1]) if rest[:1] == ["less-equal"] else int(length)
            entry = (IPv4Network(f"{network}/{length}"), longest if action == "permit" else None)
            if action == "deny" and entry[0] != ANYWHERE:
                unknown(line)
            commands.prefix_lists.setdefault(name, []).append(entry)
        case ["ip", "as-path-filter", name, "index", _, "permit", expression]:
            found = re.fullmatch(r"\^(\d+)\(_(\d+)\)\*\$", expression)
            if found is None or found[1] != found[2]:
                unknown(line)
            commands.as_paths[name] = int(found[1])
        case ["ip", "route-static", *rest]:
            _route(commands, line, rest)
        case _:
            unknown(line)


def _route(commands: Commands, line: Line, rest: list[str]) -> None:
    vrf = None
    if rest[0] == "vpn-instance":
        vrf, rest = rest[1], rest[2:]
    commands.scopes.append((line.number, vrf))
    match rest:
        case [network, mask, _, via, "preference", _]:
            commands.routes.append((IPv4Network(f"{network}/{mask}"), IPv4Address(via)))
        case _:
            unknown(line)


def _vpn_instance(commands: Commands, line: Line) -> None:
    said = {each.text for family in line.children for each in family.children}
    wanted = [each.text for each in line.children if not each.text.startswith("description ")]
    if wanted != ["ipv4-family"] or not any(each.startswith("route-distinguisher ") for each in said):
        fail(line.number, "the VRF has no IPv4 family with a route distinguisher")
    for each in said:
        if each != "multicast routing-enable" and not each.startswith("route-distinguisher "):
            fail(line.number, f"cannot read '{each}' in the VRF")


def acl(commands: Commands, line: Line) -> None:
    match line.words:
        case ["acl", "name", name, ("basic" | "advance") as kind]:
            acl = commands.acls[name] = Acl(line.number, kind == "basic")
        case _:
            unknown(line)
    for each in line.children:
        match each.words:
            case ["rule", _, "description", *_]:
                pass
            case ["rule", _, ("permit" | "deny") as action, *marks]:
                acl.rules.append(_rule(each, action == "permit", acl.basic, marks))
            case _:
                unknown(each)


def _rule(line: Line, permit: bool, basic: bool, marks: list[str]) -> AccessFacts:
    protocol = "ip" if basic else marks.pop(0)
    source = destination = ANYWHERE
    source_port: int | None = None
    destination_port: int | None = None
    while marks:
        match marks:
            case ["source", address, wildcard, *marks]:
                source = _wildcard(address, wildcard)
            case ["destination", address, wildcard, *marks]:
                destination = _wildcard(address, wildcard)
            case ["source-port", "eq", port, *marks]:
                source_port = int(port)
            case ["destination-port", "eq", port, *marks]:
                destination_port = int(port)
            case ["vpn-instance", _, *marks]:
                pass
            case _:
                unknown(line)
    name = "pim" if protocol == PIM_PROTOCOL else protocol
    return AccessFacts(permit, name, source, destination, source_port, destination_port)


def _wildcard(address: str, wildcard: str) -> IPv4Network:
    # ipaddress takes a wildcard mask where it takes a netmask; VRP writes 0 for a single address.
    return IPv4Network(address if wildcard == "0" else f"{address}/{wildcard}")


def traffic(commands: Commands, line: Line) -> None:
    match line.words:
        case ["traffic", "classifier", name, "operator", "or"]:
            matched = commands.classifiers[name] = []
            for each in line.children:
                match each.words:
                    case ["if-match", "acl", "name", acl]:
                        matched.append(acl)
                    case _:
                        unknown(each)
        case ["traffic", "behavior", name]:
            commands.behaviors[name] = "; ".join(each.text for each in line.children)
        case ["traffic", "policy", name]:
            policy = commands.policies[name] = Policy()
            for each in line.children:
                match each.words:
                    case ["classifier", classifier, "behavior", behavior]:
                        policy.pairs.append((classifier, behavior))
                    case ["statistics", "enable"]:
                        policy.counted = True
                    case _:
                        unknown(each)
        case _:
            unknown(line)


def cpu_defend(commands: Commands, line: Line) -> None:
    policy = commands.cpu_policies[line.words[2]] = CpuPolicy(line.number)
    for each in line.children:
        match each.words:
            case ["user-defined-flow", number, "acl", "name", name]:
                policy.flows[int(number)] = name
            case ["car", "user-defined-flow", number, "cir", rate]:
                policy.rates_kbps[int(number)] = int(rate)
            case ["blacklist", "acl", "name", name]:
                policy.remainder_acl = name
            case ["car", "blacklist", "cir", rate]:
                policy.remainder_kbps = int(rate)
            case ["process-sequence", *kinds]:
                policy.sequence = " ".join(kinds)
            case ["description", *_]:
                pass
            case _:
                unknown(each)


def slot(commands: Commands, line: Line) -> None:
    match [each.words for each in line.children]:
        case [["cpu-defend-policy", name]]:
            commands.slots[int(line.words[1])] = name
        case _:
            unknown(line)


def interface(commands: Commands, line: Line) -> None:
    interface = commands.interfaces[line.words[1]] = Interface(line.words[1], line.number)
    for each in line.children:
        first = each.words[0]
        reader = {"pim": _pim_on, "igmp": _igmp_on}.get(first, _on_interface)
        reader(interface, each)


def _on_interface(interface: Interface, line: Line) -> None:
    match line.words:
        case ["description", *_]:
            pass
        case ["undo", "lldp", "enable"] | ["undo", "dcn"]:
            interface.silences.add(line.words[1])
        case ["shutdown"]:
            interface.shut = True
        case ["undo", "shutdown"]:
            interface.shut = False
        case ["vlan-type", "dot1q", tag]:
            interface.tag = int(tag)
        case ["ip", "binding", "vpn-instance", vrf]:
            interface.vrf = vrf
        case ["ip", "address", address, mask] | ["ip", "address", address, mask, "sub"]:
            interface.addresses.append(IPv4Interface(f"{address}/{mask}"))
        case ["ip", "urpf", ("strict" | "loose") as way]:
            interface.reverse_path = way
        case ["undo", "ip", "forward-broadcast"]:
            interface.no_broadcasts = True
        case ["undo", "arp-proxy", "enable"]:
            interface.no_proxy = True
        case ["traffic-policy", name, "inbound"]:
            interface.policy = name
        case ["traffic-policy", name, "inbound", "vlan", vlan]:
            interface.vlan_policy = (name, int(vlan))
        case ["portswitch"]:
            interface.switched = True
        case ["port", "link-type", "access"] if interface.switched:
            interface.is_access = True
        case ["port", "default", "vlan", vlan] if interface.is_access:
            interface.access_vlan = int(vlan)
        case _:
            unknown(line)


def _pim_on(interface: Interface, line: Line) -> None:
    match line.words[1:]:
        case ["sm"]:
            interface.pim = True
        case ["silent"]:
            interface.silent = True
        case ["timer", "hello", seconds]:
            interface.hello_s = int(seconds)
        case ["hello-option", "holdtime", seconds]:
            interface.holdtime_s = int(seconds)
        case ["hello-option", "dr-priority", priority]:
            interface.dr_priority = int(priority)
        case ["neighbor-policy", "acl-name", name]:
            interface.neighbor_acl = name
        case ["join-policy", "acl-name", name]:
            interface.join_acl = name
        case ["bfd", "enable"]:
            interface.pim_bfd = True
        case ["bfd", *times]:
            interface.bfd_times = _bfd_times(line, times)
        case _:
            unknown(line)


def _bfd_times(line: Line, times: list[str]) -> tuple[int, int]:
    match times:
        case ["min-tx-interval", sent, "min-rx-interval", received, "detect-multiplier", many] if sent == received:
            return int(sent), int(many)
        case _:
            return unknown(line)


def _igmp_on(interface: Interface, line: Line) -> None:
    match line.words[1:]:
        case ["enable"] if interface.pim:
            interface.igmp = True
        case ["version", version]:
            interface.igmp_version = int(version)
        case ["timer", "query", seconds]:
            interface.query_s = int(seconds)
        case ["max-response-time", seconds]:
            interface.response_s = int(seconds)
        case ["group-policy", "acl-name", name]:
            interface.group_acl = name
        case ["access-limit", most]:
            interface.group_limit = int(most)
        case ["require-router-alert"]:
            interface.router_alert = True
        case ["static-group", group, "source", source]:
            interface.joins.append((IPv4Address(group), IPv4Address(source)))
        case _:
            unknown(line)


def multicast(commands: Commands, line: Line) -> None:
    if line.text != "multicast routing-enable":
        unknown(line)
    commands.said.add(line.text)


def pim(commands: Commands, line: Line) -> None:
    commands.scopes.append((line.number, _of_vrf(line)))
    multicast = commands.multicast
    for each in line.children:
        match each.words:
            case ["ssm-policy", "acl-name", name]:
                multicast.ssm_acl = name
            case ["register-policy", "acl-name", name]:
                multicast.register_acl = name
            case ["static-rp", address, "acl-name", name]:
                multicast.rendezvous_points.append((IPv4Address(address), name))
            case _:
                unknown(each)


def _of_vrf(line: Line) -> str | None:
    match line.words[1:]:
        case []:
            return None
        case ["vpn-instance", vrf]:
            return vrf
        case _:
            return unknown(line)


def msdp(commands: Commands, line: Line) -> None:
    commands.scopes.append((line.number, _of_vrf(line)))
    msdp = commands.msdp
    for each in line.children:
        match each.words:
            case ["originating-rp", name]:
                msdp.originator = name
            case ["peer", address, "connect-interface", name]:
                msdp.peers[address] = MsdpPeer(IPv4Address(address), name, each.number)
            case ["peer", address, *rest] if address in msdp.peers:
                _msdp_peer(msdp.peers[address], each, rest)
            case _:
                unknown(each)


def _msdp_peer(peer: MsdpPeer, line: Line, rest: list[str]) -> None:
    match rest:
        case ["description", *_]:
            pass
        case ["password", "cipher", _]:
            peer.password = True
        case ["sa-policy", "import", "acl-name", name]:
            peer.import_acl = name
        case ["sa-policy", "export"]:
            peer.silenced = True
        case ["sa-cache-maximum", most]:
            peer.maximum_active_sources = int(most)
        case _:
            unknown(line)


def bgp(commands: Commands, line: Line) -> None:
    bgp = commands.bgp
    bgp.asn = int(line.words[1])
    for each in line.children:
        match each.words:
            case ["ipv4-family", "unicast"]:
                commands.scopes.append((each.number, None))
                _bgp_block(bgp, each.children)
            case ["ipv4-family", "vpn-instance", vrf]:
                commands.scopes.append((each.number, vrf))
                outer, bgp.router_id = bgp.router_id, None
                _bgp_block(bgp, each.children)
                if outer is None or outer != bgp.router_id:
                    fail(each.number, "the VRF's router ID is not the router's")
                for peer in bgp.peers.values():
                    peer.enabled = True  # in a VRF's family every peer is
            case _:
                _bgp_block(bgp, [each])


def _bgp_block(bgp: Bgp, lines: list[Line]) -> None:
    for line in lines:
        match line.words:
            case ["router-id", address]:
                bgp.router_id = IPv4Address(address)
            case ["timer", "keepalive", keepalive, "hold", hold]:
                bgp.timers = (int(keepalive), int(hold))
            case ["network", network, mask]:
                bgp.networks.append(IPv4Network(f"{network}/{mask}"))
            case ["peer", address, "as-number", asn]:
                bgp.peers[address] = Peer(IPv4Address(address), int(asn), line.number)
            case ["peer", address, *rest] if address in bgp.peers:
                _peer(bgp.peers[address], line, rest)
            case _:
                unknown(line)


def _peer(peer: Peer, line: Line, rest: list[str]) -> None:
    match rest:
        case ["description", *_]:
            pass
        case ["timer", "connect-retry", _]:
            peer.has_retry = True
        case ["enable"]:
            peer.enabled = True
        case ["password", "cipher", _]:
            peer.password = True
        case ["tcp-ao", "policy", name]:
            peer.tcp_ao = name
        case ["valid-ttl-hops", hops]:
            peer.ttl_hops = int(hops)
        case ["check-first-as", "enable"]:
            peer.first_as = True
        case ["bfd", "enable"]:
            peer.bfd = True
        case ["bfd", *times]:
            peer.bfd_times = _bfd_times(line, times)
        case ["ip-prefix", name, "import"]:
            peer.accept = name
        case ["ip-prefix", name, "export"]:
            peer.announce = name
        case ["as-path-filter", name, "import"]:
            peer.as_paths = name
        case ["route-limit", most, "idle-forever"]:
            peer.maximum_prefixes = int(most)
        case _:
            unknown(line)


def vlan(commands: Commands, line: Line) -> None:
    if line.words[1] == "batch":
        commands.vlan_batch.update(int(each) for each in line.words[2:])
        return
    vlan = commands.vlans[int(line.words[1])] = Vlan(line.number)
    for each in line.children:
        match each.words:
            case ["description", *_]:
                pass
            case ["igmp-snooping", "enable"]:
                vlan.snooping = True
            case ["igmp-snooping", "version", version]:
                vlan.version = int(version)
            case _:
                unknown(each)
