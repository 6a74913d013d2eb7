"""Access lists of subnets: ``AclClient`` of the SDK. Replies are bce-sdk-go's ``AclRule``, ``ListAclEntrysResult``."""

from __future__ import annotations

from lanecast_lab.cloud.api.calls import (
    Call,
    Context,
    JsonObject,
    Service,
    between,
    checked,
    fields,
    new_id,
    one_of,
    shown,
)
from lanecast_lab.cloud.api.errors import denied, inappropriate
from lanecast_lab.cloud.api.paging import page
from lanecast_lab.cloud.api.security_group import check_port_range, check_range
from lanecast_lab.cloud.api.store import Resource

KIND = "acl-rule"
PROTOCOLS = ("tcp", "udp", "icmp", "all")
LAST_POSITION = 5000
"""[docs] Rules are asked in the order of their positions, from 1 on."""


def _check(context: Context, subnet_id: str, rule: JsonObject, but: str = "") -> None:
    one_of("protocol", rule["protocol"], PROTOCOLS)
    one_of("direction", rule["direction"], ("ingress", "egress"))
    one_of("action", rule["action"], ("allow", "deny"))
    between("position", rule["position"], 1, LAST_POSITION)
    for name in ("sourceIpAddress", "destinationIpAddress"):
        check_range(name, rule[name], ("all",))
    for name in ("sourcePort", "destinationPort"):
        check_port_range(name, rule[name], ("", "all"))
    equal = {"direction": rule["direction"], "position": rule["position"]}
    for other in context.store.find(KIND, parent=subnet_id, equal=equal):
        if other.key != but:
            raise denied(f"position: ACL rule {other.key} has position {rule['position']} of the same direction")


def _show(rule: Resource) -> JsonObject:
    return {**shown(rule.body), "subnetId": rule.parent, "ipVersion": 4}


def create(context: Context) -> None:
    """All of the rules, or none. The reply has no ids: they are read from the list."""
    if not context.body["aclRules"]:
        raise inappropriate("aclRules: is empty")
    for body in context.body["aclRules"]:
        rule = checked(body, _RULE, "aclRules.")
        subnet = context.require("subnet", rule.pop("subnetId"), "subnet")
        rule = {"description": "", "sourcePort": "all", "destinationPort": "all", **rule}
        _check(context, subnet.key, rule)
        there = context.store.count(KIND, parent=subnet.key, equal={"direction": rule["direction"]})
        context.quotas.check("acl-rule", there)
        rule_id = new_id("ar")
        context.make(KIND, rule_id, {"id": rule_id, **rule}, parent=subnet.key)


def list_of_subnet(context: Context) -> JsonObject:
    """Pages of a subnet's rules."""
    subnet_id = context.query.get("subnetId", "")
    if not subnet_id:
        raise inappropriate("subnetId: is missing")
    return page(context, KIND, "aclRules", _show, context.require("subnet", subnet_id, "subnet").key)


def list_of_vpc(context: Context) -> JsonObject:
    """The rules of every subnet of a VPC."""
    vpc_id = context.query.get("vpcId", "")
    if not vpc_id:
        raise inappropriate("vpcId: is missing")
    vpc = context.require("vpc", vpc_id, "VPC")
    entries = [
        {
            "subnetId": subnet.key,
            "subnetName": subnet.body["name"],
            "subnetCidr": subnet.body["cidr"],
            "aclRules": [_show(rule) for rule in context.store.find(KIND, parent=subnet.key)],
        }
        for subnet in context.store.find("subnet", parent=vpc.key)
    ]
    return {"vpcId": vpc.key, "vpcName": vpc.body["name"], "vpcCidr": vpc.body["cidr"], "aclEntrys": entries}


def update(context: Context) -> None:
    """Change anything but subnet and direction."""
    rule = context.require(KIND, context.path["aclRuleId"], "ACL rule")
    changed = {**rule.body, **context.body}
    _check(context, rule.parent or "", changed, rule.key)
    rule.body = changed
    context.store.save(rule)


def delete(context: Context) -> None:
    """Forget the rule."""
    context.store.remove(context.require(KIND, context.path["aclRuleId"], "ACL rule"))


_RULE = fields(
    "subnetId! protocol! sourceIpAddress! destinationIpAddress! sourcePort destinationPort position:i! direction!"
    " action! description"
)
_UPDATE = fields(
    "description protocol sourceIpAddress destinationIpAddress sourcePort destinationPort position:i action"
)

SERVICE = Service(
    "acl",
    (
        Call("list_acl_entrys", "GET", "/v1/acl", list_of_vpc),
        Call("create_acl", "POST", "/v1/acl/rule", create, fields("aclRules:[{}]!")),
        Call("list_subnet_acl", "GET", "/v1/acl/rule", list_of_subnet),
        Call("update_acl", "PUT", "/v1/acl/rule/{aclRuleId}", update, _UPDATE),
        Call("delete_acl", "DELETE", "/v1/acl/rule/{aclRuleId}", delete),
    ),
)
