"""Load balancers with their listeners and the machines behind them."""

from __future__ import annotations

from typing import Any, Final

from baidubce.services.blb.blb_client import BlbClient

from lanecast_infra.provider.calls import Call
from lanecast_infra.provider.checks import address, between, one_of
from lanecast_infra.provider.declarations.common import (
    changed,
    chosen,
    description_field,
    first,
    joined,
    live_tags,
    name_field,
    parts_of,
    spelt_tags,
    status_output,
    tags_field,
)
from lanecast_infra.provider.model import Advice, Change, Field, Kind, Resource, States, Values

UPDATING: Final = frozenset({"LastOperationNotFinished"})
"""[docs] Every write leaves the balancer updating; until then it refuses others, so they queue up."""
QUEUES_FOR_S: Final = 600.0
LISTENER_IDENTITY: Final = ("blbId", "protocol", "listenerPort")
SERVER_IDENTITY: Final = ("blbId", "instanceId")


def _create(call: Call, inputs: Values) -> str:
    reply = call.ask(
        BlbClient,
        "create_loadbalancer",
        vpc_id=inputs["vpcId"],
        subnet_id=inputs["subnetId"],
        name=inputs["name"],
        desc=inputs["description"],
        address=inputs.get("address"),
        tags=spelt_tags(inputs.get("tags")),
        client_token=call.token("load-balancer"),
    )
    return str(reply["blbId"])


def _read(call: Call, blb_id: str) -> Values:
    blb = call.ask(BlbClient, "describe_loadbalancer_detail", blb_id=blb_id)
    live = {**chosen(blb, ("name", "address", "status", "vpcId", "subnetId")), **live_tags(blb)}
    return {**live, "description": blb["desc"]} if "desc" in blb else live


def _update(call: Call, blb_id: str, old: Values, new: Values) -> None:
    if changed(old, new, "name", "description"):
        call.ask(BlbClient, "update_loadbalancer", blb_id=blb_id, name=new["name"], desc=new["description"])


def _delete(call: Call, blb_id: str, inputs: Values) -> None:
    if _read(call, blb_id).get("status") != "unavailable":
        call.ask(BlbClient, "delete_loadbalancer", blb_id=blb_id)


LOAD_BALANCER: Final = Resource(
    name="LoadBalancer",
    doc="A load balancer with an address in a subnet.",
    fields=(
        name_field("create_loadbalancer: name"),
        Field("vpcId", Kind.STRING, "The VPC.", "create_loadbalancer: vpc_id", required=True, change=Change.REPLACE),
        Field(
            "subnetId",
            Kind.STRING,
            "The subnet that its address is of.",
            "create_loadbalancer: subnet_id",
            required=True,
            change=Change.REPLACE,
        ),
        Field(
            "address",
            Kind.STRING,
            "Its address.",
            "create_loadbalancer: address",
            change=Change.REPLACE,
            assigned=True,
            tests=(address,),
        ),
        description_field("create_loadbalancer: desc"),
        tags_field("create_loadbalancer: tags"),
    ),
    outputs=(status_output("describe_loadbalancer_detail: status [go]"),),
    create=_create,
    read=_read,
    update=_update,
    delete=_delete,
    states=States(frozenset({"available"}), frozenset({"paused"})),
    busy=UPDATING,
    busy_for_s=QUEUES_FOR_S,
    unique=("subnetId", "address"),
    unique_when="address",
)

HEALTH: Final = {
    "healthCheckInterval": "health_check_interval",
    "healthCheckTimeoutInSecond": "health_check_timeout_in_second",
    "healthyThreshold": "healthy_threshold",
    "unhealthyThreshold": "unhealthy_threshold",
    "healthCheckType": "health_check_type",
}
"""By field: the parameter of the creating calls; the changing ones spell two of them otherwise."""
OWN: Final = {
    "TCP": {},
    "UDP": {"healthCheckString": "health_check_string"},
    "HTTP": {"healthCheckUri": "health_check_uri"},
}
CHANGED: Final = {"healthy_threshold": "health_threshold", "unhealthy_threshold": "unhealth_threshold"}


def _listener_arguments(inputs: Values) -> dict[str, Any]:
    names = {**HEALTH, **OWN[inputs["protocol"]]}
    given = {parameter: inputs[name] for name, parameter in names.items() if name in inputs}
    return {**given, "backend_port": inputs["backendPort"], "scheduler": inputs["scheduler"]}


def _identity_of(inputs: Values) -> str:
    return joined(inputs["blbId"], inputs["protocol"], str(inputs["listenerPort"]))


def _find_listener(call: Call, inputs: Values) -> str | None:
    identity = _identity_of(inputs)
    return identity if _read_listener(call, identity) else None


def _create_listener(call: Call, inputs: Values) -> str:
    call.ask(
        BlbClient,
        f"create_{inputs['protocol'].lower()}_listener",
        blb_id=inputs["blbId"],
        listener_port=inputs["listenerPort"],
        client_token=call.token("listener"),
        **_listener_arguments(inputs),
    )
    return _identity_of(inputs)


def _read_listener(call: Call, identity: str) -> Values | None:
    blb_id, protocol, port = parts_of(identity, *LISTENER_IDENTITY)
    method = f"describe_{protocol.lower()}_listener"
    reply = call.ask(BlbClient, method, blb_id=blb_id, listener_port=int(port))
    found = first(reply.get("listenerList") or [], listenerPort=int(port))
    if found is None:
        return None
    live = chosen(found, ("listenerPort", "backendPort", "scheduler", "healthCheckString", *HEALTH))
    if "healthCheckURI" in found:
        live["healthCheckUri"] = found["healthCheckURI"]
    return {**live, "blbId": blb_id, "protocol": protocol}


def _update_listener(call: Call, identity: str, old: Values, new: Values) -> None:
    if old == new:
        return
    blb_id, protocol, port = parts_of(identity, *LISTENER_IDENTITY)
    arguments = {CHANGED.get(name, name): value for name, value in _listener_arguments(new).items()}
    method = f"update_{protocol.lower()}_listener"
    call.ask(BlbClient, method, blb_id=blb_id, listener_port=int(port), **arguments)


def _delete_listener(call: Call, identity: str, inputs: Values) -> None:
    blb_id, protocol, port = parts_of(identity, *LISTENER_IDENTITY)
    ports = [{"port": int(port), "type": protocol}]
    call.ask(BlbClient, "delete_listeners", blb_id=blb_id, port_type_list=ports)


def _own_mistakes(values: Values) -> list[tuple[str, str]]:
    own = {"healthCheckString": "UDP", "healthCheckUri": "HTTP"}
    return [
        (name, f"is for {protocol} listeners")
        for name, protocol in own.items()
        if name in values and values.get("protocol", protocol) != protocol
    ]


def _balancer_field(source: str) -> Field:
    return Field("blbId", Kind.STRING, "The load balancer.", source, required=True, change=Change.REPLACE)


def _health_field(name: str, doc: str, low: int, high: int, unit: str | None = None) -> Field:
    tests = (between(low, high),)
    return Field(
        name, Kind.INTEGER, doc, "create_tcp_listener; the range [docs]", assigned=True, unit=unit, tests=tests
    )


PORTS: Final = (between(1, 65535),)

LISTENER: Final = Resource(
    name="LoadBalancerListener",
    doc="A port of a load balancer, and how it spreads what arrives. Its id is blbId/protocol/listenerPort.",
    fields=(
        _balancer_field("create_tcp_listener: blb_id"),
        Field(
            "protocol",
            Kind.STRING,
            "What it speaks.",
            "create_tcp_, create_udp_, create_http_listener",
            required=True,
            change=Change.REPLACE,
            tests=(one_of("TCP", "UDP", "HTTP"),),
        ),
        Field(
            "listenerPort",
            Kind.INTEGER,
            "The port.",
            "create_tcp_listener: listener_port",
            required=True,
            change=Change.REPLACE,
            tests=PORTS,
        ),
        Field(
            "backendPort",
            Kind.INTEGER,
            "The port of the machines behind it.",
            "create_tcp_listener: backend_port",
            required=True,
            tests=PORTS,
        ),
        Field(
            "scheduler",
            Kind.STRING,
            "How it chooses a machine.",
            "create_tcp_listener: scheduler; the words [docs]",
            default="RoundRobin",
            tests=(one_of("RoundRobin", "LeastConnection", "Hash"),),
        ),
        Field("healthCheckType", Kind.STRING, "How it probes a machine.", "create_tcp_listener", assigned=True),
        _health_field("healthCheckInterval", "How often it probes.", 1, 10, "seconds"),
        _health_field("healthCheckTimeoutInSecond", "How long it waits for an answer.", 1, 60, "seconds"),
        _health_field("healthyThreshold", "How many answers make a machine healthy.", 2, 5),
        _health_field("unhealthyThreshold", "How many missing answers make it unhealthy.", 2, 5),
        Field("healthCheckString", Kind.STRING, "What a UDP probe sends.", "create_udp_listener", assigned=True),
        Field("healthCheckUri", Kind.STRING, "What an HTTP probe asks for.", "create_http_listener", assigned=True),
    ),
    create=_create_listener,
    find=_find_listener,
    read=_read_listener,
    update=_update_listener,
    delete=_delete_listener,
    busy=UPDATING,
    busy_for_s=QUEUES_FOR_S,
    unique=("blbId", "listenerPort"),
    rules=(_own_mistakes,),
    advice=(("ListenerAlreadyExist", Advice("listenerPort", "another listener has it: choose another")),),
)


def _find_server(call: Call, inputs: Values) -> str | None:
    identity = joined(inputs["blbId"], inputs["instanceId"])
    return identity if _read_server(call, identity) else None


def _create_server(call: Call, inputs: Values) -> str:
    server = [{"instanceId": inputs["instanceId"], "weight": inputs["weight"]}]
    call.ask(
        BlbClient,
        "add_backend_servers",
        blb_id=inputs["blbId"],
        backend_server_list=server,
        client_token=call.token("backend"),
    )
    return joined(inputs["blbId"], inputs["instanceId"])


def _read_server(call: Call, identity: str) -> Values | None:
    blb_id, instance_id = parts_of(identity, *SERVER_IDENTITY)
    servers = call.pages(BlbClient, "describe_backend_servers", "backendServerList", blb_id=blb_id)
    found = first(servers, instanceId=instance_id)
    return {"blbId": blb_id, **chosen(found, ("instanceId", "weight"))} if found else None


def _update_server(call: Call, identity: str, old: Values, new: Values) -> None:
    blb_id, instance_id = parts_of(identity, *SERVER_IDENTITY)
    if changed(old, new, "weight"):
        server = [{"instanceId": instance_id, "weight": new["weight"]}]
        call.ask(BlbClient, "update_backend_servers", blb_id=blb_id, backend_server_list=server)


def _delete_server(call: Call, identity: str, inputs: Values) -> None:
    blb_id, instance_id = parts_of(identity, *SERVER_IDENTITY)
    if _read_server(call, identity):
        call.ask(BlbClient, "remove_backend_servers", blb_id=blb_id, backend_server_list=[instance_id])


BACKEND: Final = Resource(
    name="LoadBalancerBackend",
    doc="A machine behind a load balancer. Its id is blbId/instanceId.",
    fields=(
        _balancer_field("add_backend_servers: blb_id"),
        Field(
            "instanceId",
            Kind.STRING,
            "The machine.",
            "add_backend_servers: backend_server_list",
            required=True,
            change=Change.REPLACE,
        ),
        Field(
            "weight",
            Kind.INTEGER,
            "Its share of new flows; 0 takes none.",
            "add_backend_servers: backend_server_list; the range [docs]",
            default=100,
            tests=(between(0, 100),),
        ),
    ),
    create=_create_server,
    find=_find_server,
    read=_read_server,
    update=_update_server,
    delete=_delete_server,
    busy=UPDATING,
    busy_for_s=QUEUES_FOR_S,
)

RESOURCES: Final = (LOAD_BALANCER, LISTENER, BACKEND)
