"""Security groups and access lists through the official SDK."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Any

from baidubce.services.bcc.bcc_client import BccClient
from baidubce.services.bcc.bcc_model import SecurityGroupRuleModel
from baidubce.services.vpc.acl_client import AclClient
from cloud_helpers import a_group, a_subnet, a_vpc
from cloud_under_test import Cloud, Emulator, refusal

Rule = partial(SecurityGroupRuleModel, ethertype="IPv4")


def rules_of(cloud: Cloud, group_id: str) -> list[Any]:
    found: list[Any] = cloud.client(BccClient).get_security_group_detail(group_id).rules
    return found


def test_a_group_from_its_making_to_its_end(cloud: Cloud, later: ExitStack) -> None:
    bcc, vpc_id = cloud.client(BccClient), a_vpc(cloud, later)
    feed = Rule(direction="ingress", protocol="udp", portRange="14310-14320", sourceIp="10.0.0.0/16", remark="feed")
    group_id = bcc.create_security_group("lab", [feed], vpc_id=vpc_id, desc="of the lab").security_group_id
    group = bcc.get_security_group_detail(group_id)
    assert (group.id, group.name, group.desc, group.vpc_id) == (group_id, "lab", "of the lab", vpc_id)
    [rule] = group.rules
    assert (rule.direction, rule.ethertype, rule.protocol) == ("ingress", "IPv4", "udp")
    assert (rule.port_range, rule.source_ip, rule.remark) == ("14310-14320", "10.0.0.0/16", "feed")
    assert rule.security_group_rule_id
    assert group_id in [one.id for one in bcc.list_security_groups(vpc_id=vpc_id).security_groups]
    bcc.delete_security_group(group_id)
    assert group_id not in [one.id for one in bcc.list_security_groups(vpc_id=vpc_id).security_groups]
    assert refusal(bcc.get_security_group_detail, group_id)[0] == 404
    assert refusal(bcc.delete_security_group, group_id)[0] == 404


def test_rules_come_and_go(cloud: Cloud, later: ExitStack) -> None:
    bcc = cloud.client(BccClient)
    group_id = a_group(cloud, later, a_vpc(cloud, later))
    ssh = Rule(direction="ingress", protocol="tcp", portRange="22", sourceIp="192.0.2.0/24")
    out = Rule(direction="egress", protocol="tcp", portRange="443", destIp="0.0.0.0/0")
    bcc.authorize_security_group_rule(group_id, ssh)
    bcc.authorize_security_group_rule(group_id, out)
    assert [(rule.direction, rule.port_range) for rule in rules_of(cloud, group_id)] == [
        ("ingress", "22"),
        ("egress", "443"),
    ]
    assert refusal(bcc.authorize_security_group_rule, group_id, ssh)[0] == 409
    noted = Rule(direction="ingress", protocol="tcp", portRange="22", sourceIp="192.0.2.0/24", remark="the same")
    bcc.authorize_security_group_rule(group_id, noted)
    bcc.revoke_security_group_rule(group_id, noted)
    assert refusal(bcc.revoke_security_group_rule, group_id, noted)[0] == 404
    first = rules_of(cloud, group_id)[0].security_group_rule_id
    bcc.update_security_group_rule(first, remark="bastion", source_ip="192.0.2.1/32")
    [rule] = [one for one in rules_of(cloud, group_id) if one.security_group_rule_id == first]
    assert (rule.remark, rule.source_ip, rule.port_range) == ("bastion", "192.0.2.1/32", "22")
    bcc.revoke_security_group_rule(group_id, out)
    assert [one.security_group_rule_id for one in rules_of(cloud, group_id)] == [first]
    assert refusal(bcc.revoke_security_group_rule, group_id, out)[0] == 404
    bcc.delete_security_group_rule(first)
    assert rules_of(cloud, group_id) == []


def test_what_a_rule_cannot_be(cloud: Cloud, later: ExitStack) -> None:
    bcc = cloud.client(BccClient)
    group_id = a_group(cloud, later, a_vpc(cloud, later))
    for code, wrong in (
        (None, Rule(direction="sideways")),
        (None, Rule(protocol="tcp")),
        ("BadRequest", Rule(direction="ingress", protocol="sctp")),
        ("SecurityGroup.RulePortOrderInvalid", Rule(direction="ingress", protocol="tcp", portRange="90-80")),
        ("SecurityGroup.RulePortRangeInvalid", Rule(direction="ingress", protocol="tcp", portRange="70000")),
        ("SecurityGroup.RulePortInvalid", Rule(direction="ingress", protocol="tcp", portRange="ssh")),
        ("SecurityGroup.RuleCIDRAddressError", Rule(direction="ingress", protocol="tcp", sourceIp="elephant")),
        ("SecurityGroup.RuleCIDRAddressError", Rule(direction="ingress", sourceIp="10.0.0.0/255.0.0.0")),
    ):
        status, answered = refusal(bcc.authorize_security_group_rule, group_id, wrong)
        assert status == 400
        assert code in (None, answered)
    assert rules_of(cloud, group_id) == []


def test_every_vpc_has_a_group_of_its_own(cloud: Cloud, later: ExitStack) -> None:
    bcc, vpc_id = cloud.client(BccClient), a_vpc(cloud, later)
    [group] = bcc.list_security_groups(vpc_id=vpc_id).security_groups
    assert refusal(bcc.delete_security_group, group.id)[0] == 409


def test_a_group_that_another_one_names_stays(shared_emulator: Cloud, later: ExitStack) -> None:
    cloud, bcc = shared_emulator, shared_emulator.client(BccClient)
    vpc_id = a_vpc(cloud, later)
    named = a_group(cloud, later, vpc_id)
    a_group(cloud, later, vpc_id, Rule(direction="ingress", protocol="tcp", sourceGroupId=named))
    assert refusal(bcc.delete_security_group, named) == (409, "SECURITYGROUP_INUSE")


def test_quotas_of_groups_and_rules(start: Any) -> None:
    emulator: Emulator = start(
        "--quota", "security-group=2", "--quota", "security-group-rule=1", "--quota", "acl-rule=1"
    )
    with ExitStack() as later:
        bcc, acls = emulator.client(BccClient), emulator.client(AclClient)
        vpc_id = a_vpc(emulator, later)
        ssh = Rule(direction="ingress", protocol="tcp", portRange="22")
        group_id = a_group(emulator, later, vpc_id, ssh)
        other = Rule(direction="ingress", protocol="tcp", portRange="23")
        assert refusal(bcc.authorize_security_group_rule, group_id, other) == (413, "LimitExceeded")
        assert refusal(bcc.create_security_group, "x", [], vpc_id=vpc_id) == (413, "LimitExceeded")
        subnet_id = a_subnet(emulator, later, vpc_id)
        two = [acl_rule(subnet_id, position=number) for number in (1, 2)]
        assert refusal(acls.create_acl, two) == (413, "LimitExceeded")
        assert acls.list_subnet_acl(subnet_id).acl_rules == []


def acl_rule(subnet_id: str, **changed: Any) -> dict[str, Any]:
    return {
        "subnetId": subnet_id,
        "description": "feed",
        "protocol": "udp",
        "sourceIpAddress": "10.0.0.0/16",
        "destinationIpAddress": "10.0.1.0/24",
        "sourcePort": "all",
        "destinationPort": "14310-14320",
        "position": 10,
        "direction": "ingress",
        "action": "allow",
        **changed,
    }


def test_acl_rules_come_and_go(cloud: Cloud, later: ExitStack) -> None:
    acls, vpc_id = cloud.client(AclClient), a_vpc(cloud, later)
    subnet_id = a_subnet(cloud, later, vpc_id)
    acls.create_acl([acl_rule(subnet_id), acl_rule(subnet_id, position=11, action="deny", protocol="tcp")])
    rules = {rule.position: rule for rule in acls.list_subnet_acl(subnet_id).acl_rules}
    rule = rules[10]
    assert (rule.subnet_id, rule.protocol, rule.direction, rule.action) == (subnet_id, "udp", "ingress", "allow")
    assert (rule.source_ip_address, rule.destination_ip_address) == ("10.0.0.0/16", "10.0.1.0/24")
    assert (rule.source_port, rule.destination_port, rule.description) == ("all", "14310-14320", "feed")
    entries = {entry.subnet_id: entry for entry in acls.list_acl_entrys(vpc_id).acl_entrys}
    assert {one.id for one in entries[subnet_id].acl_rules} >= {one.id for one in rules.values()}
    acls.update_acl(rule.id, action="deny", position=12)
    [rule] = [one for one in acls.list_subnet_acl(subnet_id).acl_rules if one.id == rule.id]
    assert (rule.action, rule.position, rule.protocol) == ("deny", 12, "udp")
    acls.delete_acl(rule.id)
    assert rule.id not in [one.id for one in acls.list_subnet_acl(subnet_id).acl_rules]
    assert refusal(acls.delete_acl, rule.id)[0] == 404


def test_what_an_acl_rule_cannot_be(cloud: Cloud, later: ExitStack) -> None:
    acls, subnet_id = cloud.client(AclClient), a_subnet(cloud, later, a_vpc(cloud, later))
    acls.create_acl([acl_rule(subnet_id)])
    before = len(acls.list_subnet_acl(subnet_id).acl_rules)
    mistakes: list[dict[str, Any]] = [
        {"position": 0},
        {"position": 5001},
        {"protocol": "sctp"},
        {"direction": "sideways"},
        {"action": "maybe"},
        {"sourceIpAddress": "elephant"},
        {"sourceIpAddress": "10.0.0.0/255.255.0.0"},
        {"sourceIpAddress": "10.0.0.0/016"},
        {"destinationPort": "90-80"},
        {"destinationPort": "80\n"},
        {"destinationPort": "\uff18\uff10"},
        {"position": "11"},
    ]
    for wrong in mistakes:
        rule = acl_rule(subnet_id, **{"position": 11, **wrong})
        assert refusal(acls.create_acl, [acl_rule(subnet_id, position=20), rule])[0] == 400, wrong
    assert refusal(acls.create_acl, [acl_rule(subnet_id)])[0] == 409
    assert refusal(acls.create_acl, [acl_rule("sbn-nothing")])[0] == 404
    assert refusal(acls.create_acl, [])[0] == 400
    assert len(acls.list_subnet_acl(subnet_id).acl_rules) == before
