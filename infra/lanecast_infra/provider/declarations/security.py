"""Security groups, which guard machines, and access lists, which guard subnets."""

from __future__ import annotations

from typing import Any, Final

from baidubce.services.bcc.bcc_client import BccClient
from baidubce.services.bcc.bcc_model import SecurityGroupRuleModel
from baidubce.services.vpc.acl_client import AclClient

from lanecast_infra.provider.calls import Call
from lanecast_infra.provider.checks import between, network_or_all, one_of, ports_or_all
from lanecast_infra.provider.declarations.common import (
    Tag,
    chosen,
    description_field,
    first,
    joined,
    live_tags,
    name_field,
    parts_of,
    tags_field,
)
from lanecast_infra.provider.model import Advice, Change, Field, Kind, Resource, Values

ALL: Final = "all"
"""What programs write for every protocol, port or address; security groups say so by an empty text. [SDK]"""
RULE_IDENTITY: Final = ("securityGroupId", "securityGroupRuleId")
ACL_IDENTITY: Final = ("subnetId", "aclRuleId")


def _create_group(call: Call, inputs: Values) -> str:
    reply = call.ask(
        BccClient,
        "create_security_group",
        name=inputs["name"],
        rules=[],
        vpc_id=inputs["vpcId"],
        desc=inputs["description"],
        tags=[Tag(key, value) for key, value in sorted(inputs.get("tags", {}).items())] or None,
        client_token=call.token("security-group"),
    )
    return str(reply["securityGroupId"])


def _read_group(call: Call, group_id: str) -> Values:
    group = call.ask(BccClient, "get_security_group_detail", security_group_id=group_id)
    live = {**chosen(group, ("name", "vpcId")), **live_tags(group)}
    return {**live, "description": group["desc"]} if "desc" in group else live


def _delete_group(call: Call, group_id: str, inputs: Values) -> None:
    call.ask(BccClient, "delete_security_group", security_group_id=group_id)


SECURITY_GROUP: Final = Resource(
    name="SecurityGroup",
    doc="A stateful filter for machines; its rules are resources of their own. The API has no call that changes it.",
    fields=(
        name_field("create_security_group: name").replaced(),
        Field("vpcId", Kind.STRING, "The VPC.", "create_security_group: vpc_id", required=True, change=Change.REPLACE),
        description_field("create_security_group: desc").replaced(),
        tags_field("create_security_group: tags"),
    ),
    create=_create_group,
    read=_read_group,
    delete=_delete_group,
    busy=frozenset({"SECURITYGROUP_INUSE"}),
    advice=(("SECURITYGROUP_INUSE", Advice(None, "take the machines that the message names out of the group first")),),
)

SAME: Final = ("direction", "ethertype", "protocol", "portRange", "sourceIp", "sourceGroupId", "destIp", "destGroupId")
"""What makes two rules of a group the same."""


def _spelt(inputs: Values) -> dict[str, str]:
    return {name: "" if inputs.get(name, ALL) == ALL else inputs[name] for name in (*SAME, "remark")}


def _told(rule: Values) -> Values:
    told = {name: rule.get(name) or ALL for name in ("protocol", "portRange", "sourceIp", "destIp")}
    told |= {name: rule.get(name) or None for name in ("sourceGroupId", "destGroupId")}
    return {**told, **chosen(rule, ("direction", "ethertype", "remark"))}


def _group_rules(call: Call, group_id: str) -> list[Values]:
    group = call.ask(BccClient, "get_security_group_detail", security_group_id=group_id)
    return list(group.get("rules") or [])


def _find_rule(call: Call, inputs: Values) -> str | None:
    wanted = {name: inputs.get(name) for name in SAME}
    for rule in _group_rules(call, inputs["securityGroupId"]):
        told = _told(rule)
        if {name: told.get(name) for name in SAME} == wanted:
            return joined(inputs["securityGroupId"], rule["securityGroupRuleId"])
    return None


def _create_rule(call: Call, inputs: Values) -> None:
    group_id = inputs["securityGroupId"]
    rule = SecurityGroupRuleModel(**_spelt(inputs), securityGroupId=group_id)
    call.ask(
        BccClient,
        "authorize_security_group_rule",
        repeatable=False,
        security_group_id=group_id,
        rule=rule,
        client_token=call.token("security-group-rule"),
    )


def _read_rule(call: Call, identity: str) -> Values | None:
    group_id, rule_id = parts_of(identity, *RULE_IDENTITY)
    rule = first(_group_rules(call, group_id), securityGroupRuleId=rule_id)
    return {**_told(rule), "securityGroupId": group_id} if rule else None


def _update_rule(call: Call, identity: str, old: Values, new: Values) -> None:
    spelt = _spelt(new)
    if spelt == _spelt(old):
        return
    call.ask(
        BccClient,
        "update_security_group_rule",
        security_group_rule_id=parts_of(identity, *RULE_IDENTITY)[1],
        remark=spelt["remark"],
        protocol=spelt["protocol"],
        portrange=spelt["portRange"],
        source_ip=spelt["sourceIp"],
        sourcegroup_id=spelt["sourceGroupId"],
        dest_ip=spelt["destIp"],
        destgroup_id=spelt["destGroupId"],
    )


def _delete_rule(call: Call, identity: str, inputs: Values) -> None:
    rule_id = parts_of(identity, *RULE_IDENTITY)[1]
    call.ask(BccClient, "delete_security_group_rule", security_group_rule_id=rule_id)


def _peer_mistakes(values: Values) -> list[tuple[str, str]]:
    wrong_way = {"ingress": ("destIp", "destGroupId"), "egress": ("sourceIp", "sourceGroupId")}
    names = wrong_way.get(str(values.get("direction")), ())
    given = [name for name in names if values.get(name, ALL) != ALL]
    return [(name, f"means nothing in a rule for {values['direction']}") for name in given]


def _peer_field(name: str, doc: str) -> Field:
    return Field(name, Kind.STRING, doc, f"SecurityGroupRuleModel: {name}", default=ALL, tests=(network_or_all,))


SECURITY_GROUP_RULE: Final = Resource(
    name="SecurityGroupRule",
    doc="What a security group lets through. Its id is securityGroupId/securityGroupRuleId.",
    fields=(
        Field(
            "securityGroupId",
            Kind.STRING,
            "The group.",
            "authorize_security_group_rule: security_group_id",
            required=True,
            change=Change.REPLACE,
        ),
        Field(
            "direction",
            Kind.STRING,
            "Into the machine or out of it.",
            "SecurityGroupRuleModel: direction",
            required=True,
            change=Change.REPLACE,
            tests=(one_of("ingress", "egress"),),
        ),
        Field(
            "ethertype",
            Kind.STRING,
            "IPv4 or IPv6.",
            "SecurityGroupRuleModel: ethertype",
            default="IPv4",
            change=Change.REPLACE,
            tests=(one_of("IPv4", "IPv6"),),
        ),
        Field(
            "protocol",
            Kind.STRING,
            "Which packets.",
            "SecurityGroupRuleModel: protocol",
            default=ALL,
            tests=(one_of("tcp", "udp", "icmp", ALL),),
        ),
        Field(
            "portRange",
            Kind.STRING,
            "Which ports: 443, 80-90, or all.",
            "SecurityGroupRuleModel: portRange",
            default=ALL,
            tests=(ports_or_all,),
        ),
        _peer_field("sourceIp", "From which addresses, of what comes in."),
        _peer_field("destIp", "To which addresses, of what goes out."),
        Field("sourceGroupId", Kind.STRING, "From which group's machines.", "SecurityGroupRuleModel: sourceGroupId"),
        Field("destGroupId", Kind.STRING, "To which group's machines.", "SecurityGroupRuleModel: destGroupId"),
        Field("remark", Kind.STRING, "What it is for.", "SecurityGroupRuleModel: remark", default=""),
    ),
    create=_create_rule,
    find=_find_rule,
    read=_read_rule,
    update=_update_rule,
    delete=_delete_rule,
    rules=(_peer_mistakes,),
    advice=(("SecurityGroup.RuleDuplicated", Advice(None, "the group has this rule already: remove one of them")),),
)


ACL_NAMES: Final = (
    "direction",
    "position",
    "protocol",
    "sourceIpAddress",
    "destinationIpAddress",
    "sourcePort",
    "destinationPort",
    "action",
    "description",
)


def _acl_rules(call: Call, subnet_id: str) -> list[Values]:
    return list(call.pages(AclClient, "list_subnet_acl", "aclRules", subnet_id=subnet_id))


def _find_acl_rule(call: Call, inputs: Values) -> str | None:
    place = {"direction": inputs["direction"], "position": inputs["position"]}
    rule = first(_acl_rules(call, inputs["subnetId"]), **place)
    return joined(inputs["subnetId"], rule["id"]) if rule else None


def _create_acl_rule(call: Call, inputs: Values) -> None:
    rule = {"subnetId": inputs["subnetId"], **chosen(inputs, ACL_NAMES)}
    call.ask(AclClient, "create_acl", repeatable=False, rule_list=[rule], client_token=call.token("acl"))


def _read_acl_rule(call: Call, identity: str) -> Values | None:
    subnet_id, rule_id = parts_of(identity, *ACL_IDENTITY)
    rule = first(_acl_rules(call, subnet_id), id=rule_id)
    return {**chosen(rule, ACL_NAMES), "subnetId": subnet_id} if rule else None


def _update_acl_rule(call: Call, identity: str, old: Values, new: Values) -> None:
    if old == new:
        return
    values: dict[str, Any] = {
        "description": new["description"],
        "protocol": new["protocol"],
        "source_ip_address": new["sourceIpAddress"],
        "destination_ip_address": new["destinationIpAddress"],
        "source_port": new["sourcePort"],
        "destination_port": new["destinationPort"],
        "position": new["position"],
        "action": new["action"],
    }
    call.ask(AclClient, "update_acl", acl_rule_id=parts_of(identity, *ACL_IDENTITY)[1], **values)


def _delete_acl_rule(call: Call, identity: str, inputs: Values) -> None:
    call.ask(AclClient, "delete_acl", acl_rule_id=parts_of(identity, *ACL_IDENTITY)[1])


def _acl_field(name: str, doc: str, *tests: Any, **more: Any) -> Field:
    return Field(name, more.pop("kind", Kind.STRING), doc, f"create_acl: {name}", tests=tests, **more)


NETWORK_ACL_RULE: Final = Resource(
    name="NetworkAclRule",
    doc="A rule of a subnet's access list, which is asked in the order of positions and keeps no state. Its id is "
    "subnetId/aclRuleId.",
    fields=(
        _acl_field("subnetId", "The subnet.", required=True, change=Change.REPLACE),
        _acl_field(
            "direction",
            "Into the subnet or out of it.",
            one_of("ingress", "egress"),
            required=True,
            change=Change.REPLACE,
        ),
        _acl_field(
            "position", "When it is asked: the lowest first.", between(1, 5000), required=True, kind=Kind.INTEGER
        ),
        _acl_field("action", "What happens.", one_of("allow", "deny"), required=True),
        _acl_field("protocol", "Which packets.", one_of("tcp", "udp", "icmp", ALL), default=ALL),
        _acl_field("sourceIpAddress", "From which addresses.", network_or_all, default=ALL),
        _acl_field("destinationIpAddress", "To which addresses.", network_or_all, default=ALL),
        _acl_field("sourcePort", "From which ports: 443, 80-90, or all.", ports_or_all, default=ALL),
        _acl_field("destinationPort", "To which ports.", ports_or_all, default=ALL),
        description_field("create_acl: description"),
    ),
    create=_create_acl_rule,
    find=_find_acl_rule,
    read=_read_acl_rule,
    update=_update_acl_rule,
    delete=_delete_acl_rule,
    advice=(("OperationDenied", Advice("position", "another rule of the direction has it: choose another")),),
)

RESOURCES: Final = (SECURITY_GROUP, SECURITY_GROUP_RULE, NETWORK_ACL_RULE)
