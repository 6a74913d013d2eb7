"""What a call changes in the description of the cloud's edges, and that it changes nothing else. Without root."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from baidubce.services.bcc.bcc_client import BccClient
from baidubce.services.blb.blb_client import BlbClient
from baidubce.services.eip.eip_client import EipClient
from baidubce.services.et.et_client import EtClient
from baidubce.services.etGateway.et_gateway_client import EtGatewayClient
from baidubce.services.subnet.subnet_client import SubnetClient
from baidubce.services.vpc.nat_client import NatClient
from baidubce.services.vpc.vpc_client import VpcClient
from cloud_under_test import Emulator

from lanecast_lab.cloud.data_plane.description import describe
from lanecast_lab.cloud.data_plane.model import Description, Node
from lanecast_lab.cloud.data_plane.snapshot import Reader, Surroundings

LINE = "dcphy-lab"
CIDR = "10.0.0.0/16"


class Cloud:
    """An emulated cloud without a data plane, a VPC with an instance, and the description of what would be there."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.vpc = emulator.client(VpcClient).create_vpc("vpc", CIDR).vpc_id
        subnets = emulator.client(SubnetClient)
        self.subnet, self.other = (
            subnets.create_subnet("subnet", "cn-bj-d", f"10.0.{number}.0/24", self.vpc).subnet_id for number in (1, 2)
        )
        self.one, self.two = (self.instance(subnet) for subnet in (self.subnet, self.other))

    def instance(self, subnet: str) -> str:
        """An instance."""
        make = self.emulator.client(BccClient).create_instance_by_spec
        made: str = make("bcc.g5.c2m8", "m-image", subnet_id=subnet).instance_ids[0]
        return made

    def described(self, *down: str) -> Description:
        """What has to be there now."""
        reader = Reader(self.emulator.state)
        try:
            snapshot = reader.read(time.time(), Surroundings(frozenset(down)))
        finally:
            reader.close()
        assert describe(snapshot) == describe(snapshot)
        return describe(snapshot)

    def changed(self, call: Callable[[], Any], *down: str) -> dict[str, set[str]]:
        """The nodes that a call changes, each with the fields of it; a node that comes or goes has none."""
        before = self.described()
        call()
        after = self.described(*down)
        found: dict[str, set[str]] = {}
        for key in before.nodes.keys() | after.nodes.keys():
            old, new = before.nodes.get(key), after.nodes.get(key)
            if old != new:
                found[key] = differences(old, new) if old and new else set()
        return found


def differences(old: Node, new: Node) -> set[str]:
    """The fields in which two states of a node differ."""
    return {field.name for field in fields(Node) if getattr(old, field.name) != getattr(new, field.name)}


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    emulator = Emulator(tmp_path / "state", "--async-delay", "0", "--physical-line", LINE)
    yield Cloud(emulator)
    assert emulator.stop() == 0


def test_a_rule_of_a_nat_gateway_is_its_own_matter(cloud: Cloud) -> None:
    eips, nats = cloud.emulator.client(EipClient), cloud.emulator.client(NatClient)
    address = eips.create_eip(1).eip
    nat = nats.create_nat("nat", cloud.vpc, cu_num=1, bind_eips=[address]).nat_id
    make = nats.create_dnat_rule
    first = cloud.changed(lambda: make(nat, address, "10.0.1.2", "TCP", public_port=80, private_port=8080))
    marks = cloud.described().nodes[nat].flow_marks
    second = cloud.changed(lambda: make(nat, address, "10.0.1.2", "TCP", public_port=81, private_port=8080))
    assert first == second == {nat: {"tables", "flow_marks"}}
    assert marks < cloud.described().nodes[nat].flow_marks, "flows of the first rule go on"


def test_an_elastic_address_of_an_instance(cloud: Cloud) -> None:
    eips = cloud.emulator.client(EipClient)
    first, second = (eips.create_eip(1).eip for _ in range(2))
    exchange = f"internet-{cloud.vpc}"
    bound = cloud.changed(lambda: eips.bind_eip(first, "BCC", cloud.one))
    assert bound == {
        exchange: set(),
        "internet-bj": {"interfaces", "routes"},
        cloud.vpc: {"interfaces", "routes", "rules"},
    }
    another = cloud.changed(lambda: eips.bind_eip(second, "BCC", cloud.two))
    assert another == {
        exchange: {"tables", "flow_marks"},
        "internet-bj": {"routes"},
        cloud.vpc: {"routes", "rules"},
    }


def test_what_a_balancer_is_told(cloud: Cloud) -> None:
    blbs = cloud.emulator.client(BlbClient)
    blb = blbs.create_loadbalancer(cloud.vpc, cloud.subnet).blb_id
    assert cloud.changed(lambda: blbs.create_tcp_listener(blb, 80, 8080, "RoundRobin")) == {blb: {"programs"}}
    near = cloud.changed(lambda: blbs.add_backend_servers(blb, [{"instanceId": cloud.one, "weight": 1}]))
    assert near == {blb: {"interfaces", "programs"}}, "in a subnet in which the balancer is already"
    far = cloud.changed(lambda: blbs.add_backend_servers(blb, [{"instanceId": cloud.two, "weight": 1}]))
    assert far == {blb: {"interfaces", "routes", "programs"}, cloud.other: {"interfaces", "tables"}}
    weight = cloud.changed(lambda: blbs.update_backend_servers(blb, [{"instanceId": cloud.two, "weight": 2}]))
    assert weight == {blb: {"programs"}}
    [program] = cloud.described().nodes[blb].programs
    assert program.reload, "it is told, not started anew"


def test_what_a_gateway_is_told(cloud: Cloud) -> None:
    lines, gateways = cloud.emulator.client(EtClient), cloud.emulator.client(EtGatewayClient)
    channel = lines.create_et_channel(
        LINE, "192.0.2.1/30", "up", "192.0.2.2/30", "bgp", 201, networks=[], bgp_asn="65101", bgp_key="s3cr3t"
    ).id
    assert [each.name for each in cloud.described().nodes[LINE].interfaces] == ["vlan201"], "a site can plug in"
    made: list[str] = []

    def make() -> None:
        found = gateways.create_et_gateway("up", cloud.vpc, 10, et_id=LINE, channel_id=channel, local_cidrs=[CIDR])
        made.append(found.et_gateway_id)

    came = cloud.changed(make)
    [gateway] = made
    assert came == {gateway: set(), cloud.vpc: {"interfaces"}, LINE: {"interfaces"}}
    files = {file.name: file for file in cloud.described().nodes[gateway].programs[0].files}
    assert ["s3cr3t" in file.text for file in files.values()] == [False, True, False]
    assert (files["frr.conf"].mode, files["gateway.json"].mode) == (0o600, 0o644)
    bfd = cloud.changed(lambda: lines.create_et_channel_bfd(LINE, channel, 3, 300, 300))
    other = cloud.changed(lambda: gateways.update_et_gateway(gateway, local_cidrs=["10.0.1.0/24"]))
    assert (bfd, other) == ({gateway: {"programs"}}, {gateway: {"programs", "routes"}})
    down = cloud.changed(lambda: None, gateway)
    assert down == {gateway: {"interfaces", "programs"}}, "routes of the VPC follow from the pulled cable"
