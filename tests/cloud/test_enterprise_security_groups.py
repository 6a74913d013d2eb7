"""Enterprise security groups through the official SDK."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Any
from uuid import uuid4

from baidubce.services.esg.esg_client import EsgClient
from baidubce.services.esg.esg_model import EnterpriseSecurityGroupRuleModel
from cloud_under_test import Cloud, Emulator, refusal

Rule = partial(EnterpriseSecurityGroupRuleModel, direction="ingress", ethertype="IPv4", action="allow", priority=10)


def group_of(cloud: Cloud, group_id: str) -> Any:
    """A group as the list shows it, or None."""
    found = cloud.client(EsgClient).list_enterprise_security_groups().enterprise_security_groups
    return next((group for group in found if group.id == group_id), None)


def a_group(cloud: Cloud, later: ExitStack, *rules: Any) -> str:
    """A group that is deleted after the test."""
    groups = cloud.client(EsgClient)
    name = "lab-" + uuid4().hex
    group_id: str = groups.create_enterprise_security_group(name, list(rules)).enterprise_security_group_id
    later.callback(groups.delete_enterprise_security_group, group_id)
    return group_id


def test_a_group_from_its_making_to_its_end(cloud: Cloud) -> None:
    groups, name = cloud.client(EsgClient), "lab-" + uuid4().hex
    feed = Rule(protocol="udp", portRange="14310-14320", sourceIp="10.0.0.0/16", remark="feed")
    made = groups.create_enterprise_security_group(name, [feed], desc="of the lab").enterprise_security_group_id
    group = group_of(cloud, made)
    assert (group.name, group.desc) == (name, "of the lab")
    [rule] = group.rules
    assert (rule.direction, rule.protocol, rule.port_range, rule.source_ip) == (
        "ingress",
        "udp",
        "14310-14320",
        "10.0.0.0/16",
    )
    assert (rule.action, rule.priority, rule.remark) == ("allow", 10, "feed")
    groups.delete_enterprise_security_group(made)
    assert group_of(cloud, made) is None
    assert refusal(groups.delete_enterprise_security_group, made) == (404, "Esg.EsgResourceNotExist")


def test_a_group_is_made_once_with_a_token(cloud: Cloud, later: ExitStack) -> None:
    groups, name, token = cloud.client(EsgClient), "lab-" + uuid4().hex, str(uuid4())
    make = partial(groups.create_enterprise_security_group, name, [], client_token=token)
    made = make().enterprise_security_group_id
    later.callback(groups.delete_enterprise_security_group, made)
    assert make().enterprise_security_group_id == made
    assert refusal(groups.create_enterprise_security_group, name, []) == (400, "Esg.EsgNameDuplicate")


def test_rules_come_and_go(cloud: Cloud, later: ExitStack) -> None:
    groups, group_id = cloud.client(EsgClient), a_group(cloud, later)
    ssh = Rule(protocol="tcp", portRange="22", sourceIp="192.0.2.0/24")
    groups.authorize_enterprise_security_group_rule(group_id, [ssh, Rule(protocol="icmp", action="deny")])
    first, second = group_of(cloud, group_id).rules
    assert (first.port_range, second.protocol, second.action) == ("22", "icmp", "deny")
    groups.update_enterprise_security_group_rule(
        first.enterprise_security_group_rule_id, portrange="2222", priority=5, action="deny", protocol="tcp"
    )
    [rule] = [one for one in group_of(cloud, group_id).rules if one.port_range == "2222"]
    assert (rule.priority, rule.action, rule.source_ip) == (5, "deny", "192.0.2.0/24")
    groups.delete_enterprise_security_group_rule(second.enterprise_security_group_rule_id)
    assert len(group_of(cloud, group_id).rules) == 1
    gone = partial(groups.delete_enterprise_security_group_rule, second.enterprise_security_group_rule_id)
    assert refusal(gone) == (404, "Esg.EsgRuleResourceNotExist")


def test_what_a_rule_cannot_be(cloud: Cloud, later: ExitStack) -> None:
    groups = cloud.client(EsgClient)
    add = partial(groups.authorize_enterprise_security_group_rule, a_group(cloud, later))
    tcp = partial(Rule, protocol="tcp", portRange="22")
    for wrong, code in (
        (tcp(direction="sideways"), "Esg.EsgRuleDirectionInvalid"),
        (tcp(action=None), "Esg.EsgRuleActionEmpty"),
        (tcp(action="maybe"), "Esg.EsgRuleActionInvalid"),
        (tcp(protocol=None), "Esg.EsgRuleProtocolEmpty"),
        (tcp(protocol="sctp"), "Esg.EsgRuleProtocolInvalid"),
        (tcp(portRange=None), "Esg.EsgRulePortEmpty"),
    ):
        assert refusal(add, [tcp(), wrong]) == (400, code)
    for other in (
        tcp(portRange="90-80"),
        tcp(portRange="80\n"),
        tcp(sourceIp="elephant"),
        tcp(priority=0),
        tcp(priority=1001),
    ):
        assert refusal(add, [other])[0] == 400
    assert refusal(add, [tcp(), tcp()]) == (400, "Esg.EsgRuleDuplicated")
    assert refusal(add, [tcp(portRange=str(number)) for number in range(1, 22)])[0] == 400
    add([tcp(portRange=str(number)) for number in range(1, 21)])
    gone = partial(groups.authorize_enterprise_security_group_rule, "esg-nothing", [tcp()])
    assert refusal(gone) == (404, "Esg.EsgResourceNotExist")


def test_what_a_name_cannot_be(cloud: Cloud) -> None:
    make = partial(cloud.client(EsgClient).create_enterprise_security_group, rules=[])
    assert refusal(make, "") == (400, "Esg.EsgNameEmpty")
    assert refusal(make, "x" * 66) == (400, "Esg.EsgNameTooLong")
    assert refusal(make, "1st") == (400, "Esg.EsgNameInvalid")
    assert refusal(make, "no spaces") == (400, "Esg.EsgNameInvalid")
    assert refusal(make, "line\n") == (400, "Esg.EsgNameInvalid")


def test_the_quota_of_groups(start: Any) -> None:
    emulator: Emulator = start("--quota", "enterprise-security-group=1", "--quota", "enterprise-security-group-rule=1")
    groups = emulator.client(EsgClient)
    made = groups.create_enterprise_security_group("one", [Rule(protocol="all")]).enterprise_security_group_id
    assert refusal(groups.create_enterprise_security_group, "two", []) == (400, "Esg.EsgExceedQuota")
    more = partial(groups.authorize_enterprise_security_group_rule, made, [Rule(protocol="icmp")])
    assert refusal(more) == (413, "LimitExceeded")
    page = groups.list_enterprise_security_groups(max_keys=1)
    assert (len(page.enterprise_security_groups), page.is_truncated) == (1, False)
