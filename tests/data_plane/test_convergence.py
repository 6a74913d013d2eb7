"""Whatever was asked for in whatever order, what is there is what a server builds that begins with the same state."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import pytest
from baidubce.exception import BceHttpClientError
from baidubce.services.bcc.bcc_client import BccClient
from baidubce.services.havip.havip_client import HavipClient
from baidubce.services.route.route_client import RouteClient
from baidubce.services.subnet.subnet_client import SubnetClient
from baidubce.services.vpc.acl_client import AclClient
from baidubce.services.vpc.peerconn_client import PeerConnClient
from baidubce.services.vpc.vpc_client import VpcClient
from data_plane_under_test import DataPlane, rule

pytestmark = pytest.mark.lab

STEPS = 60
OURS = "fa:16:"
"""How hardware addresses begin that are given; the others are the kernel's choice."""


def _shown(plane: DataPlane) -> dict[str, list[str]]:
    """Everything in every node that was made on purpose."""
    return {node["id"]: _inside(plane, node["id"]) for node in plane.registry()["nodes"]}


def _inside(plane: DataPlane, key: str) -> list[str]:
    links = json.loads(plane.run(key, "ip", "-j", "address", "show"))
    lines = []
    for link in links:
        mac = link["address"] if link["address"].startswith(OURS) else ""
        addresses = [f"{each['local']}/{each['prefixlen']}" for each in link["addr_info"] if each["family"] == "inet"]
        up = "UP" in link["flags"]
        lines.append(f"{link['ifname']} {up} {link['operstate']} {mac} {link.get('master')} {link['mtu']} {addresses}")
    lines += plane.run(key, "ip", "-4", "neighbor", "show", "nud", "permanent").splitlines()
    lines += plane.run(key, "ip", "-4", "rule").splitlines()
    routes = plane.run(key, "ip", "-4", "-o", "route", "show", "table", "all").replace(" linkdown", "")
    lines += sorted(line.strip() for line in routes.splitlines())
    stations = plane.run(key, "bridge", "fdb", "show").splitlines()
    lines += sorted(line for line in stations if line.startswith(OURS) and "static" in line)
    tables = sorted(plane.run(key, "nft", "list", "tables").splitlines())
    return sorted(lines) + [
        line for table in tables for line in plane.run(key, "nft", "list", *table.split()).splitlines()
    ]


@dataclass
class _Somebody:
    """Asks for things at random; refusals are part of it."""

    plane: DataPlane
    random: Random
    vpcs: list[str] = field(default_factory=list)
    subnets: dict[str, list[str]] = field(default_factory=dict)
    instances: list[tuple[str, str]] = field(default_factory=list)
    groups: dict[str, list[str]] = field(default_factory=dict)
    peerings: list[tuple[str, str, str]] = field(default_factory=list)
    routes: list[str] = field(default_factory=list)
    havips: list[tuple[str, str]] = field(default_factory=list)
    refused: int = 0

    def step(self) -> None:
        deeds: list[Callable[[], None]] = [
            self.add_instance,
            self.add_instance,
            self.remove_instance,
            self.add_route,
            self.add_route,
            self.remove_route,
            self.add_rule,
            self.change_group,
            self.add_acl,
            self.remove_acl,
            self.switch_relay,
            self.add_peering,
            self.remove_peering,
            self.stop_or_start,
            self.add_subnet,
            self.remove_subnet,
            self.share_address,
            self.fail,
        ]
        try:
            self.random.choice(deeds)()
        except BceHttpClientError as error:
            if not 400 <= error.status_code < 500:
                raise
            self.refused += 1
        except IndexError:  # nothing to choose from
            self.refused += 1

    def begin(self) -> None:
        for index in range(3):
            vpc = self.plane.a_vpc(f"10.{index}.0.0/16")
            self.vpcs.append(vpc)
            self.subnets[vpc] = [self.plane.a_subnet(vpc, f"10.{index}.1.0/24")]
            self.groups[vpc] = [self.plane.a_group(vpc, rule("ingress", "udp", "1-100"))]

    def add_subnet(self) -> None:
        index = self.random.randrange(len(self.vpcs))
        cidr = f"10.{index}.{self.random.randrange(1, 6)}.0/24"
        self.subnets[self.vpcs[index]].append(self.plane.a_subnet(self.vpcs[index], cidr, self.random.choice("ab")))

    def remove_subnet(self) -> None:
        vpc = self.random.choice(self.vpcs)
        subnet = self.random.choice(self.subnets[vpc])
        self.plane.client(SubnetClient).delete_subnet(subnet)
        self.subnets[vpc].remove(subnet)

    def add_instance(self) -> None:
        vpc = self.random.choice(self.vpcs)
        more = {"security_group_id": self.random.choice(self.groups[vpc])} if self.random.random() < 0.5 else {}
        made = self.plane.an_instance(self.random.choice(self.subnets[vpc]), "somebody", **more)
        self.instances.append((vpc, made))

    def remove_instance(self) -> None:
        chosen = self.random.choice(self.instances)
        self.plane.client(BccClient).release_instance(chosen[1])
        self.instances.remove(chosen)

    def stop_or_start(self) -> None:
        bcc = self.plane.client(BccClient)
        self.random.choice([bcc.stop_instance, bcc.start_instance])(self.random.choice(self.instances)[1])

    def add_route(self) -> None:
        index = self.random.randrange(len(self.vpcs))
        vpc = self.vpcs[index]
        hops = [("peerConn", peering) for peering, *ends in self.peerings if vpc in ends]
        hops += [("custom", instance) for own, instance in self.instances if own == vpc]
        hops += [("havip", havip) for own, havip in self.havips if own == vpc]
        kind, hop = self.random.choice(hops)
        source = self.random.choice(["0.0.0.0/0", f"10.{index}.1.0/24", f"10.{index}.1.0/25"])
        destination = self.random.choice(
            [f"10.{number}.0.0/16" for number in range(3)] + ["172.16.0.0/12", "0.0.0.0/0"]
        )
        self.routes.append(self.plane.a_route(vpc, destination, kind, hop, source=source))

    def remove_route(self) -> None:
        chosen = self.random.choice(self.routes)
        self.plane.client(RouteClient).delete_route(chosen)
        self.routes.remove(chosen)

    def add_rule(self) -> None:
        vpc = self.random.choice(self.vpcs)
        made = rule(
            self.random.choice(["ingress", "egress"]),
            self.random.choice(["", "tcp", "udp", "icmp"]),
            "",
            self.random.choice(["", "10.0.0.0/8", "10.1.1.7"]),
            self.random.choice(["", *self.groups[vpc]]),
        )
        bcc = self.plane.client(BccClient)
        deed = self.random.choice([bcc.authorize_security_group_rule] * 2 + [bcc.revoke_security_group_rule])
        deed(self.random.choice(self.groups[vpc]), made)

    def change_group(self) -> None:
        vpc, instance = self.random.choice(self.instances)
        bcc = self.plane.client(BccClient)
        deed = self.random.choice([bcc.bind_instance_to_security_group, bcc.unbind_instance_from_security_group])
        deed(instance, self.random.choice(self.groups[vpc]))

    def add_acl(self) -> None:
        subnet = self.random.choice(self.subnets[self.random.choice(self.vpcs)])
        entry = {
            "subnetId": subnet,
            "position": self.random.randrange(1, 50),
            "direction": self.random.choice(["ingress", "egress"]),
            "action": self.random.choice(["allow", "deny"]),
            "protocol": self.random.choice(["all", "udp"]),
            "sourceIpAddress": self.random.choice(["all", "10.1.0.0/16"]),
            "destinationIpAddress": "all",
            "sourcePort": "all",
            "destinationPort": self.random.choice(["all", "7000-7010"]),
        }
        self.plane.client(AclClient).create_acl([entry])

    def remove_acl(self) -> None:
        acls = self.plane.client(AclClient)
        subnet = self.random.choice(self.subnets[self.random.choice(self.vpcs)])
        acls.delete_acl(self.random.choice(acls.list_subnet_acl(subnet).acl_rules).id)

    def switch_relay(self) -> None:
        vpcs = self.plane.client(VpcClient)
        self.random.choice([vpcs.open_relay, vpcs.shutdown_relay])(self.random.choice(self.vpcs))

    def add_peering(self) -> None:
        first, second = self.random.sample(self.vpcs, 2)
        name = self.random.choice(["", "slow"])
        self.peerings.append((self.plane.a_peering(first, second, name), first, second))

    def remove_peering(self) -> None:
        chosen = self.random.choice(self.peerings)
        self.plane.client(PeerConnClient).delete_peerconn(chosen[0])
        self.peerings.remove(chosen)

    def share_address(self) -> None:
        vpc, instance = self.random.choice(self.instances)
        havips = self.plane.client(HavipClient)
        subnet = self.plane.client(BccClient).get_instance(instance).instance.subnet_id
        havip: str = havips.create_havip("shared", subnet, "", "").ha_vip_id
        self.havips.append((vpc, havip))
        havips.havip_attach_instance([instance], "SERVER", havip)

    def fail(self) -> None:
        down = self.random.choice([[], ["cn-bj-a"], ["cn-bj-b"], [peering for peering, *_ in self.peerings]])
        self.plane.admin("PUT", settings={"down": down})


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_changes_end_where_a_new_beginning_does(start: Callable[..., DataPlane], seed: int) -> None:
    plane = start("--peering-delay", "slow=1ms")
    somebody = _Somebody(plane, Random(seed))
    somebody.begin()
    for step in range(STEPS):
        somebody.step()
        if step % 3 == 0:
            plane.settle()
    plane.settle()
    assert somebody.refused < STEPS * 0.8
    changed = _shown(plane)
    plane.stop(signal.SIGKILL)
    plane.start()
    plane.settle()
    begun = _shown(plane)
    assert changed.keys() == begun.keys()
    for key in changed:
        assert changed[key] == begun[key], key
