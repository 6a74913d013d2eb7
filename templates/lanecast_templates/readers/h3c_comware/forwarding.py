"""A Comware text's commands of forwarding: interfaces, VLANs, lists, QoS policies, routes, BGP, multicast."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from lanecast.router import ANYWHERE
from lanecast_templates.readers.facts import AccessFacts
from lanecast_templates.readers.h3c_comware.declarations import (
    Acl,
    Bgp,
    Commands,
    Interface,
    Line,
    MsdpPeer,
    Peer,
    Rule,
    Vlan,
    fail,
    unknown,
)

PIM_PROTOCOL = "103"
"""PIM's number (RFC 7761, section 4.9), for which Comware has no name."""


def ip(commands: Commands, line: Line) -> None:
    match line.words:
        case ["ip", "vpn-instance", vrf]:
            commands.scopes.append((line.number, vrf))
            commands.vpn_instances[vrf] = {each.words[0] for each in line.children}
            if not commands.vpn_instances[vrf] <= {"route-distinguisher", "description"}:
                unknown(line)
        case ["ip", "prefix-list", name, "index", _, action, network, length, *rest]:
            longest = int(length)
            if rest:
                [word, number] = rest
                if word != "less-equal":
                    unknown(line)
                longest = int(number)
            prefix = IPv4Network(f"{network}/{length}")
            if action == "deny" and prefix != ANYWHERE:
                unknown(line)
            commands.prefix_lists.setdefault(name, []).append((prefix, longest if action == "permit" else None))
        case ["ip", "as-path", number, "permit", expression]:
            found = re.fullmatch(r"\^(\d+)\(_(\d+)\)\*\$", expression)
            if found is None or found[1] != found[2] or number in commands.as_paths:
                unknown(line)
            commands.as_paths[number] = int(found[1])
        case ["ip", "route-static", "vpn-instance", vrf, *rest]:
            commands.scopes.append((line.number, vrf))
            _route(commands, line, rest)
        case ["ip", "route-static", *rest]:
            commands.scopes.append((line.number, None))
            _route(commands, line, rest)
        case _:
            unknown(line)


def _route(commands: Commands, line: Line, rest: list[str]) -> None:
    match rest:
        case [network, mask, _, via, "preference", _]:
            commands.routes.append((IPv4Network(f"{network}/{mask}"), IPv4Address(via)))
        case _:
            unknown(line)


def acl(commands: Commands, line: Line) -> None:
    match line.words:
        case ["acl", ("basic" | "advanced") as kind, "name", name] | ["acl", ("basic" | "advanced") as kind, name]:
            if name in commands.acls:
                fail(line.number, f"the ACL {name} is there twice")
            held = commands.acls[name] = Acl(line.number, kind == "basic")
        case _:
            unknown(line)
    last = -1
    for each in line.children:
        match each.words:
            case ["rule", _, "comment", *_] | ["description", *_]:
                pass
            case ["rule", number, ("permit" | "deny") as action, *marks]:
                if int(number) <= last:
                    fail(each.number, f"rule {number} stands behind rule {last}, and is asked before it")
                last = int(number)
                held.rules.append(_rule(each, action == "permit", held.basic, marks))
            case _:
                unknown(each)


def _rule(line: Line, permit: bool, basic: bool, marks: list[str]) -> Rule:
    protocol = "ip" if basic else marks.pop(0)
    source = destination = ANYWHERE
    source_port: int | None = None
    destination_port: int | None = None
    counting = False
    vrf: str | None = None
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
            case ["counting", *marks]:
                counting = True
            case ["vpn-instance", instance, *marks]:
                vrf = instance
            case _:
                unknown(line)
    name = "pim" if protocol == PIM_PROTOCOL else protocol
    return Rule(AccessFacts(permit, name, source, destination, source_port, destination_port), counting, vrf)


def _wildcard(address: str, wildcard: str) -> IPv4Network:
    # ipaddress takes a wildcard mask where it takes a netmask; Comware writes 0 for a single address.
    return IPv4Network(address if wildcard == "0" else f"{address}/{wildcard}")


def traffic(commands: Commands, line: Line) -> None:
    match line.words, [each.words for each in line.children]:
        case ["traffic", "classifier", name, "operator", "or"], [["if-match", "acl", "name", matched]]:
            commands.classifiers[name] = matched
        case ["traffic", "classifier", name, "operator", "or"], [["if-match", "any"]]:
            commands.classifiers[name] = ""
        case ["traffic", "behavior", name], [["car", "cir", rate, "red", "discard"]]:
            commands.behaviors[name] = int(rate)
        case _:
            unknown(line)


def qos(commands: Commands, line: Line) -> None:
    match line.words:
        case ["qos", "policy", name]:
            pairs = commands.policies[name] = []
        case _:
            unknown(line)
    for each in line.children:
        match each.words:
            case ["classifier", classifier, "behavior", behavior]:
                pairs.append((classifier, behavior))
            case _:
                unknown(each)


def control_plane(commands: Commands, line: Line) -> None:
    match line.words[1:], [each.words for each in line.children]:
        case [], [["qos", "apply", "policy", name, "inbound"]]:
            commands.control_planes[None] = name
        case ["slot", slot], [["qos", "apply", "policy", name, "inbound"]]:
            commands.control_planes[int(slot)] = name
        case _:
            unknown(line)


def interface(commands: Commands, line: Line) -> None:
    held = commands.interfaces[line.words[1]] = Interface(line.words[1], line.number)
    for each in line.children:
        {"pim": _pim_on, "igmp": _igmp_on, "port": _port}.get(each.words[0], _on_interface)(held, each)


def _port(held: Interface, line: Line) -> None:
    match line.words[1:]:
        case ["link-mode", ("route" | "bridge") as mode]:
            held.routed = mode == "route"
        case ["link-type", "access"] if held.routed is False:
            held.is_access = True
        case ["access", "vlan", vlan] if held.is_access:
            held.access_vlan = int(vlan)
        case _:
            unknown(line)


def _on_interface(held: Interface, line: Line) -> None:
    match line.words:
        case ["description", *_]:
            pass
        case ["shutdown"]:
            held.shut = True
        case ["undo", "shutdown"]:
            held.shut = False
        case ["vlan-type", "dot1q", "vid", tag]:
            held.tag = int(tag)
        case ["ip", "binding", "vpn-instance", vrf]:
            held.vrf = vrf
        case ["ip", "address", address, mask] if not held.addresses:
            held.addresses.append(IPv4Interface(f"{address}/{mask}"))
        case ["ip", "address", address, mask, "sub"] if held.addresses:
            held.addresses.append(IPv4Interface(f"{address}/{mask}"))
        case ["ip", "urpf", ("strict" | "loose") as way]:
            held.reverse_path = way
        case ["undo", "ip", "forward-broadcast"]:
            held.no_broadcasts = True
        case ["undo", "proxy-arp", "enable"]:
            held.no_proxy = True
        case ["packet-filter", "name", name, ("inbound" | "outbound") as direction]:
            held.filters[direction] = name
        case ["bfd", ("min-transmit-interval" | "min-receive-interval" | "detect-multiplier") as what, number]:
            held.bfd[what] = int(number)
        case ["igmp-snooping", "group-limit", most, "vlan", vlan]:
            held.snooped_groups[int(vlan)] = int(most)
        case _:
            unknown(line)


def _pim_on(held: Interface, line: Line) -> None:
    match line.words[1:]:
        case ["sm"]:
            held.pim = True
        case ["passive"] if held.pim:
            held.passive = True
        case ["timer", "hello", seconds] if held.pim:
            held.hello_s = int(seconds)
        case ["hello-option", "holdtime", seconds] if held.pim:
            held.holdtime_s = int(seconds)
        case ["hello-option", "dr-priority", priority] if held.pim:
            held.dr_priority = int(priority)
        case ["neighbor-policy", number] if held.pim:
            held.neighbor_acl = number
        case ["bfd", "enable"] if held.pim:
            held.pim_bfd = True
        case _:
            unknown(line)


def _igmp_on(held: Interface, line: Line) -> None:
    match line.words[1:]:
        case ["enable"]:
            held.igmp = True
        case ["version", version] if held.igmp:
            held.igmp_version = int(version)
        case ["query-interval", seconds] if held.igmp:
            held.query_s = int(seconds)
        case ["max-response-time", seconds] if held.igmp:
            held.response_s = int(seconds)
        case ["group-policy", number] if held.igmp:
            held.group_acl = number
        case ["static-group", group, "source", source] if held.igmp:
            held.joins.append((IPv4Address(group), IPv4Address(source)))
        case _:
            unknown(line)


def of_vrf(line: Line, head: int) -> str | None:
    """The VPN instance that a command's words behind its ``head`` first ones name."""
    match line.words[head:]:
        case []:
            return None
        case ["vpn-instance", vrf]:
            return vrf
        case _:
            return unknown(line)


def multicast(commands: Commands, line: Line) -> None:
    if line.words[1] != "routing" or line.children:
        unknown(line)
    commands.scopes.append((line.number, of_vrf(line, 2)))
    commands.said.add("multicast routing")


def pim(commands: Commands, line: Line) -> None:
    commands.scopes.append((line.number, of_vrf(line, 1)))
    held = commands.multicast
    for each in line.children:
        match each.words:
            case ["ssm-policy", number]:
                held.ssm_acl = number
            case ["register-policy", number]:
                held.register_acl = number
            case ["static-rp", address, number]:
                held.rendezvous_points.append((IPv4Address(address), number))
            case _:
                unknown(each)


def msdp(commands: Commands, line: Line) -> None:
    commands.scopes.append((line.number, of_vrf(line, 1)))
    held = commands.msdp
    for each in line.children:
        match each.words:
            case ["originating-rp", name]:
                held.originator = name
            case ["peer", address, "connect-interface", name]:
                held.peers[address] = MsdpPeer(IPv4Address(address), name, each.number)
            case ["peer", address, *rest] if address in held.peers:
                _msdp_peer(held.peers[address], each, rest)
            case _:
                unknown(each)


def _msdp_peer(peer: MsdpPeer, line: Line, rest: list[str]) -> None:
    match rest:
        case ["description", *_]:
            pass
        case ["password", "simple", _]:
            peer.password = True
        case ["sa-policy", "import", "acl", number]:
            peer.import_acl = number
        case ["sa-policy", "export"]:
            peer.silenced = True
        case ["sa-cache-maximum", most]:
            peer.maximum_active_sources = int(most)
        case _:
            unknown(line)


def bgp(commands: Commands, line: Line) -> None:
    held = commands.bgp
    held.asn = int(line.words[1])
    for each in line.children:
        match each.words:
            case ["ip", "vpn-instance", vrf]:
                commands.scopes.append((each.number, vrf))
                _bgp_view(held, each.children)
            case ["undo", "ignore-first-as"]:
                held.first_as = True
            case ["address-family", "ipv4", "unicast"]:
                commands.scopes.append((each.number, None))
                _bgp_view(held, [each])
            case _:
                _bgp_view(held, [each])


def _bgp_view(held: Bgp, lines: list[Line]) -> None:
    for line in lines:
        match line.words:
            case ["router-id", address]:
                held.router_ids.append(IPv4Address(address))
            case ["timer", "keepalive", keepalive, "hold", hold]:
                held.timers = (int(keepalive), int(hold))
            case ["address-family", "ipv4", "unicast"]:
                _bgp_family(held, line.children)
            case ["peer", address, "as-number", asn]:
                held.peers[address] = Peer(IPv4Address(address), int(asn), line.number)
            case ["peer", address, *rest] if address in held.peers:
                _peer(held.peers[address], line, rest)
            case _:
                unknown(line)


def _peer(peer: Peer, line: Line, rest: list[str]) -> None:
    match rest:
        case ["description", *_]:
            pass
        case ["password", "simple", _]:
            peer.password = True
        case ["ttl-security", "hops", hops]:
            peer.ttl_hops = int(hops)
        case ["bfd", "single-hop"]:
            peer.bfd = True
        case _:
            unknown(line)


def _bgp_family(held: Bgp, lines: list[Line]) -> None:
    for line in lines:
        match line.words:
            case ["network", network, mask]:
                held.networks.append(IPv4Network(f"{network}/{mask}"))
            case ["peer", address, *rest] if address in held.peers:
                _peer_in_family(held.peers[address], line, rest)
            case _:
                unknown(line)


def _peer_in_family(peer: Peer, line: Line, rest: list[str]) -> None:
    match rest:
        case ["enable"]:
            peer.enabled = True
        case ["prefix-list", name, "import"]:
            peer.accept = name
        case ["prefix-list", name, "export"]:
            peer.announce = name
        case ["as-path-acl", number, "import"]:
            peer.as_paths = number
        case ["route-limit", most]:
            peer.maximum_prefixes = int(most)
        case _:
            unknown(line)


def vlan(commands: Commands, line: Line) -> None:
    held = commands.vlans[int(line.words[1])] = Vlan(line.number)
    for each in line.children:
        match each.words:
            case ["description", *_]:
                pass
            case ["igmp-snooping", ("enable" | "drop-unknown") as what]:
                held.snooping.add(what)
            case ["igmp-snooping", "version", "3"]:
                held.snooping.add("version")
            case _:
                unknown(each)
