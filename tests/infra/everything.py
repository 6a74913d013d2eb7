"""A program with one resource of every kind, and hands that change or remove each of them past Pulumi."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pulumi
from baidubce.services.bcc.bcc_client import BccClient
from baidubce.services.blb.blb_client import BlbClient
from baidubce.services.eip.eip_client import EipClient
from baidubce.services.et.et_client import EtClient
from baidubce.services.etGateway.et_gateway_client import EtGatewayClient
from baidubce.services.havip.havip_client import HavipClient
from baidubce.services.localdns.ld_client import LdClient
from baidubce.services.route.route_client import RouteClient
from baidubce.services.subnet.subnet_client import SubnetClient
from baidubce.services.vpc.acl_client import AclClient
from baidubce.services.vpc.nat_client import NatClient
from baidubce.services.vpc.peerconn_client import PeerConnClient
from baidubce.services.vpc.vpc_client import VpcClient
from emulated_cloud import EmulatedCloud

from lanecast_infra.baiducloud import (
    DedicatedLineChannel,
    DedicatedLineGateway,
    DnatRule,
    Eip,
    HaVip,
    Instance,
    LoadBalancer,
    LoadBalancerBackend,
    LoadBalancerListener,
    NatGateway,
    NetworkAclRule,
    PeerConnection,
    PrivateZone,
    Record,
    RouteRule,
    SecurityGroup,
    SecurityGroupRule,
    SnatRule,
    Subnet,
    Vpc,
)

Ids = Mapping[str, str]
"""The cloud's ids by the program's names."""

USER_DATA = "#cloud-config\nruncmd: []\n"


def order_line(cloud: EmulatedCloud) -> str:
    """A line of the account that is established; people order one, programs find it."""
    asked = {"name": "hk1", "isp": "ISP_OTHER", "intf_type": "10G", "ap_type": "SINGLE", "ap_addr": "HK"}
    person = {"user_name": "n", "user_phone": "1", "user_email": "n@example.net", "user_idc": "HK"}
    line = str(cloud.ask(EtClient, "create_et_dcphy", **asked, **person)["id"])
    call = cloud.call()

    def left_to_do() -> str | None:
        state = call.ask(EtClient, "list_et_dcphy_detail", et_id=line)["status"]
        return None if state == "established" else state

    call.until(left_to_do)
    return line


def everything(line: str, taken: Ids | None = None) -> None:
    """One of each. ``line`` is a physical line; ``taken`` are ids of what is there already and is imported."""

    def at(name: str) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(import_=taken[name] if taken else None)

    hub = Vpc(
        "Vpc", cidr="10.8.0.0/16", description="d", secondary_cidrs=["10.18.0.0/16"], tags={"a": "b"}, opts=at("Vpc")
    )
    far = Vpc("far", cidr="10.9.0.0/16", opts=at("far"))
    apps = Subnet("Subnet", vpc_id=hub.id, cidr="10.8.1.0/24", zone_name="cn-hkg-a", opts=at("Subnet"))
    peering = PeerConnection(
        "PeerConnection",
        bandwidth_in_mbps=100,
        local_vpc_id=hub.id,
        peer_vpc_id=far.id,
        peer_region="hkg",
        dns_sync=True,
        opts=at("PeerConnection"),
    )
    RouteRule(
        "RouteRule",
        route_table_id=hub.route_table_id,
        destination_address="10.9.0.0/16",
        nexthop_type="peerConn",
        nexthop_id=peering.local_if_id,
        opts=at("RouteRule"),
    )
    _guards(hub, apps, at)
    _translation(hub, at)
    _line(hub, line, at)
    _names(hub, at)


At = Callable[[str], pulumi.ResourceOptions]


def _guards(hub: Vpc, apps: Subnet, at: At) -> None:
    group = SecurityGroup("SecurityGroup", vpc_id=hub.id, opts=at("SecurityGroup"))
    SecurityGroupRule(
        "SecurityGroupRule",
        security_group_id=group.id,
        direction="ingress",
        protocol="tcp",
        port_range="443",
        source_ip="10.0.0.0/8",
        opts=at("SecurityGroupRule"),
    )
    NetworkAclRule(
        "NetworkAclRule",
        subnet_id=apps.id,
        direction="ingress",
        position=10,
        action="deny",
        protocol="tcp",
        opts=at("NetworkAclRule"),
    )
    machine = Instance(
        "Instance",
        spec="bcc.g5.c2m8",
        image_id="m-1",
        subnet_id=apps.id,
        internal_ip="10.8.1.10",
        user_data=USER_DATA,
        security_group_ids=[group.id],
        opts=at("Instance"),
    )
    HaVip(
        "HaVip",
        subnet_id=apps.id,
        private_ip_address="10.8.1.100",
        instance_ids=[machine.id],
        opts=at("HaVip"),
    )
    balancer = LoadBalancer(
        "LoadBalancer", vpc_id=hub.id, subnet_id=apps.id, address="10.8.1.20", opts=at("LoadBalancer")
    )
    LoadBalancerListener(
        "LoadBalancerListener",
        blb_id=balancer.id,
        protocol="TCP",
        listener_port=443,
        backend_port=8443,
        opts=at("LoadBalancerListener"),
    )
    LoadBalancerBackend(
        "LoadBalancerBackend", blb_id=balancer.id, instance_id=machine.id, opts=at("LoadBalancerBackend")
    )


def _translation(hub: Vpc, at: At) -> None:
    out = Eip("Eip", bandwidth_in_mbps=10, opts=at("Eip"))
    into = Eip("into", bandwidth_in_mbps=10, opts=at("into"))
    nat = NatGateway(
        "NatGateway", vpc_id=hub.id, spec="small", eips=[out.id], dnat_eips=[into.id], opts=at("NatGateway")
    )
    SnatRule(
        "SnatRule",
        nat_id=nat.id,
        source_cidr="10.8.1.0/24",
        public_ip_addresses=[out.id],
        opts=at("SnatRule"),
    )
    DnatRule(
        "DnatRule",
        nat_id=nat.id,
        public_ip_address=into.id,
        private_ip_address="10.8.1.5",
        protocol="TCP",
        public_port=443,
        private_port=8443,
        opts=at("DnatRule"),
    )


def _line(hub: Vpc, line: str, at: At) -> None:
    channel = DedicatedLineChannel(
        "DedicatedLineChannel",
        et_id=line,
        baidu_address="192.0.2.129/30",
        customer_address="192.0.2.130/30",
        vlan_id=201,
        route_type="bgp",
        bgp_asn="65001",
        opts=at("DedicatedLineChannel"),
    )
    DedicatedLineGateway(
        "DedicatedLineGateway",
        vpc_id=hub.id,
        speed=1000,
        et_id=line,
        channel_id=channel.channel_id,
        local_cidrs=["10.8.0.0/16"],
        opts=at("DedicatedLineGateway"),
    )


def _names(hub: Vpc, at: At) -> None:
    zone = PrivateZone("PrivateZone", zone_name="lane.internal", vpc_ids=[hub.id], opts=at("PrivateZone"))
    Record("Record", zone_id=zone.id, rr="front", type="A", value="10.8.1.20", ttl=60, opts=at("Record"))


def change_by_hand(cloud: EmulatedCloud, ids: Ids) -> dict[str, list[str]]:
    """Change something of every kind that the API can change; the properties that then differ."""
    part = {name: one.split("/")[-1] for name, one in ids.items()}
    ask = cloud.ask
    ask(VpcClient, "update_vpc", vpc_id=ids["Vpc"], name="by hand", description="by hand", secondaryCidr=[])
    ask(SubnetClient, "update_subnet", subnet_id=ids["Subnet"], name="by hand", description="by hand")
    rule = {"source_address": "0.0.0.0/0", "destination_address": "10.9.0.0/16", "description": "by hand"}
    ask(RouteClient, "update_route", route_rule_id=part["RouteRule"], **rule)
    ask(PeerConnClient, "resize_peerconn", peer_conn_id=ids["PeerConnection"], new_bandwidth_in_mbps=200)
    ask(EipClient, "resize_eip", eip=ids["into"], new_bandwidth_in_mbps=20)
    ask(NatClient, "update_nat", nat_id=ids["NatGateway"], name="by hand")
    snat = {"nat_id": ids["NatGateway"], "snat_rule_id": part["SnatRule"]}
    ask(NatClient, "update_snat_rule", **snat, rule_name="by hand")
    dnat = {"nat_id": ids["NatGateway"], "dnat_rule_id": part["DnatRule"]}
    ask(NatClient, "update_dnat_rule", **dnat, private_port=9443)
    channel = {"et_id": ids["DedicatedLineChannel"].split("/")[0], "et_channel_id": part["DedicatedLineChannel"]}
    ask(EtClient, "update_et_channel", **channel, name="by hand", description="by hand")
    ask(EtGatewayClient, "update_et_gateway", et_gateway_id=ids["DedicatedLineGateway"], name="by hand", speed=500)
    ask(
        BccClient,
        "update_security_group_rule",
        security_group_rule_id=part["SecurityGroupRule"],
        portrange="444",
        remark="by hand",
    )
    acl = {"protocol": "udp", "source_ip_address": "all", "destination_ip_address": "all", "position": 11}
    ports = {"source_port": "all", "destination_port": "all", "action": "allow", "description": "by hand"}
    ask(AclClient, "update_acl", acl_rule_id=part["NetworkAclRule"], **acl, **ports)
    ask(BccClient, "modify_instance_attributes", instance_id=ids["Instance"], name="by hand")
    ask(BccClient, "modify_instance_desc", instance_id=ids["Instance"], desc="by hand")
    bound = {"instance_ids": [ids["Instance"]], "instance_type": "SERVER", "havip_id": ids["HaVip"]}
    ask(HavipClient, "havip_detach_instance", **bound)
    ask(HavipClient, "update_havip", name="by hand", havip_id=ids["HaVip"], description="by hand")
    _change_balancer(cloud, ids)
    unbound = {"region": "hkg", "vpcIds": [ids["Vpc"]]}
    ask(LdClient, "unbind_vpc", zone_id=ids["PrivateZone"], unbind_vpc_request=unbound, client_token="")
    record = {"rr": "front", "value": "10.8.1.21", "type": "A", "ttl": 120}
    ask(LdClient, "update_record", record_id=part["Record"], update_record_request=record, client_token="")
    return {
        "Vpc": ["description", "name", "secondaryCidrs"],
        "Subnet": ["description", "name"],
        "RouteRule": ["description"],
        "PeerConnection": ["bandwidthInMbps"],
        "into": ["bandwidthInMbps"],
        "NatGateway": ["name"],
        "SnatRule": ["name"],
        "DnatRule": ["privatePort"],
        "DedicatedLineChannel": ["description", "name"],
        "DedicatedLineGateway": ["name", "speed"],
        "SecurityGroupRule": ["portRange", "remark"],
        "NetworkAclRule": ["action", "description", "position", "protocol"],
        "Instance": ["description", "name"],
        "HaVip": ["description", "instanceIds", "name"],
        "LoadBalancer": ["description", "name"],
        "LoadBalancerListener": ["backendPort"],
        "LoadBalancerBackend": ["weight"],
        "PrivateZone": ["vpcIds"],
        "Record": ["ttl", "value"],
    }


def _change_balancer(cloud: EmulatedCloud, ids: Ids) -> None:
    """One after the other: it takes one change at a time."""
    blb = ids["LoadBalancer"]

    def settled() -> str | None:
        state = cloud.ask(BlbClient, "describe_loadbalancer_detail", blb_id=blb)["status"]
        return None if state == "available" else f"it is {state}"

    servers: list[Any] = [{"instanceId": ids["Instance"], "weight": 50}]
    for method, what in (
        ("update_loadbalancer", {"name": "by hand", "desc": "by hand"}),
        ("update_tcp_listener", {"listener_port": 443, "backend_port": 9443}),
        ("update_backend_servers", {"backend_server_list": servers}),
    ):
        cloud.call().until(settled)
        cloud.ask(BlbClient, method, blb_id=blb, **what)
    cloud.call().until(settled)


def remove_by_hand(cloud: EmulatedCloud, ids: Ids) -> set[str]:
    """Remove what nothing else stands on; the names of what is gone."""
    part = {name: one.split("/")[-1] for name, one in ids.items()}
    blb, nat = ids["LoadBalancer"], ids["NatGateway"]
    bound = {"instance_ids": [ids["Instance"]], "instance_type": "SERVER", "havip_id": ids["HaVip"]}
    cloud.ask(HavipClient, "havip_detach_instance", **bound)
    gone: dict[str, tuple[Any, str, dict[str, Any]]] = {
        "RouteRule": (RouteClient, "delete_route", {"route_rule_id": part["RouteRule"]}),
        "SnatRule": (NatClient, "delete_snat_rule", {"nat_id": nat, "snat_rule_id": part["SnatRule"]}),
        "DnatRule": (NatClient, "delete_dnat_rule", {"nat_id": nat, "dnat_rule_id": part["DnatRule"]}),
        "SecurityGroupRule": (
            BccClient,
            "delete_security_group_rule",
            {"security_group_rule_id": part["SecurityGroupRule"]},
        ),
        "NetworkAclRule": (AclClient, "delete_acl", {"acl_rule_id": part["NetworkAclRule"]}),
        "HaVip": (HavipClient, "delete_havip", {"havip_id": ids["HaVip"]}),
        "LoadBalancer": (BlbClient, "delete_loadbalancer", {"blb_id": blb}),
        "DedicatedLineGateway": (EtGatewayClient, "delete_et_gateway", {"et_gateway_id": ids["DedicatedLineGateway"]}),
        "Record": (LdClient, "delete_record", {"record_id": part["Record"], "client_token": ""}),
    }
    for client, method, what in gone.values():
        cloud.ask(client, method, **what)
    return {*gone, "LoadBalancerListener", "LoadBalancerBackend"}
