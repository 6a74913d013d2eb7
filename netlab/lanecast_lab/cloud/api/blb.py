"""Load balancers with listeners and backends: ``BlbClient`` of the SDK.

Replies are bce-sdk-go's ``BLBModel``, ``DescribeLoadBalancerDetailResult``, ``TCPListenerModel`` and its like,
``BackendServerStatus``; states are its ``BLBStatus``. Every write but the first answers 200 and leaves the balancer
``updating`` for a while, in which others are refused.
"""

from __future__ import annotations

from lanecast_lab.cloud.api.balancers import (
    CHANGED,
    CREATED,
    HIGHEST_WEIGHT,
    LAST_PORT,
    LISTENERS_DELETED,
    Balancers,
    asked_port,
    check_listener,
)
from lanecast_lab.cloud.api.calls import (
    Call,
    Context,
    JsonObject,
    Service,
    between,
    checked,
    fields,
)
from lanecast_lab.cloud.api.errors import denied, inappropriate, no_such
from lanecast_lab.cloud.api.paging import page
from lanecast_lab.cloud.api.store import Resource
from lanecast_lab.cloud.data_plane.status import read_status, target_name

KIND, LISTENER, BACKEND = "blb", "blb-listener", "blb-backend"
HEALTH = {
    "healthCheckTimeoutInSecond": (3, 1, 60),
    "healthCheckInterval": (3, 1, 10),
    "unhealthyThreshold": (3, 2, 5),
    "healthyThreshold": (3, 2, 5),
}
"""[docs] What is checked how often: the default, the least and the most."""

_HEALTH_DEFAULTS: JsonObject = {name: default for name, (default, _, _) in HEALTH.items()}
DEFAULTS: dict[str, JsonObject] = {
    "TCP": {**_HEALTH_DEFAULTS, "tcpSessionTimeout": 900},
    "UDP": {**_HEALTH_DEFAULTS, "udpSessionTimeout": 90, "healthCheckString": ""},
    "HTTP": {
        **_HEALTH_DEFAULTS,
        "keepSession": False,
        "xForwardFor": False,
        "healthCheckType": "HTTP",
        "healthCheckURI": "/",
        "healthCheckNormalStatus": "http_2xx|http_3xx",
        "serverTimeout": 30,
    },
}
"""[docs] What each kind of listener has when nothing is said."""


def _check_listener(listener: JsonObject) -> None:
    check_listener(listener)
    for name in ("backendPort", "healthCheckPort"):
        if name in listener:
            between(name, listener[name], 1, LAST_PORT)
    for name, (_, low, high) in HEALTH.items():
        between(name, listener[name], low, high)


def _backend_key(blb: Resource, instance_id: str) -> str:
    return f"{blb.key}:{instance_id}"


def _is_behind(context: Context, blb: Resource, instance_id: str) -> bool:
    return context.store.get(BACKEND, _backend_key(blb, instance_id)) is not None


BALANCERS = Balancers(KIND, LISTENER, DEFAULTS, _check_listener, _is_behind)


def _servers(context: Context) -> list[JsonObject]:
    servers = [checked(one, _SERVER, "backendServerList.") for one in context.body["backendServerList"]]
    if not servers:
        raise inappropriate("backendServerList: is empty")
    for server in servers:
        between("weight", server["weight"], 0, HIGHEST_WEIGHT)
    return servers


def add_backends(context: Context) -> None:
    """Instances of the same VPC."""
    servers, blb = _servers(context), BALANCERS.begin(context)
    context.quotas.check("blb-backend", context.store.count(BACKEND, parent=blb.key), len(servers))
    for server in servers:
        instance = context.require_lasting("instance", server["instanceId"], "instance")
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
    servers, blb = _servers(context), BALANCERS.begin(context)
    for server in servers:
        backend = _backend(context, blb, server["instanceId"])
        backend.body["weight"] = server["weight"]
        context.store.save(backend)


def remove_backends(context: Context) -> None:
    """Send these instances no more."""
    blb = BALANCERS.begin(context)
    for instance_id in context.body["backendServerList"]:
        context.store.remove(_backend(context, blb, instance_id))


def _show_backend(context: Context, backend: Resource, port: int | None) -> JsonObject:
    """[docs] ``Alive`` or ``Dead``; [assumed] without a port, it is alive when every listener finds it so."""
    return {**backend.body, "status": "Alive" if _is_alive(context, backend, port) else "Dead"}


def _is_alive(context: Context, backend: Resource, port: int | None) -> bool:
    """What the data plane found out by asking; without one, whether the instance runs."""
    running = context.running(backend.body["instanceId"]) is not None
    found = read_status(context.store.directory, backend.parent or "")
    if found is None or not running:
        return running
    healthy = found.get("healthy", ())
    return all(
        target_name(one.body["_type"], one.body["listenerPort"], backend.body["instanceId"]) in healthy
        for one in context.store.find(LISTENER, parent=backend.parent)
        if port in (None, one.body["listenerPort"])
    )


def list_backends(context: Context) -> JsonObject:
    """Pages of backends; with a port, as its listener finds them."""
    blb = BALANCERS.require(context)
    port = asked_port(context) if context.query.get("listenerPort") else None
    listener = None if port is None else BALANCERS.find_listener(context, blb, *DEFAULTS).body
    reply = page(context, BACKEND, "backendServerList", lambda one: _show_backend(context, one, port), blb.key)
    if listener is not None:
        reply |= {name: listener[name] for name in ("listenerPort", "backendPort")} | {"type": listener["_type"]}
    return reply


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
        Call(f"create_{name}", "POST", path, BALANCERS.create_listener(kind), created),
        Call(f"describe_{name}", "GET", path, BALANCERS.list_listeners(kind)),
        Call(f"update_{name}", "PUT", path, BALANCERS.update_listener(kind), updated),
    )


SERVICE = Service(
    "blb",
    (
        Call("create_loadbalancer", "POST", _ALL, BALANCERS.create, CREATED),
        Call("describe_loadbalancers", "GET", _ALL, BALANCERS.list_all),
        Call("describe_loadbalancer_detail", "GET", _ONE, BALANCERS.get),
        Call("update_loadbalancer", "PUT", _ONE, BALANCERS.update, CHANGED),
        Call("delete_loadbalancer", "DELETE", _ONE, BALANCERS.delete),
        *(call for kind in DEFAULTS for call in _listener_calls(kind)),
        Call(
            "delete_listeners",
            "PUT",
            _ONE + "/listener",
            BALANCERS.delete_listeners,
            LISTENERS_DELETED,
            "batchdelete",
        ),
        Call("describe_all_listeners", "GET", _ONE + "/listener", BALANCERS.list_all_listeners),
        Call("add_backend_servers", "POST", _BACKENDS, add_backends, _SERVERS),
        Call("describe_backend_servers, describe_health_status", "GET", _BACKENDS, list_backends),
        Call("update_backend_servers", "PUT", _BACKENDS, update_backends, _SERVERS, "update"),
        Call("remove_backend_servers", "PUT", _BACKENDS, remove_backends, fields("backendServerList:[]!")),
    ),
    endpoint="blb",
)
