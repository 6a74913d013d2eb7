"""Private DNS zones and records through the official SDK."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Any
from uuid import uuid4

from baidubce.services.localdns.ld_client import LdClient
from baidubce.services.vpc.vpc_client import VpcClient
from cloud_helpers import a_vpc
from cloud_under_test import Cloud, refusal


def a_zone(cloud: Cloud, later: ExitStack) -> str:
    """A zone of a new name, that is deleted after the test."""
    dns = cloud.client(LdClient)
    zone_id: str = dns.create_private_zone({"zoneName": f"{uuid4().hex}.example"}).zone_id
    later.callback(dns.delete_private_zone, zone_id)
    return zone_id


def record(**changed: Any) -> dict[str, Any]:
    return {"rr": "relay", "value": "10.0.1.10", "type": "A", "ttl": 60, **changed}


def test_a_zone_from_its_making_to_its_end(cloud: Cloud) -> None:
    dns, name = cloud.client(LdClient), f"{uuid4().hex}.example"
    zone_id = dns.create_private_zone({"zoneName": name}).zone_id
    zone = dns.get_private_zone(zone_id)
    assert (zone.zone_id, zone.zone_name, zone.record_count, zone.bind_vpcs) == (zone_id, name, 0, [])
    assert name in [one.zone_name for one in dns.list_private_zone().zones]
    assert refusal(dns.create_private_zone, {"zoneName": name})[0] == 409
    dns.delete_private_zone(zone_id)
    assert name not in [one.zone_name for one in dns.list_private_zone().zones]
    assert refusal(dns.get_private_zone, zone_id)[0] == 404
    assert refusal(dns.create_private_zone, {"zoneName": "no domain"})[0] == 400


def test_a_zone_is_made_once_with_a_token(cloud: Cloud, later: ExitStack) -> None:
    dns, name, token = cloud.client(LdClient), f"{uuid4().hex}.example", str(uuid4())
    first = dns.create_private_zone({"zoneName": name}, client_token=token).zone_id
    later.callback(dns.delete_private_zone, first)
    assert dns.create_private_zone({"zoneName": name}, client_token=token).zone_id == first


def test_vpcs_of_a_zone(cloud: Cloud, later: ExitStack) -> None:
    """The zone has no region; its VPCs have."""
    dns, here, there = cloud.client(LdClient), a_vpc(cloud, later), a_vpc(cloud, later, "10.1.0.0/16", "gz")
    zone_id = a_zone(cloud, later)
    dns.bind_vpc(zone_id, {"region": "bj", "vpcIds": [here]})
    dns.bind_vpc(zone_id, {"region": "gz", "vpcIds": [there]})
    bound = {(one.vpc_id, one.vpc_region) for one in dns.get_private_zone(zone_id).bind_vpcs}
    assert bound == {(here, "bj"), (there, "gz")}
    assert refusal(dns.bind_vpc, zone_id, {"region": "gz", "vpcIds": [here]})[0] == 404
    assert refusal(dns.delete_private_zone, zone_id)[0] == 409
    assert refusal(cloud.client(VpcClient).delete_vpc, here)[0] == 409
    dns.unbind_vpc(zone_id, {"region": "bj", "vpcIds": [here]})
    assert [one.vpc_id for one in dns.get_private_zone(zone_id).bind_vpcs] == [there]
    assert refusal(dns.unbind_vpc, zone_id, {"region": "bj", "vpcIds": [here]})[0] == 404
    dns.unbind_vpc(zone_id, {"region": "gz", "vpcIds": [there]})


def test_records_come_and_go(cloud: Cloud, later: ExitStack) -> None:
    dns, zone_id = cloud.client(LdClient), a_zone(cloud, later)
    record_id = dns.add_record(zone_id, record(description="of the lab")).record_id
    [found] = dns.list_record(zone_id).records
    assert (found.record_id, found.rr, found.value, found.type, found.ttl) == (record_id, "relay", "10.0.1.10", "A", 60)
    assert found.status == "enable"
    assert dns.get_private_zone(zone_id).record_count == 1
    other = dns.add_record(zone_id, record(rr="*", type="CNAME", value="relay.example")).record_id
    assert [one.record_id for one in dns.list_record(zone_id, rr="*").records] == [other]
    dns.update_record(record_id, record(value="10.0.1.11", ttl=300))
    [found] = dns.list_record(zone_id, rr="relay").records
    assert (found.value, found.ttl) == ("10.0.1.11", 300)
    dns.disable_record(record_id)
    assert dns.list_record(zone_id, rr="relay").records[0].status == "pause"
    dns.enable_record(record_id)
    assert dns.list_record(zone_id, rr="relay").records[0].status == "enable"
    dns.delete_record(record_id)
    assert [one.record_id for one in dns.list_record(zone_id).records] == [other]
    assert refusal(dns.delete_record, record_id)[0] == 404


def test_pages_of_records(cloud: Cloud, later: ExitStack) -> None:
    dns, zone_id = cloud.client(LdClient), a_zone(cloud, later)
    made = [dns.add_record(zone_id, record(rr=f"relay-{number}")).record_id for number in range(3)]
    whole = dns.list_record(zone_id, max_keys=3)
    assert (len(whole.records), whole.is_truncated) == (3, False)
    first = dns.list_record(zone_id, max_keys=2)
    assert first.is_truncated
    second = dns.list_record(zone_id, max_keys=2, marker=first.next_marker)
    assert not second.is_truncated
    assert sorted(one.record_id for page in (first, second) for one in page.records) == sorted(made)


def test_an_aaaa_record_has_an_ipv6_address(cloud: Cloud, later: ExitStack) -> None:
    dns, zone_id = cloud.client(LdClient), a_zone(cloud, later)
    assert refusal(dns.add_record, zone_id, record(type="AAAA", value="10.0.0.1"))[0] == 400
    dns.add_record(zone_id, record(type="AAAA", value="2001:db8::1"))
    assert [one.value for one in dns.list_record(zone_id).records] == ["2001:db8::1"]


def test_records_are_searched_for(cloud: Cloud, later: ExitStack) -> None:
    """[SDK] Names match exactly unless LIKE is said, values always in part."""
    dns, zone_id = cloud.client(LdClient), a_zone(cloud, later)
    for rr, value in (("relay", "10.0.0.1"), ("relay-2", "10.0.0.2"), ("feed", "10.0.1.1")):
        dns.add_record(zone_id, record(rr=rr, value=value))

    def names(**wanted: str) -> list[str]:
        return [one.rr for one in dns.list_record(zone_id, **wanted).records]

    assert names(rr="relay") == names(rr="relay", search_mode="EXACT") == ["relay"]
    assert names(rr="relay", search_mode="LIKE") == ["relay", "relay-2"]
    assert names(value="10.0.0.") == ["relay", "relay-2"]
    assert names(rr="relay", value="0.2", search_mode="LIKE") == ["relay-2"]
    assert names(type_="CNAME") == []
    page = dns.list_record(zone_id, value="10.0.0.", max_keys=1)
    assert ([one.rr for one in page.records], page.is_truncated) == (["relay"], True)


def test_what_a_record_cannot_be(cloud: Cloud, later: ExitStack) -> None:
    dns, zone_id = cloud.client(LdClient), a_zone(cloud, later)
    dns.add_record(zone_id, record())
    make = partial(dns.add_record, zone_id)
    assert refusal(make, record())[0] == 409
    for wrong in (
        {"type": "ELEPHANT"},
        {"value": "elephant"},
        {"ttl": 0},
        {"rr": "-"},
        {"rr": "www\n"},
        {"rr": ""},
        {"value": None},
    ):
        assert refusal(make, record(**{"rr": "other", **wrong}))[0] == 400, wrong
    assert refusal(dns.add_record, "zone-nothing", record())[0] == 404
    assert len(dns.list_record(zone_id).records) == 1
