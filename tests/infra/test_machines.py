"""Machines, what guards them, what spreads load over them and names them, through the real engine."""

from __future__ import annotations

import pulumi
from baidubce.services.bcc.bcc_client import BccClient
from baidubce.services.blb.blb_client import BlbClient
from baidubce.services.localdns.ld_client import LdClient
from baidubce.services.vpc.acl_client import AclClient
from baidubce.services.vpc.vpc_client import VpcClient
from emulated_cloud import EmulatedCloud
from engine_runs import Runs

from lanecast_infra.baiducloud import (
    Instance,
    LoadBalancer,
    LoadBalancerBackend,
    LoadBalancerListener,
    NetworkAclRule,
    PrivateZone,
    Record,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    Vpc,
    get_image,
    get_zones,
)

USER_DATA = "#cloud-config\nwrite_files: [{path: /etc/secret, content: something that nobody else should read}]\n"


def guarded(port: str = "443", action: str = "deny", second: bool = False, address: str = "10.8.1.10") -> None:
    vpc = Vpc("hub", cidr="10.8.0.0/16")
    apps = Subnet("apps", vpc_id=vpc.id, cidr="10.8.1.0/24", zone_name=get_zones().names[0])
    group = SecurityGroup("feeds", vpc_id=vpc.id)
    other = SecurityGroup("other", vpc_id=vpc.id)
    SecurityGroupRule(
        "web", security_group_id=group.id, direction="ingress", protocol="tcp", port_range=port, source_ip="10.0.0.0/8"
    )
    SecurityGroupRule("out", security_group_id=group.id, direction="egress", dest_group_id=other.id)
    NetworkAclRule("telnet", subnet_id=apps.id, direction="ingress", position=10, action=action, protocol="tcp")
    instance = Instance(
        "quotes-1",
        spec="bcc.g5.c2m8",
        image_id=get_image(name="Debian").id,
        subnet_id=apps.id,
        internal_ip=address,
        user_data=USER_DATA,
        security_group_ids=[group.id, other.id] if second else [group.id],
        tags={"role": "subscriber"},
    )
    pulumi.export("vpc", vpc.id)
    pulumi.export("subnet", apps.id)
    pulumi.export("group", group.id)
    pulumi.export("instance", instance.id)
    pulumi.export("address", instance.internal_ip)


def test_a_machine_behind_a_security_group_and_an_access_list(runs: Runs, cloud: EmulatedCloud) -> None:
    made = runs.up(guarded)
    instance = cloud.ask(BccClient, "get_instance", instance_id=made.outputs["instance"])["instance"]
    assert (instance["status"], instance["internalIp"], instance["name"]) == ("Running", "10.8.1.10", "quotes-1")
    assert instance["nicInfo"]["securityGroups"] == [made.outputs["group"]]
    group = cloud.ask(BccClient, "get_security_group_detail", security_group_id=made.outputs["group"])
    assert sorted((one["direction"], one["protocol"], one["portRange"], one["sourceIp"]) for one in group["rules"]) == [
        ("egress", "", "", ""),
        ("ingress", "tcp", "443", "10.0.0.0/8"),
    ]
    assert not [path for path in runs.folder.rglob("*.json") if "nobody else" in path.read_text()]
    assert runs.up(guarded).steps == {}
    runs.refresh(guarded)
    assert runs.up(guarded).steps == {}

    changed = runs.up(lambda: guarded("80-90", "allow", second=True))
    assert changed.steps == {"web": "update", "telnet": "update", "quotes-1": "update"}
    (rule,) = cloud.ask(AclClient, "list_subnet_acl", subnet_id=made.outputs["subnet"])["aclRules"]
    assert (rule["action"], rule["position"], rule["protocol"]) == ("allow", 10, "tcp")

    moved = runs.up(lambda: guarded("80-90", "allow", second=True, address="10.8.1.11"))
    assert moved.outputs["instance"] != made.outputs["instance"]
    assert moved.outputs["address"] == "10.8.1.11"
    (rule,) = cloud.ask(AclClient, "list_subnet_acl", subnet_id=made.outputs["subnet"])["aclRules"]
    cloud.ask(AclClient, "delete_acl", acl_rule_id=rule["id"])
    runs.refresh(guarded)
    mended = runs.up(lambda: guarded("80-90", "allow", second=True, address="10.8.1.11"))
    assert mended.steps == {"telnet": "create"}
    runs.destroy(guarded)
    assert cloud.ask(VpcClient, "list_vpcs")["vpcs"] == []


def balanced(weight: int = 100, interval: int = 3, value: str = "10.8.1.20") -> None:
    vpc = Vpc("hub", cidr="10.8.0.0/16")
    apps = Subnet("apps", vpc_id=vpc.id, cidr="10.8.1.0/24", zone_name="cn-hkg-a")
    balancer = LoadBalancer("front", vpc_id=vpc.id, subnet_id=apps.id, address="10.8.1.20")
    for protocol, port in (("TCP", 443), ("UDP", 5000), ("HTTP", 80)):
        LoadBalancerListener(
            f"port-{port}",
            blb_id=balancer.id,
            protocol=protocol,
            listener_port=port,
            backend_port=port,
            health_check_interval=interval,
            health_check_string="ping" if protocol == "UDP" else None,
        )
    for index in (1, 2):
        instance = Instance(f"web-{index}", spec="bcc.g5.c2m8", image_id="m-1", subnet_id=apps.id)
        LoadBalancerBackend(f"behind-{index}", blb_id=balancer.id, instance_id=instance.id, weight=weight)
    zone = PrivateZone("lane.internal", zone_name="lane.internal", vpc_ids=[vpc.id])
    Record("front-name", zone_id=zone.id, rr="front", type="A", value=value, ttl=60)
    pulumi.export("vpc", vpc.id)
    pulumi.export("balancer", balancer.id)
    pulumi.export("zone", zone.id)


def test_a_load_balancer_queues_its_changes_and_has_a_name(runs: Runs, cloud: EmulatedCloud) -> None:
    made = runs.up(balanced)
    blb = made.outputs["balancer"]
    detail = cloud.ask(BlbClient, "describe_loadbalancer_detail", blb_id=blb)
    assert sorted((one["type"], one["port"]) for one in detail["listener"]) == [
        ("HTTP", "80"),
        ("TCP", "443"),
        ("UDP", "5000"),
    ]
    servers = cloud.ask(BlbClient, "describe_backend_servers", blb_id=blb)["backendServerList"]
    assert [one["weight"] for one in servers] == [100, 100]
    zone = cloud.ask(LdClient, "get_private_zone", zone_id=made.outputs["zone"])
    assert [one["vpcId"] for one in zone["bindVpcs"]] == [made.outputs["vpc"]]
    assert "waiting for what stands in the way: " in made.messages
    assert runs.up(balanced).steps == {}
    runs.refresh(balanced)
    assert runs.up(balanced).steps == {}

    changed = runs.up(lambda: balanced(50, 5, "10.8.1.21"))
    wanted = {"port-443", "port-5000", "port-80", "behind-1", "behind-2", "front-name"}
    assert changed.steps == dict.fromkeys(wanted, "update")
    servers = cloud.ask(BlbClient, "describe_backend_servers", blb_id=blb)["backendServerList"]
    assert [one["weight"] for one in servers] == [50, 50]
    (record,) = cloud.ask(LdClient, "list_record", zone_id=made.outputs["zone"])["records"]
    assert record["value"] == "10.8.1.21"
    runs.destroy(balanced)
    assert cloud.ask(VpcClient, "list_vpcs")["vpcs"] == []
    assert cloud.ask(LdClient, "list_private_zone")["zones"] == []
