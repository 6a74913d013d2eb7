"""Elastic addresses, NAT gateways and their rules through the real engine against the emulated cloud."""

from __future__ import annotations

import pulumi
from baidubce.services.eip.eip_client import EipClient
from baidubce.services.vpc.nat_client import NatClient
from emulated_cloud import EmulatedCloud
from engine_runs import Runs

from lanecast_infra.baiducloud import DnatRule, Eip, NatGateway, SnatRule, Vpc


def bridge(second: bool = False, private_port: int = 8443, bandwidth: int = 10) -> None:
    vpc = Vpc("core", cidr="10.16.0.0/16")
    out = Eip("out", bandwidth_in_mbps=bandwidth)
    more = Eip("more", bandwidth_in_mbps=10)
    into = Eip("into", bandwidth_in_mbps=10)
    wanted = [out.id, more.id] if second else [out.id]
    nat = NatGateway("exit", vpc_id=vpc.id, spec="small", eips=wanted, dnat_eips=[into.id])
    SnatRule("apps", nat_id=nat.id, source_cidr="10.16.1.0/24", public_ip_addresses=[out.id])
    DnatRule(
        "web",
        nat_id=nat.id,
        public_ip_address=into.id,
        private_ip_address="10.16.1.5",
        protocol="TCP",
        public_port=443,
        private_port=private_port,
    )
    pulumi.export("nat", nat.id)
    pulumi.export("status", nat.status)
    pulumi.export("eips", nat.eips)
    pulumi.export("more", more.id)


def test_a_nat_gateway_with_its_rules(runs: Runs, cloud: EmulatedCloud) -> None:
    made = runs.up(bridge)
    nat = made.outputs["nat"]
    assert made.outputs["status"] == "active"
    (snat,) = cloud.ask(NatClient, "list_snat_rule", nat_id=nat)["rules"]
    assert (snat["sourceCIDR"], snat["publicIpsAddress"]) == ("10.16.1.0/24", made.outputs["eips"])
    (dnat,) = cloud.ask(NatClient, "list_dnat_rule", nat_id=nat)["rules"]
    assert (dnat["publicPort"], dnat["privatePort"], dnat["protocol"]) == (443, 8443, "TCP")
    assert runs.up(bridge).steps == {}

    changed = runs.up(lambda: bridge(second=True, private_port=9443, bandwidth=20))
    assert changed.steps == {"out": "update", "exit": "update", "web": "update"}
    live = cloud.ask(NatClient, "get_nat", nat_id=nat)
    assert made.outputs["more"] in live["eips"]
    assert cloud.ask(NatClient, "list_dnat_rule", nat_id=nat)["rules"][0]["privatePort"] == 9443
    assert runs.up(bridge).steps == {"out": "update", "exit": "update", "web": "update"}
    assert cloud.ask(NatClient, "get_nat", nat_id=nat)["eips"] == made.outputs["eips"]

    cloud.ask(NatClient, "delete_snat_rule", nat_id=nat, snat_rule_id=snat["ruleId"])
    runs.refresh(bridge)
    assert runs.up(bridge).steps == {"apps": "create"}
    runs.destroy(bridge)
    assert cloud.ask(NatClient, "list_nats")["nats"] == []
    assert cloud.ask(EipClient, "list_eips")["eipList"] == []


def test_lost_replies_bind_nothing_twice(runs: Runs, cloud: EmulatedCloud) -> None:
    runs.up(bridge)
    cloud.set_faults({"kind": "lost-reply", "method": "PUT", "path": "/v1/nat/*", "count": 2})
    made = runs.up(lambda: bridge(second=True))
    assert cloud.struck() == [1], "it was bound by the first request; a second one would have met the fault too"
    assert "looking whether it was done" in made.messages
    assert len(cloud.ask(NatClient, "get_nat", nat_id=made.outputs["nat"])["eips"]) == 2
    cloud.set_faults()
    runs.destroy(bridge)
