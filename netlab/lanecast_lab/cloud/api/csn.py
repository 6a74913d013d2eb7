"""Cloud smart networks: ``CsnClient`` of the SDK. A service without regions; its bandwidth is in ``csn_bandwidth``.

Replies are bce-sdk-go's services/csn/model.go and the vendor's appendix of models. Nothing is forwarded through such a
network: the data plane does not know them.
"""

from __future__ import annotations

from lanecast_lab.cloud.api import csn_bandwidth
from lanecast_lab.cloud.api.calls import (
    Call,
    Context,
    JsonObject,
    Service,
    cidr,
    fields,
    new_id,
    one_of,
    refuse_leaving,
    shown,
    timestamp,
)
from lanecast_lab.cloud.api.errors import denied, in_use, no_such
from lanecast_lab.cloud.api.paging import page
from lanecast_lab.cloud.api.regions import REGIONS
from lanecast_lab.cloud.api.states import state_at
from lanecast_lab.cloud.api.store import Resource, Scope

KIND, ATTACHMENT, TABLE, RULE, GATEWAY = "csn", "csn-attachment", "csn-table", "csn-rule", "csn-gateway"
RELATIONS = {"association": "csn-association", "propagation": "csn-propagation"}
INSTANCES = {"vpc": "vpc", "channel": "et-channel", "bec_vpc": "bec-vpc"}
"""[docs] What can be attached, with the kind of resource; no call here makes a ``bec_vpc``."""


def _require(context: Context) -> Resource:
    return context.require(KIND, context.path["csnId"], "cloud smart network")


def _attachments(context: Context, csn: Resource) -> list[Resource]:
    return context.store.find(ATTACHMENT, context.scope, csn.key)


def _show(context: Context, csn: Resource) -> JsonObject:
    return {
        **shown(csn.body),
        "status": "active",
        "instanceNum": len(_attachments(context, csn)),
        "csnBpNum": len(csn_bandwidth.of_network(context, csn.key)),
    }


def create(context: Context) -> JsonObject:
    """With its one route table. [docs] ``default``; [assumed] that it is there from the first moment on."""
    body = context.body
    context.quotas.check("csn", context.store.count(KIND, context.scope))
    csn_id, table_id = new_id("csn"), new_id("csnRt")
    record = {
        "csnId": csn_id,
        "name": body["name"],
        "description": body.get("description", ""),
        "createTime": timestamp(context.now),
        "tags": body.get("tags", []),
    }
    context.make(KIND, csn_id, record)
    table = {"csnRtId": table_id, "name": "default", "description": "", "type": "default"}
    context.make(TABLE, table_id, table, parent=csn_id)
    return {"csnId": csn_id}


def list_all(context: Context) -> JsonObject:
    """Pages of networks."""
    return page(context, KIND, "csns", lambda csn: _show(context, csn))


def get(context: Context) -> JsonObject:
    """One network."""
    return _show(context, _require(context))


def update(context: Context) -> None:
    """Change name and description."""
    csn = _require(context)
    csn.body |= context.body
    context.store.save(csn)


def delete(context: Context) -> None:
    """When nothing is attached to it and no bandwidth is bound to it."""
    csn = _require(context)
    if attached := _attachments(context, csn):
        raise in_use(f"cloud smart network {csn.key} has {attached[0].body['instanceId']}")
    if bound := csn_bandwidth.of_network(context, csn.key):
        raise in_use(f"cloud smart network {csn.key} has bandwidth {bound[0].key}")
    context.store.remove_tree(csn)


def _instance(context: Context) -> Resource:
    """The VPC or channel that a request names, of its account and region."""
    body = context.body
    one_of("instanceType", body["instanceType"], INSTANCES)
    one_of("instanceRegion", body["instanceRegion"], REGIONS)
    scope = Scope(body.get("instanceAccountId") or context.scope.account, body["instanceRegion"])
    found = context.store.get(INSTANCES[body["instanceType"]], body["instanceId"], scope)
    if found is None:
        raise no_such(f"{body['instanceType']} of region {body['instanceRegion']}", body["instanceId"])
    refuse_leaving(found, found.key)
    return found


def attach(context: Context) -> None:
    """Into one network at a time. The first of a region makes the network's gateway there. [assumed]"""
    csn, instance, body = _require(context), _instance(context), context.body
    for other in context.store.find(ATTACHMENT, equal={"instanceId": instance.key}):
        raise denied(f"{instance.key} is attached to cloud smart network {other.parent}")
    attach_id = new_id("tgwAttach")
    record = {
        "attachId": attach_id,
        "instanceType": body["instanceType"],
        "instanceId": instance.key,
        "instanceName": instance.body["name"],
        "instanceRegion": instance.region,
        "instanceAccountId": instance.account,
        "status": context.passing("attaching", "attached"),
    }
    context.make(ATTACHMENT, attach_id, record, parent=csn.key)
    if not context.store.find(GATEWAY, context.scope, csn.key, {"region": instance.region}):
        gateway_id = new_id("tgw")
        gateway = {"tgwId": gateway_id, "csnId": csn.key, "name": instance.region, "region": instance.region}
        context.make(GATEWAY, gateway_id, {**gateway, "description": ""}, parent=csn.key)


def _of(context: Context, csn: Resource, instance_id: str) -> Resource:
    for found in context.store.find(ATTACHMENT, context.scope, csn.key, {"instanceId": instance_id}):
        return found
    raise no_such(f"instance of cloud smart network {csn.key}", instance_id)


def detach(context: Context) -> None:
    """With its relations and the rules that lead to it."""
    csn = _require(context)
    found = _of(context, csn, context.body["instanceId"])
    if (state := state_at(found.body["status"], context.now)) != "attached":
        raise denied(f"{found.body['instanceId']} is {state}")
    for kind in (*RELATIONS.values(), RULE):
        for one in context.store.find(kind, context.scope, equal={"_attach": found.key}):
            context.store.remove(one)
    context.leave(found, "detaching")


def list_instances(context: Context) -> JsonObject:
    """Pages of what is attached."""

    def show(one: Resource) -> JsonObject:
        return {**shown(one.body), "status": state_at(one.body["status"], context.now)}

    return page(context, ATTACHMENT, "instances", show, _require(context).key)


def list_tables(context: Context) -> JsonObject:
    """Pages of route tables."""
    return page(context, TABLE, "csnRts", lambda table: shown(table.body), _require(context).key)


def _table(context: Context) -> Resource:
    return context.require(TABLE, context.path["csnRtId"], "route table")


def _attachment(context: Context, table: Resource, attach_id: str) -> Resource:
    found = context.store.get(ATTACHMENT, attach_id, context.scope)
    if found is None or found.parent != table.parent:
        raise no_such(f"attachment of cloud smart network {table.parent}", attach_id)
    return found


class _Relation:
    """Associations (who asks the table) and propagations (who tells it) differ in nothing else than their names."""

    def __init__(self, name: str) -> None:
        self.kind, self.name = RELATIONS[name], name

    def _key(self, table: Resource, attach_id: str) -> str:
        return f"{table.key}:{self.name}:{attach_id}"

    def create(self, context: Context) -> None:
        """One for each instance and table."""
        table = _table(context)
        attachment = _attachment(context, table, context.body["attachId"])
        key = self._key(table, attachment.key)
        if context.store.get(self.kind, key):
            raise denied(f"route table {table.key} has {self.name} {attachment.key} already")
        names = ("attachId", "instanceId", "instanceName", "instanceRegion", "instanceType")
        record = {name: attachment.body[name] for name in names}
        more = {"description": context.body.get("description", ""), "status": "active", "_attach": attachment.key}
        context.make(self.kind, key, {**record, **more}, parent=table.key)

    def list_all(self, context: Context) -> JsonObject:
        """All of a table's. [docs] This list has no pages."""
        found = context.store.find(self.kind, context.scope, _table(context).key)
        return {f"{self.name}s": [shown(one.body) for one in found]}

    def delete(self, context: Context) -> None:
        """Forget it."""
        table, attach_id = _table(context), context.path["attachId"]
        found = context.store.get(self.kind, self._key(table, attach_id), context.scope)
        if found is None:
            raise no_such(f"{self.name} of route table {table.key}", attach_id)
        context.store.remove(found)

    def calls(self) -> tuple[Call, ...]:
        """Its three calls."""
        path = f"{_TABLE}/{self.name}"
        return (
            Call(f"create_{self.name}", "POST", path, self.create, fields("attachId! description")),
            Call(f"list_{self.name}", "GET", path, self.list_all),
            Call(f"delete_{self.name}", "DELETE", path + "/{attachId}", self.delete),
        )


def create_rule(context: Context) -> None:
    """Where a range goes. [docs] The reply has no id."""
    table, body = _table(context), context.body
    attachment = _attachment(context, table, body["attachId"])
    cidr("destAddress", body["destAddress"])
    one_of("routeType", body.get("routeType", "custom"), ("custom",))
    for other in context.store.find(RULE, context.scope, table.key, {"destAddress": body["destAddress"]}):
        raise denied(f"rule {other.key} has the same destination")
    rule_id = new_id("cnrr")
    record = {
        "ruleId": rule_id,
        "routeType": "custom",
        "csnId": table.parent,
        "csnRtId": table.key,
        "description": "",
        "fromAttachId": attachment.key,
        "status": "active",
        "sourceAddress": "",
        "destAddress": body["destAddress"],
        "nextHopId": attachment.body["instanceId"],
        "nextHopName": attachment.body["instanceName"],
        "nextHopRegion": attachment.body["instanceRegion"],
        "nextHopType": attachment.body["instanceType"],
        "asPath": "",
        "community": "",
        "blackHole": False,
        "_attach": attachment.key,
    }
    context.make(RULE, rule_id, record, parent=table.key)


def list_rules(context: Context) -> JsonObject:
    """Pages of a table's rules."""
    return page(context, RULE, "csnRtRules", lambda rule: shown(rule.body), _table(context).key)


def delete_rule(context: Context) -> None:
    """Forget a rule."""
    rule = context.require(RULE, context.path["csnRtRuleId"], "rule")
    if rule.parent != _table(context).key:
        raise no_such("rule", rule.key)
    context.store.remove(rule)


def list_gateways(context: Context) -> JsonObject:
    """Pages of a network's gateways, one a region."""
    return page(context, GATEWAY, "tgws", lambda one: shown(one.body), _require(context).key)


def _gateway(context: Context) -> Resource:
    found = context.require(GATEWAY, context.path["tgwId"], "gateway")
    if found.parent != _require(context).key:
        raise no_such("gateway", found.key)
    return found


def list_gateway_rules(context: Context) -> JsonObject:
    """Pages of the rules that lead into a gateway's region. [assumed]"""
    gateway = _gateway(context)
    equal = {"csnId": gateway.parent, "nextHopRegion": gateway.body["region"]}
    return page(context, RULE, "tgwRtRules", lambda rule: shown(rule.body), equal=equal)


def update_gateway(context: Context) -> None:
    """Change name and description."""
    gateway = _gateway(context)
    gateway.body |= context.body
    context.store.save(gateway)


_NETWORKS = "/v1/csn"
_ONE = _NETWORKS + "/{csnId}"
_TABLE = _NETWORKS + "/routeTable/{csnRtId}"
_GATEWAY = _ONE + "/tgw/{tgwId}"
_INSTANCE = fields("instanceType! instanceId! instanceRegion! instanceAccountId")

SERVICE = Service(
    "csn",
    (
        Call("create_csn", "POST", _NETWORKS, create, fields("name! description tags:[{}]")),
        Call("list_csn", "GET", _NETWORKS, list_all),
        Call("get_csn", "GET", _ONE, get),
        Call("update_csn", "PUT", _ONE, update, fields("name description")),
        Call("delete_csn", "DELETE", _ONE, delete),
        Call("attach_instance", "PUT", _ONE, attach, _INSTANCE, "attach"),
        Call("detach_instance", "PUT", _ONE, detach, _INSTANCE, "detach"),
        Call("list_instance", "GET", _ONE + "/instance", list_instances),
        Call("list_route_table", "GET", _ONE + "/routeTable", list_tables),
        *_Relation("association").calls(),
        *_Relation("propagation").calls(),
        Call("create_route_rule", "POST", _TABLE + "/rule", create_rule, fields("attachId! destAddress! routeType")),
        Call("list_route_rule", "GET", _TABLE + "/rule", list_rules),
        Call("delete_route_rule", "DELETE", _TABLE + "/rule/{csnRtRuleId}", delete_rule),
        Call("list_tgw", "GET", _ONE + "/tgw", list_gateways),
        Call("list_tgw_rule", "GET", _GATEWAY + "/rule", list_gateway_rules),
        Call("update_tgw", "PUT", _GATEWAY, update_gateway, fields("name description")),
        *csn_bandwidth.CALLS,
    ),
    regional=False,
    endpoint="csn",
)
