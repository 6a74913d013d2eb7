"""The server groups of application load balancers: their ports, and the instances in them.

Each function makes the call for one kind of balancers. Replies are bce-sdk-go's ``AppServerGroup``,
``AppServerGroupPort`` and ``AppBackendServer``.
"""

from __future__ import annotations

from collections.abc import Callable

from lanecast_lab.cloud.api.balancers import HIGHEST_WEIGHT, LAST_PORT, Balancers
from lanecast_lab.cloud.api.calls import Context, Handler, JsonObject, between, checked, fields, new_id, one_of, shown
from lanecast_lab.cloud.api.errors import denied, in_use, inappropriate, no_such
from lanecast_lab.cloud.api.paging import page, page_of
from lanecast_lab.cloud.api.store import Resource
from lanecast_lab.cloud.data_plane.status import read_status, target_name

GROUP, PORT, SERVER = "app-server-group", "app-server-group-port", "app-server"
POLICY = "app-policy"
"""Of a listener; it chooses a group."""

TYPES = ("TCP", "UDP", "HTTP")
HEALTH = {
    "healthCheckTimeoutInSecond": (3, 1, 60),
    "healthCheckIntervalInSecond": (3, 1, 10),
    "healthCheckDownRetry": (3, 2, 5),
    "healthCheckUpRetry": (3, 2, 5),
}
"""[docs] As those of the plain balancers' listeners: the default, the least and the most."""


def find_group(context: Context, blb: Resource, group_id: str) -> Resource:
    """A group of the balancer."""
    found = context.store.get(GROUP, group_id, context.scope)
    if found is None or found.parent != blb.key:
        raise no_such(f"server group of load balancer {blb.key}", group_id)
    return found


def _policies(context: Context, group: Resource) -> list[Resource]:
    """The policies that choose a group."""
    return context.store.find(POLICY, context.scope, equal={"appServerGroupId": group.key})


def _write(balancers: Balancers, change: Callable[[Context, Resource, Resource], JsonObject | None]) -> Handler:
    """A call that changes the group that its body names."""

    def call(context: Context) -> JsonObject | None:
        blb = balancers.begin(context)
        return change(context, blb, find_group(context, blb, context.body["sgId"]))

    return call


def _read(balancers: Balancers, read: Callable[[Context, Resource, Resource], JsonObject]) -> Handler:
    """A call that reads the group that its query names."""

    def call(context: Context) -> JsonObject:
        blb, group_id = balancers.require(context), context.query.get("sgId", "")
        if not group_id:
            raise inappropriate("sgId: is missing")
        return read(context, blb, find_group(context, blb, group_id))

    return call


def create_group(balancers: Balancers) -> Handler:
    """A group with its first instances."""

    def call(context: Context) -> JsonObject:
        blb, group_id = balancers.begin(context), new_id("sg")
        record = {
            "id": group_id,
            "name": context.body.get("name", group_id),
            "desc": context.body.get("desc", ""),
            "status": "available",
        }
        context.quotas.check("app-server-group", context.store.count(GROUP, parent=blb.key))
        group = context.make(GROUP, group_id, record, parent=blb.key)
        if servers := context.body.get("backendServerList"):
            _add_servers(context, blb, group, servers)
        return record

    return call


def _show_group(context: Context, group: Resource) -> JsonObject:
    ports = [shown(one.body) for one in context.store.find(PORT, parent=group.key)]
    return {**shown(group.body), "portList": ports}


def list_groups(balancers: Balancers) -> Handler:
    """Pages of groups; by name, or a part of it."""

    def call(context: Context) -> JsonObject:
        blb, name = balancers.require(context), context.query.get("name", "")
        exactly = context.query.get("exactlyMatch", "").lower() == "true"
        found = context.store.find(GROUP, parent=blb.key)
        chosen = [one for one in found if (name == one.body["name"] if name and exactly else name in one.body["name"])]
        return page_of(context, "appServerGroupList", chosen, lambda one: _show_group(context, one))

    return call


def update_group(balancers: Balancers) -> Handler:
    """Change name and description."""

    def change(context: Context, _: Resource, group: Resource) -> None:
        group.body |= {name: context.body[name] for name in ("name", "desc") if name in context.body}
        context.store.save(group)

    return _write(balancers, change)


def delete_group(balancers: Balancers) -> Handler:
    """When no policy chooses it."""

    def change(context: Context, _: Resource, group: Resource) -> None:
        if using := _policies(context, group):
            raise in_use(f"server group {group.key} is chosen by policy {using[0].key}")
        context.store.remove_tree(group)

    return _write(balancers, change)


def _check_port(port: JsonObject) -> None:
    for name in ("port", "healthCheckPort"):
        between(name, port[name], 1, LAST_PORT)
    one_of("type", port["type"], TYPES)
    one_of("healthCheck", port["healthCheck"], (*TYPES, "ICMP"))
    for name, (_, low, high) in HEALTH.items():
        between(name, port[name], low, high)


def create_port(balancers: Balancers) -> Handler:
    """A port that policies can choose, and how it is checked."""

    def change(context: Context, _: Resource, group: Resource) -> JsonObject:
        body = {name: value for name, value in context.body.items() if name != "sgId"}
        port_id = new_id("port")
        record: JsonObject = {"id": port_id, "status": "available", "healthCheck": body["type"]}
        record |= {name: default for name, (default, _, _) in HEALTH.items()} | {"healthCheckPort": body["port"]} | body
        _check_port(record)
        for other in context.store.find(PORT, parent=group.key, equal={"port": body["port"], "type": body["type"]}):
            raise denied(f"server group {group.key} has this port already: {other.key}")
        context.make(PORT, port_id, record, parent=group.key)
        return {"id": port_id, "name": group.body["name"], "desc": group.body["desc"], "status": "available"}

    return _write(balancers, change)


def _port(context: Context, group: Resource, port_id: str) -> Resource:
    found = context.store.get(PORT, port_id, context.scope)
    if found is None or found.parent != group.key:
        raise no_such(f"port of server group {group.key}", port_id)
    return found


def update_port(balancers: Balancers) -> Handler:
    """Change how a port is checked."""

    def change(context: Context, _: Resource, group: Resource) -> None:
        port = _port(context, group, context.body["portId"])
        changed = {name: value for name, value in context.body.items() if name not in ("sgId", "portId")}
        _check_port({**port.body, **changed})
        port.body |= changed
        context.store.save(port)

    return _write(balancers, change)


def delete_ports(balancers: Balancers) -> Handler:
    """All of those named that no policy chooses, or none."""

    def change(context: Context, _: Resource, group: Resource) -> None:
        for port_id in context.body["portIdList"]:
            port = _port(context, group, port_id)
            for policy in _policies(context, group):
                if policy.body["backendPort"] == port.body["port"]:
                    raise in_use(f"port {port.key} is chosen by policy {policy.key}")
            context.store.remove(port)

    return _write(balancers, change)


def _server_key(group: Resource, instance_id: str) -> str:
    return f"{group.key}:{instance_id}"


def _checked_servers(servers: list[JsonObject]) -> list[JsonObject]:
    if not servers:
        raise inappropriate("backendServerList: is empty")
    found = [checked(one, fields("instanceId! weight:i!"), "backendServerList.") for one in servers]
    for one in found:
        between("weight", one["weight"], 0, HIGHEST_WEIGHT)
    return found


def _add_servers(context: Context, blb: Resource, group: Resource, servers: list[JsonObject]) -> None:
    for server in _checked_servers(servers):
        instance = context.require_lasting("instance", server["instanceId"], "instance")
        if instance.body["vpcId"] != blb.body["vpcId"]:
            raise denied(f"instance {instance.key} is not in VPC {blb.body['vpcId']}")
        key = _server_key(group, instance.key)
        if context.store.get(SERVER, key):
            raise denied(f"instance {instance.key} is in server group {group.key} already")
        context.make(SERVER, key, {**server, "privateIp": instance.body["internalIp"]}, parent=group.key)


def _server(context: Context, group: Resource, instance_id: str) -> Resource:
    found = context.store.get(SERVER, _server_key(group, instance_id))
    if found is None:
        raise no_such(f"instance of server group {group.key}", instance_id)
    return found


def create_servers(balancers: Balancers) -> Handler:
    """More instances, of the balancer's VPC."""

    def change(context: Context, blb: Resource, group: Resource) -> None:
        _add_servers(context, blb, group, context.body["backendServerList"])

    return _write(balancers, change)


def update_servers(balancers: Balancers) -> Handler:
    """Change weights."""

    def change(context: Context, _: Resource, group: Resource) -> None:
        for wanted in _checked_servers(context.body["backendServerList"]):
            server = _server(context, group, wanted["instanceId"])
            server.body["weight"] = wanted["weight"]
            context.store.save(server)

    return _write(balancers, change)


def delete_servers(balancers: Balancers) -> Handler:
    """Fewer instances."""

    def change(context: Context, _: Resource, group: Resource) -> None:
        for instance_id in context.body["backendServerIdList"]:
            context.store.remove(_server(context, group, instance_id))

    return _write(balancers, change)


def _show_server(context: Context, group: Resource, server: Resource) -> JsonObject:
    """With the ports that policies choose.

    ``Alive`` is what the data plane found out by asking; [assumed] without one, whose instance runs.
    """
    running = context.running(server.body["instanceId"]) is not None
    found = read_status(context.store.directory, group.parent or "")
    ports = {one.body["port"]: one for one in context.store.find(PORT, parent=group.key)}
    chosen = [
        {
            "listenerPort": policy.body["frontendPort"],
            "backendPort": str(policy.body["backendPort"]),
            "portType": policy.body["portType"],
            "healthCheckPortType": ports[policy.body["backendPort"]].body["healthCheck"],
            "status": "Alive" if running and _is_healthy(found, policy, server) else "Dead",
            "portId": ports[policy.body["backendPort"]].key,
            "policyId": policy.key,
        }
        for policy in _policies(context, group)
    ]
    return {**shown(server.body), "portList": chosen}


def _is_healthy(found: JsonObject | None, policy: Resource, server: Resource) -> bool:
    body = policy.body
    name = target_name(body["portType"], body["frontendPort"], server.body["instanceId"])
    return found is None or name in found.get("healthy", ())


def list_servers(balancers: Balancers) -> Handler:
    """Pages of a group's instances."""

    def read(context: Context, _: Resource, group: Resource) -> JsonObject:
        return page(context, SERVER, "backendServerList", lambda one: _show_server(context, group, one), group.key)

    return _read(balancers, read)


def list_mounted(balancers: Balancers) -> Handler:
    """All of a group's instances. [go] ``DescribeRsMountResult`` has no pages."""

    def read(context: Context, _: Resource, group: Resource) -> JsonObject:
        found = context.store.find(SERVER, parent=group.key)
        return {"backendServerList": [_show_server(context, group, one) for one in found]}

    return _read(balancers, read)


def list_unmounted(balancers: Balancers) -> Handler:
    """All of the VPC's instances that are not in the group."""

    def read(context: Context, blb: Resource, group: Resource) -> JsonObject:
        there = {one.body["instanceId"] for one in context.store.find(SERVER, parent=group.key)}
        others = context.store.find("instance", context.scope, equal={"vpcId": blb.body["vpcId"]})
        free = [one for one in others if one.key not in there]
        return {"backendServerList": [{"instanceId": one.key, "privateIp": one.body["internalIp"]} for one in free]}

    return _read(balancers, read)
