"""Lists without state in generated plans, asked packet by packet: what passes a router, what does not, and what may be joined."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from generated_plans import Compile, Document, plans, properties
from hypothesis import given

from lanecast.fabric import Fabric
from lanecast.router import AccessRule, Bgp, BgpNeighbor, Interface, InterfaceRole, Router, RouterRole

ANYBODY = IPv4Address("8.8.8.8")
HIGH_PORT = 40000


@dataclass(frozen=True, slots=True)
class Packet:
    """What a list asks of one."""

    protocol: str
    source: IPv4Address
    destination: IPv4Address
    source_port: int = HIGH_PORT
    destination_port: int = HIGH_PORT


def passes(router: Router, interface: Interface, packet: Packet) -> bool:
    """Whether an interface's list lets a packet in: the first rule that it fits decides."""
    [rules] = [each.rules for each in router.access_lists if each.name == interface.access_list]
    return next(rule.permit for rule in rules if fits(rule, packet))


def fits(rule: AccessRule, packet: Packet) -> bool:
    return (
        rule.protocol in ("ip", packet.protocol)
        and packet.source in rule.source
        and packet.destination in rule.destination
        and rule.source_port in (None, packet.source_port)
        and rule.destination_port in (None, packet.destination_port)
    )


def of_sites(fabric: Fabric) -> Iterator[tuple[Router, Bgp]]:
    for router in fabric.routers:
        if router.role is RouterRole.SITE:
            assert router.bgp is not None
            yield router, router.bgp


def with_role(router: Router, *roles: InterfaceRole) -> list[Interface]:
    return [interface for interface in router.interfaces if interface.role in roles]


def over_circuits(router: Router, bgp: Bgp) -> list[tuple[Interface, BgpNeighbor]]:
    return [
        (interface, each) for each in bgp.neighbors if (interface := router.interface(each.interface)).role == "circuit"
    ]


def beyond(neighbor: BgpNeighbor) -> list[IPv4Address]:
    """The neighbour, and an address of each prefix that it may announce."""
    return [neighbor.address, *(prefix.broadcast_address for prefix in neighbor.accept.permitted)]


@properties
@given(plans())
def test_nothing_between_relays_and_the_cloud_leaves_by_a_circuit(compiled: Compile, document: Document) -> None:
    for router, bgp in of_sites(compiled(document)):
        for inside in with_role(router, InterfaceRole.LAN, InterfaceRole.UPLINK):
            sources = [ANYBODY, *(network.network_address for network in router.management.ssh_sources)]
            for _, neighbor in over_circuits(router, bgp):
                for destination in beyond(neighbor):
                    for source in sources:
                        assert not passes(router, inside, Packet("icmp", source, destination))
                        assert not passes(router, inside, Packet("udp", source, destination))
                        assert not passes(router, inside, Packet("tcp", source, destination, destination_port=22))


@properties
@given(plans())
def test_nothing_but_lines_and_answers_comes_by_a_circuit(compiled: Compile, document: Document) -> None:
    for router, bgp in of_sites(compiled(document)):
        inside = [each for each in router.interfaces if each.role in (InterfaceRole.LAN, InterfaceRole.MULTICAST)]
        for circuit, neighbor in over_circuits(router, bgp):
            own = circuit.address.ip
            for network in (each.address.network for each in inside):
                for source in beyond(neighbor):
                    assert not passes(router, circuit, Packet("icmp", source, network.broadcast_address - 1))
                    assert not passes(router, circuit, Packet("tcp", source, network[-2], destination_port=179))
            for protocol, port in (("tcp", 179), ("icmp", HIGH_PORT)):
                assert passes(router, circuit, Packet(protocol, neighbor.address, own, destination_port=port))
            assert passes(router, circuit, Packet("tcp", neighbor.address, own, source_port=179))
            assert passes(router, circuit, Packet("pim", neighbor.address, IPv4Address("224.0.0.13")))
            assert not passes(router, circuit, Packet("pim", ANYBODY, IPv4Address("224.0.0.13")))
            [lines] = [
                each for each in router.firewall.forwarded if each.interface == circuit.name and not each.answers
            ]
            for group in lines.destination_endpoints:
                for sender in lines.sources:
                    line = Packet("udp", sender.network_address, group.address, destination_port=group.port)
                    assert passes(router, circuit, line)
                    assert not passes(
                        router, circuit, Packet("udp", ANYBODY, group.address, destination_port=group.port)
                    )


@properties
@given(plans())
def test_relays_reach_the_cloud_and_the_router_hears_no_more_than_it_needs(
    compiled: Compile, document: Document
) -> None:
    for router, bgp in of_sites(compiled(document)):
        own = {address.ip for interface in router.interfaces for address in interface.addresses}
        clouds = {route.prefix for route in router.routes}
        clouds |= {
            prefix
            for each in bgp.neighbors
            if router.interface(each.interface).role == "uplink"
            for prefix in each.accept.permitted
        }
        assert clouds
        for lan in with_role(router, InterfaceRole.LAN):
            relay = lan.address.network[-2]
            assert all(passes(router, lan, Packet("udp", relay, cloud[-2])) for cloud in clouds)
            for heard in (*own, IPv4Address("224.0.0.5"), IPv4Address("255.255.255.255")):
                assert not passes(router, lan, Packet("udp", relay, heard))
        for uplink in with_role(router, InterfaceRole.UPLINK):
            for lan in with_role(router, InterfaceRole.LAN):
                assert passes(router, uplink, Packet("udp", ANYBODY, lan.address.network[-2]))
        for segment in with_role(router, InterfaceRole.MULTICAST):
            relay = segment.address.network[-2]
            assert passes(router, segment, Packet("igmp", relay, IPv4Address("224.0.0.22")))
            assert not passes(router, segment, Packet("icmp", relay, ANYBODY))
            assert not passes(router, segment, Packet("icmp", relay, next(iter(clouds))[-2]))


@properties
@given(plans())
def test_a_line_can_move_to_another_sender_while_relays_still_ask_for_the_old_one(
    compiled: Compile, document: Document
) -> None:
    for router, _ in of_sites(compiled(document)):
        assert router.multicast is not None
        lines = [each for each in router.firewall.forwarded if each.interface in router.firewall.guarded]
        groups = {end.address for each in lines if not each.answers for end in each.destination_endpoints}
        for igmp in router.multicast.igmp:
            assert {network.network_address for network in igmp.groups.permitted} == groups
            assert igmp.maximum_groups >= 2 * len(groups)
