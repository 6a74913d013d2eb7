"""Load balancers with listeners and backends: ``BlbClient`` of the SDK.

Replies are bce-sdk-go's ``BLBModel``, ``DescribeLoadBalancerDetailResult``, ``TCPListenerModel`` and its like,
``BackendServerStatus``; states are its ``BLBStatus``. Every write but the first answers 200 and leaves the balancer
``updating`` for a while, in which others are refused.
"""

from __future__ import annotations

from collections.abc import Callable

from lanecast_lab.cloud.api import eip, subnet
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
    timestamp,
    whole_number,
)
from lanecast_lab.cloud.api.errors import ApiError, denied, inappropriate, no_such
from lanecast_lab.cloud.api.paging import page, page_of
from lanecast_lab.cloud.api.states import state_at
from lanecast_lab.cloud.api.store import Resource
from lanecast_lab.cloud.data_plane.status import read_status

KIND, LISTENER, BACKEND = "blb", "blb-listener", "blb-backend"
SCHEDULERS = ("RoundRobin", "LeastConnection", "Hash")
HIGHEST_WEIGHT = 100
"""[docs] Of a backend; 0 takes no new flows."""

HEALTH = {
    "healthCheckTimeoutInSecond": (3, 1, 60),
    "healthCheckInterval": (3, 1, 10),
    "unhealthyThreshold": (3, 2, 5),
    "healthyThreshold": (3, 2, 5),
}
"""[docs] What is checked how often: the default, the least and the most."""

DEFAULTS: dict[str, JsonObject] = {
    "TCP": {"tcpSessionTimeout": 900},
    "UDP": {"udpSessionTimeout": 90, "healthCheckString": ""},
    "HTTP": {
        "keepSession": False,
        "xForwardFor": False,
        "healthCheckType": "HTTP",
        "healthCheckURI": "/",
        "healthCheckNormalStatus": "http_2xx|http_3xx",
        "serverTimeout": 30,
    },
}
"""[docs] What each kind of listener has when nothing is said."""

LAST_PORT = 65535


def _require(context: Context) -> Resource:
    return context.require(KIND, context.path["blbId"], "load balancer")


def _status(context: Context, blb: Resource) -> str:
    return state_at(blb.body["status"], context.now)


def _begin(context: Context) -> Resource:
    """The balancer, when nothing else is being done to it; from now on something is."""
    blb = _require(context)
    if (state := _status(context, blb)) != "available":
        raise ApiError(409, "LastOperationNotFinished", f"load balancer {blb.key} is {state}")
    blb.body["status"] = context.passing("updating", "available")
    context.store.save(blb)
    return blb


def _show(context: Context, blb: Resource) -> JsonObject:
    bound = eip.of_instance(context, blb.key)
    return {**shown(blb.body), "status": _status(context, blb), "publicIp": bound[0] if bound else ""}


def create(context: Context) -> JsonObject:
    """A balancer with an address of a subnet."""
    body = context.body
    vpc = context.require("vpc", body["vpcId"], "VPC")
    place = subnet.require(context, body["subnetId"])
    if place.parent != vpc.key:
        raise inappropriate(f"subnetId: {place.key} is of VPC {place.parent}, not of {vpc.key}")
    context.quotas.check("blb", context.store.count(KIND, context.scope))
    taken = subnet.take_address(context, place, body.get("address"))
    blb_id = new_id("lb")
    record: JsonObject = {
        "blbId": blb_id,
        "name": body.get("name", blb_id),
        "desc": body.get("desc", ""),
        "address": taken,
        "status": context.passing("creating", "available"),
        "vpcId": vpc.key,
        "subnetId": place.key,
        "createTime": timestamp(context.now),
        "allowDelete": body.get("allowDelete", True),
        "tags": body.get("tags", []),
        "_address": taken,
    }
    context.make(KIND, blb_id, record, parent=place.key)
    if body.get("eip"):
        eip.attach(context, body["eip"], "BLB", blb_id)
    return {"blbId": blb_id, "name": record["name"], "desc": record["desc"], "address": taken}


def list_all(context: Context) -> JsonObject:
    """Pages of balancers; by id, address, name, or the instance behind them."""
    names = (
        ("blbId", "address", "name")
        if context.query.get("exactlyMatch", "").lower() == "true"
        else ("blbId", "address")
    )
    equal = {name: context.query[name] for name in names if context.query.get(name)}
    part, instance_id = context.query.get("name", ""), context.query.get("bccId", "")
    if (part and "name" not in equal) or instance_id:
        chosen = [
            blb
            for blb in context.store.find(KIND, context.scope, equal=equal)
            if part in blb.body["name"]
            and (not instance_id or context.store.get(BACKEND, _backend_key(blb, instance_id)) is not None)
        ]
        return page_of(context, "blbList", chosen, lambda blb: _show(context, blb))
    return page(context, KIND, "blbList", lambda blb: _show(context, blb), equal=equal)


def get(context: Context) -> JsonObject:
    """One balancer with its listeners."""
    blb = _require(context)
    vpc = context.require("vpc", blb.body["vpcId"], "VPC")
    listeners = [
        {"port": str(one.body["listenerPort"]), "type": one.body["_type"]}
        for one in context.store.find(LISTENER, parent=blb.key)
    ]
    more = {"cidr": vpc.body["cidr"], "vpcName": vpc.body["name"], "listener": listeners}
    return {**_show(context, blb), **more}


def update(context: Context) -> None:
    """Change name and description."""
    blb = _begin(context)
    blb.body |= context.body
    context.store.save(blb)


def delete(context: Context) -> None:
    """With its listeners and backends; its elastic address is free again."""
    blb = _begin(context)
    if not blb.body["allowDelete"]:
        raise denied(f"load balancer {blb.key} is protected from deletion")
    for part in context.store.children(blb.key):
        context.store.remove(part)
    for address in eip.of_instance(context, blb.key):
        eip.detach(context, address)
    context.leave(blb, "unavailable")


def _check_listener(listener: JsonObject) -> None:
    for name in ("listenerPort", "backendPort"):
        between(name, listener[name], 1, LAST_PORT)
    one_of("scheduler", listener["scheduler"], SCHEDULERS)
    for name, (_, low, high) in HEALTH.items():
        between(name, listener[name], low, high)


def _clashing(kind: str) -> tuple[str, ...]:
    """The kinds of listeners that cannot share a port with this one. [docs] UDP has ports of its own."""
    return ("UDP",) if kind == "UDP" else ("TCP", "HTTP")


def _listener_key(blb: Resource, kind: str, port: int) -> str:
    return f"{blb.key}:{kind}:{port}"


def _create_listener(kind: str) -> Callable[[Context], None]:
    def create_listener(context: Context) -> None:
        """Listen on a port that is free."""
        listener: JsonObject = {name: default for name, (default, _, _) in HEALTH.items()}
        listener |= {**DEFAULTS[kind], **context.body}
        _check_listener(listener)
        blb, port = _begin(context), listener["listenerPort"]
        for other in _clashing(kind):
            if context.store.get(LISTENER, _listener_key(blb, other, port)):
                raise ApiError(400, "ListenerAlreadyExist", f"load balancer {blb.key} has {other} port {port} already")
        context.quotas.check("blb-listener", context.store.count(LISTENER, parent=blb.key))
        context.make(LISTENER, _listener_key(blb, kind, port), {**listener, "_type": kind}, parent=blb.key)

    return create_listener


def _update_listener(kind: str) -> Callable[[Context], None]:
    def update_listener(context: Context) -> None:
        """Change anything but the port."""
        listener = _listener(context, _require(context), kind)
        changed = {**listener.body, **context.body}
        _check_listener(changed)
        _begin(context)
        listener.body = changed
        context.store.save(listener)

    return update_listener


def _list_listeners(kind: str) -> Callable[[Context], JsonObject]:
    def list_listeners(context: Context) -> JsonObject:
        """Pages of the listeners of a kind, or the one of a port."""
        equal: JsonObject = {"_type": kind}
        if context.query.get("listenerPort"):
            equal["listenerPort"] = _port(context)
        return page(context, LISTENER, "listenerList", lambda one: shown(one.body), _require(context).key, equal)

    return list_listeners


def list_all_listeners(context: Context) -> JsonObject:
    """Pages of listeners of every kind. [go] ``DescribeAllListenersResult``: each says its ``listenerType``."""
    equal: JsonObject = {"listenerPort": _port(context)} if context.query.get("listenerPort") else {}
    return page(context, LISTENER, "listenerList", _show_of_any_kind, _require(context).key, equal)


def _show_of_any_kind(listener: Resource) -> JsonObject:
    return {**shown(listener.body), "listenerType": listener.body["_type"]}


def _port(context: Context) -> int:
    port = whole_number(context.query.get("listenerPort", ""))
    if port is None:
        raise inappropriate("listenerPort: is no port")
    return port


def _listener(context: Context, blb: Resource, *kinds: str) -> Resource:
    """The listener of the query's port."""
    port = _port(context)
    for kind in kinds:
        if found := context.store.get(LISTENER, _listener_key(blb, kind, port)):
            return found
    raise no_such(f"{' or '.join(kinds)} listener of load balancer {blb.key}", str(port))


def delete_listeners(context: Context) -> None:
    """All of the ports named, or none. A bare port is of every kind."""
    blb, body = _require(context), context.body
    wanted = [(port, tuple(DEFAULTS)) for port in body.get("portList", [])]
    for pair in body.get("portTypeList", []):
        pair = checked(pair, fields("port:n! type!"), "portTypeList.")
        wanted.append((pair["port"], (pair["type"],)))
    if not wanted:
        raise inappropriate("portList: is missing, and so is portTypeList")
    _begin(context)
    for port, kinds in wanted:
        found = [context.store.get(LISTENER, _listener_key(blb, kind, port)) for kind in kinds]
        if not any(found):
            raise no_such(f"listener of load balancer {blb.key}", str(port))
        for listener in found:
            if listener:
                context.store.remove(listener)


def _backend_key(blb: Resource, instance_id: str) -> str:
    return f"{blb.key}:{instance_id}"


def _servers(context: Context) -> list[JsonObject]:
    servers = [checked(one, _SERVER, "backendServerList.") for one in context.body["backendServerList"]]
    if not servers:
        raise inappropriate("backendServerList: is empty")
    for server in servers:
        between("weight", server["weight"], 0, HIGHEST_WEIGHT)
    return servers


def add_backends(context: Context) -> None:
    """Instances of the same VPC."""
    servers, blb = _servers(context), _begin(context)
    context.quotas.check("blb-backend", context.store.count(BACKEND, parent=blb.key), len(servers))
    for server in servers:
        instance = context.require("instance", server["instanceId"], "instance")
        if instance.body["vpcId"] != blb.body["vpcId"]:
            raise denied(f"instance {instance.key} is not in VPC {blb.body['vpcId']}")
        key = _backend_key(blb, instance.key)
        if context.store.get(BACKEND, key):
            raise denied(f"instance {instance.key} is a backend of load balancer {blb.key} already")
        record = {
            "instanceId": instance.key,
            "weight": server["weight"],
            "privateIp": instance.body["internalIp"],
        }
        context.make(BACKEND, key, record, parent=blb.key)


def _backend(context: Context, blb: Resource, instance_id: str) -> Resource:
    found = context.store.get(BACKEND, _backend_key(blb, instance_id))
    if found is None:
        raise no_such(f"backend of load balancer {blb.key}", instance_id)
    return found


def update_backends(context: Context) -> None:
    """Change weights."""
    servers, blb = _servers(context), _begin(context)
    for server in servers:
        backend = _backend(context, blb, server["instanceId"])
        backend.body["weight"] = server["weight"]
        context.store.save(backend)


def remove_backends(context: Context) -> None:
    """Send these instances no more."""
    blb = _begin(context)
    for instance_id in context.body["backendServerList"]:
        context.store.remove(_backend(context, blb, instance_id))


def _show_backend(context: Context, backend: Resource, port: int | None) -> JsonObject:
    """[docs] ``Alive`` or ``Dead``; [assumed] without a port, it is alive when every listener finds it so."""
    return {**backend.body, "status": "Alive" if _is_alive(context, backend, port) else "Dead"}


def _is_alive(context: Context, backend: Resource, port: int | None) -> bool:
    """What the data plane found out by asking; without one, whether the instance runs."""
    instance = context.store.get("instance", backend.body["instanceId"])
    running = (
        instance is not None
        and state_at(instance.body["status"], context.now) == "Running"
        and instance.body["zoneName"] not in context.outages
    )
    found = read_status(context.store.directory, backend.parent or "")
    if found is None or not running:
        return running
    healthy = found.get("healthy", ())
    return all(
        target(one.body["_type"], one.body["listenerPort"], backend.body["instanceId"]) in healthy
        for one in context.store.find(LISTENER, parent=backend.parent)
        if port in (None, one.body["listenerPort"])
    )


def target(listener: str, port: int, instance_id: str) -> str:
    """A backend as one listener has it, by which the data plane says who is healthy."""
    return f"{listener}:{port}:{instance_id}"


def list_backends(context: Context) -> JsonObject:
    """Pages of backends; with a port, as its listener finds them."""
    blb = _require(context)
    port = _port(context) if context.query.get("listenerPort") else None
    listener = None if port is None else _listener(context, blb, *DEFAULTS).body
    reply = page(context, BACKEND, "backendServerList", lambda one: _show_backend(context, one, port), blb.key)
    if listener is not None:
        reply |= {name: listener[name] for name in ("listenerPort", "backendPort")} | {"type": listener["_type"]}
    return reply


_CREATE = fields("vpcId! subnetId! name desc address eip type billing:{} tags:[{}] allowDelete:b")
_SERVER = fields("instanceId! weight:i! privateIp")
_SERVERS = fields("backendServerList:[{}]!")
_COMMON = (
    "healthCheckType healthCheckTimeoutInSecond:i healthCheckInterval:i unhealthyThreshold:i healthyThreshold:i"
    " healthCheckPort:i"
)
_OWN = {
    "TCP": "tcpSessionTimeout:i",
    "UDP": "udpSessionTimeout:i healthCheckString",
    "HTTP": (
        "keepSession:b keepSessionType keepSessionDuration:i keepSessionCookieName xForwardFor:b xForwardedProto:b"
        " healthCheckURI healthCheckNormalStatus healthCheckHost serverTimeout:i redirectPort:i"
    ),
}
_ALL = "/v1/blb"
_ONE = _ALL + "/{blbId}"
_BACKENDS = _ONE + "/backendserver"


def _listener_calls(kind: str) -> tuple[Call, ...]:
    path, name, own = f"{_ONE}/{kind}listener", f"{kind.lower()}_listener", _OWN[kind]
    created = fields(f"listenerPort:i! backendPort:i! scheduler! {_COMMON} {own}")
    updated = fields(f"backendPort:i scheduler {_COMMON} {own}")
    return (
        Call(f"create_{name}", "POST", path, _create_listener(kind), created),
        Call(f"describe_{name}", "GET", path, _list_listeners(kind)),
        Call(f"update_{name}", "PUT", path, _update_listener(kind), updated),
    )


SERVICE = Service(
    "blb",
    (
        Call("create_loadbalancer", "POST", _ALL, create, _CREATE),
        Call("describe_loadbalancers", "GET", _ALL, list_all),
        Call("describe_loadbalancer_detail", "GET", _ONE, get),
        Call("update_loadbalancer", "PUT", _ONE, update, fields("name desc allowDelete:b")),
        Call("delete_loadbalancer", "DELETE", _ONE, delete),
        *(call for kind in DEFAULTS for call in _listener_calls(kind)),
        Call(
            "delete_listeners",
            "PUT",
            _ONE + "/listener",
            delete_listeners,
            fields("portList:[i] portTypeList:[{}]"),
            "batchdelete",
        ),
        Call("describe_all_listeners", "GET", _ONE + "/listener", list_all_listeners),
        Call("add_backend_servers", "POST", _BACKENDS, add_backends, _SERVERS),
        Call("describe_backend_servers, describe_health_status", "GET", _BACKENDS, list_backends),
        Call("update_backend_servers", "PUT", _BACKENDS, update_backends, _SERVERS, "update"),
        Call("remove_backend_servers", "PUT", _BACKENDS, remove_backends, fields("backendServerList:[]!")),
    ),
    endpoint="blb",
)
