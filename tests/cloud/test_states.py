"""Asynchronous states, with a delay so long that none can be missed: what is seen on the way, and what is refused then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from baidubce.services.bcc.bcc_client import BccClient
from baidubce.services.blb.blb_client import BlbClient
from baidubce.services.eip.eip_client import EipClient
from baidubce.services.et.et_client import EtClient
from baidubce.services.etGateway.et_gateway_client import EtGatewayClient
from baidubce.services.havip.havip_client import HavipClient
from baidubce.services.route.route_client import RouteClient
from baidubce.services.vpc.nat_client import NatClient
from baidubce.services.vpc.peerconn_client import PeerConnClient
from baidubce.services.vpc.vpc_client import VpcClient
from cloud_helpers import SPEC, a_line, a_subnet, a_vpc, eip_status
from cloud_under_test import Cloud, Emulator, refusal

DELAY_S = 2


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Emulator]:
    emulator = Emulator(tmp_path / "state", "--async-delay", str(DELAY_S), regions=("bj",))
    yield emulator
    assert emulator.stop() == 0


def together(cloud: Cloud, reads: dict[str, Callable[[], str]], wanted: dict[str, str]) -> dict[str, list[str]]:
    """Read several states until all are what is wanted; what was seen of each, in order."""
    seen = cloud.eventually(lambda: {name: read() for name, read in reads.items()}, wanted)
    return {name: list(dict.fromkeys(one[name] for one in seen)) for name in reads}


def test_every_state_on_the_way_is_seen(slow: Emulator) -> None:
    with ExitStack() as kept:
        first, second = a_vpc(slow, kept), a_vpc(slow, kept, "10.1.0.0/16")
        subnet_id = a_subnet(slow, kept, first)
        kept.pop_all()  # the whole state goes with the test
    address = slow.client(EipClient).create_eip(1).eip
    peerings, nats, lines = slow.client(PeerConnClient), slow.client(NatClient), slow.client(EtClient)
    bcc, blbs, gateways = slow.client(BccClient), slow.client(BlbClient), slow.client(EtGatewayClient)
    peering_id = peerings.create_peerconn(10, first, second, "bj").peer_conn_id
    nat_id, line_id = nats.create_nat("nat", first, spec="small").nat_id, a_line(slow)
    [instance_id] = bcc.create_instance_by_spec(SPEC, "m-any", subnet_id=subnet_id).instance_ids
    blb_id = blbs.create_loadbalancer(first, subnet_id).blb_id
    gateway_id = gateways.create_et_gateway("gateway", first, 10).et_gateway_id
    on_the_way = {
        "eip": ["creating", "available"],
        "peering": ["creating", "active"],
        "nat": ["building", "unconfigured"],
        "line": ["ack-wait", "accept", "building", "established"],
        "instance": ["Starting", "Running"],
        "blb": ["creating", "available"],
        "gateway": ["building", "unconfigured"],
    }
    reads: dict[str, Callable[[], str]] = {
        "eip": lambda: eip_status(slow, address),
        "peering": lambda: str(peerings.get_peerconn(peering_id).status),
        "nat": lambda: str(nats.get_nat(nat_id).status),
        "line": lambda: str(lines.list_et_dcphy_detail(line_id).status),
        "instance": lambda: str(bcc.get_instance(instance_id).instance.status),
        "blb": lambda: str(blbs.describe_loadbalancer_detail(blb_id).status),
        "gateway": lambda: str(gateways.get_et_gateway(gateway_id).status),
    }
    assert refusal(peerings.open_peerconn_dns_sync, peering_id, "initiator") == (409, "OperationDenied")
    assert refusal(peerings.resize_peerconn, peering_id, 20) == (409, "OperationDenied")
    assert refusal(nats.bind_eip, nat_id, [address]) == (409, "OperationDenied")
    assert refusal(blbs.create_tcp_listener, blb_id, 80, 80, "Hash") == (409, "LastOperationNotFinished")
    assert refusal(bcc.release_instance, instance_id) == (409, "OperationDenied")
    assert refusal(gateways.delete_et_gateway, gateway_id) == (409, "OperationDenied")
    assert together(slow, reads, {name: states[-1] for name, states in on_the_way.items()}) == on_the_way

    blbs.create_tcp_listener(blb_id, 80, 80, "Hash")
    assert refusal(blbs.create_tcp_listener, blb_id, 81, 80, "Hash") == (409, "LastOperationNotFinished")
    peerings.open_peerconn_dns_sync(peering_id, "initiator")
    assert refusal(peerings.close_peerconn_dns_sync, peering_id, "initiator") == (409, "OperationDenied")
    nats.bind_eip(nat_id, [address])
    bcc.stop_instance(instance_id)
    gateways.delete_et_gateway(gateway_id)
    reads["dns"] = lambda: str(peerings.get_peerconn(peering_id).dns_status)
    changing = ("updating", "configuring", "binding", "Stopping", "deleting", "syncing")
    assert tuple(reads[name]() for name in ("blb", "nat", "eip", "instance", "gateway", "dns")) == changing
    assert refusal(slow.client(VpcClient).delete_vpc, first) == (409, "NotAllowDeleteVpc")


def test_nothing_begins_to_need_what_is_being_deleted(slow: Emulator) -> None:
    """Nobody would look again: what leads there would lead nowhere for good."""
    with ExitStack() as kept:
        first, second = a_vpc(slow, kept), a_vpc(slow, kept, "10.1.0.0/16")
        subnet_id = a_subnet(slow, kept, first)
        kept.pop_all()  # the whole state goes with the test
    peerings, nats, routes = slow.client(PeerConnClient), slow.client(NatClient), slow.client(RouteClient)
    bcc, blbs, eips, havips = (slow.client(one) for one in (BccClient, BlbClient, EipClient, HavipClient))
    address, havip_id = eips.create_eip(1).eip, havips.create_havip("shared", subnet_id, "", "").ha_vip_id
    peering_id = peerings.create_peerconn(10, first, second, "bj").peer_conn_id
    nat_id = nats.create_nat("nat", first, spec="small").nat_id
    [instance_id] = bcc.create_instance_by_spec(SPEC, "m-any", subnet_id=subnet_id).instance_ids
    blb_id = blbs.create_loadbalancer(first, subnet_id).blb_id
    reads: dict[str, Callable[[], str]] = {
        "peering": lambda: str(peerings.get_peerconn(peering_id).status),
        "nat": lambda: str(nats.get_nat(nat_id).status),
        "instance": lambda: str(bcc.get_instance(instance_id).instance.status),
        "blb": lambda: str(blbs.describe_loadbalancer_detail(blb_id).status),
        "eip": lambda: eip_status(slow, address),
    }
    settled = {
        "peering": "active",
        "nat": "unconfigured",
        "instance": "Running",
        "blb": "available",
        "eip": "available",
    }
    together(slow, reads, settled)
    peerings.delete_peerconn(peering_id)
    nats.delete_nat(nat_id)
    bcc.release_instance(instance_id)
    table = routes.get_route(vpc_id=first).route_table_id
    denied = (409, "OperationDenied")
    for kind, hop in (("peerConn", peering_id), ("nat", nat_id), ("custom", instance_id)):
        assert refusal(routes.create_route, table, "0.0.0.0/0", "10.9.0.0/16", kind, "", hop) == denied
    assert refusal(eips.bind_eip, address, "BCC", instance_id) == denied
    assert refusal(havips.havip_attach_instance, [instance_id], "SERVER", havip_id) == denied
    assert refusal(blbs.add_backend_servers, blb_id, [{"instanceId": instance_id, "weight": 1}]) == denied
