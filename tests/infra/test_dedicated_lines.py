"""Channels of dedicated lines and their gateways through the real engine against the emulated cloud."""

from __future__ import annotations

import pulumi
import pytest
from baidubce.services.et.et_client import EtClient
from baidubce.services.etGateway.et_gateway_client import EtGatewayClient
from emulated_cloud import EmulatedCloud
from engine_runs import RunFailedError, Runs
from everything import order_line

from lanecast_infra.baiducloud import DedicatedLineChannel, DedicatedLineGateway, Vpc, get_physical_lines

KEY = "a-secret-of-the-two-routers"


def uplink(line: str = "", send_ms: int = 300, interval: int | None = 5, bound: bool = True) -> None:
    line = line or get_physical_lines().ids[0]
    vpc = Vpc("hub", cidr="10.8.0.0/16")
    channel = DedicatedLineChannel(
        "up1",
        et_id=line,
        baidu_address="192.0.2.129/30",
        customer_address="192.0.2.130/30",
        vlan_id=201,
        route_type="bgp",
        bgp_asn="65001",
        bgp_key=KEY,
        bfd_detect_multiplier=3,
        bfd_send_interval=send_ms,
        bfd_receive_interval=300,
    )
    gateway = DedicatedLineGateway(
        "gateway",
        vpc_id=vpc.id,
        speed=1000,
        et_id=line if bound else None,
        channel_id=channel.channel_id if bound else None,
        local_cidrs=["10.8.0.0/16", "10.16.0.0/16"] if bound else None,
        health_check_interval=interval,
        health_threshold=3 if interval else None,
        unhealth_threshold=3 if interval else None,
    )
    pulumi.export("channel", channel.channel_id)
    pulumi.export("bgp", channel.bgp_status)
    pulumi.export("gateway", gateway.id)


def test_an_uplink_with_bgp_bfd_and_a_health_check(runs: Runs, cloud: EmulatedCloud) -> None:
    line = order_line(cloud)
    made = runs.up(uplink)
    assert made.outputs["bgp"] == "up"
    (channel,) = cloud.ask(EtClient, "get_et_channel", et_id=line)["etChannels"]
    assert (channel["id"], channel["vlanId"], channel["bgpKey"]) == (made.outputs["channel"], 201, KEY)
    gateway = cloud.ask(EtGatewayClient, "get_et_gateway", et_gateway_id=made.outputs["gateway"])
    assert (gateway["status"], gateway["channelId"]) == ("running", channel["id"])
    assert (gateway["localCidrs"], gateway["healthCheckInterval"]) == (["10.8.0.0/16", "10.16.0.0/16"], 5)
    assert not [path for path in runs.folder.rglob("*.json") if KEY in path.read_text()]
    assert runs.up(uplink).steps == {}
    runs.refresh(uplink)
    assert runs.up(uplink).steps == {}

    changed = runs.up(lambda: uplink(send_ms=500, interval=10))
    assert changed.changes == {"up1": ["bfdSendInterval"], "gateway": ["healthCheckInterval"]}
    gateway = cloud.ask(EtGatewayClient, "get_et_gateway", et_gateway_id=made.outputs["gateway"])
    assert gateway["healthCheckInterval"] == 10

    assert runs.up(lambda: uplink(interval=None, bound=False)).steps["gateway"] == "update"
    gateway = cloud.ask(EtGatewayClient, "get_et_gateway", et_gateway_id=made.outputs["gateway"])
    assert (gateway["status"], gateway["channelId"]) == ("unconfigured", "")
    runs.destroy(uplink)
    assert cloud.ask(EtClient, "get_et_channel", et_id=line)["etChannels"] == []


def test_a_vlan_that_is_taken_is_told_and_the_channel_can_be_removed(runs: Runs, cloud: EmulatedCloud) -> None:
    line = order_line(cloud)
    taken = {"et_id": line, "local_ip": "192.0.2.1/30", "remote_ip": "192.0.2.2/30", "vlan_id": 201}
    cloud.ask(EtClient, "create_et_channel", **taken, name="other", route_type="bgp", bgp_asn="65002")
    with pytest.raises(RunFailedError, match='DedicatedLineChannel "up1" could not be finished: it is reject'):
        runs.up(lambda: uplink(line))
    assert runs.state(uplink)["up1"]["initErrors"]
    runs.destroy(lambda: uplink(line))
    assert len(cloud.ask(EtClient, "get_et_channel", et_id=line)["etChannels"]) == 1
