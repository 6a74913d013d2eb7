"""What both kinds of load balancers have: the balancer itself with its address, and the ports that it listens on.

Every write but the first answers 200 and leaves the balancer ``updating`` for a while, in which others are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lanecast_lab.cloud.api import eip, subnet
from lanecast_lab.cloud.api.calls import (
    Context,
    JsonObject,
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

SCHEDULERS = ("RoundRobin", "LeastConnection", "Hash")
HIGHEST_WEIGHT = 100
"""[docs] Of a backend; 0 takes no new flows."""

LAST_PORT = 65535
SESSION_TIMEOUTS_S = {"tcpSessionTimeout": (10, 4000), "udpSessionTimeout": (10, 4000)}
"""[docs] Of TCP; [assumed] the same of UDP."""

CREATED = fields("vpcId! subnetId! name desc address eip type billing:{} tags:[{}] allowDelete:b")
CHANGED = fields("name desc allowDelete:b")
LISTENERS_DELETED = fields("portList:[i] portTypeList:[{}]")


def asked_port(context: Context, name: str = "listenerPort") -> int:
    """The port that the query names."""
    port = whole_number(context.query.get(name, ""))
    if port is None:
        raise inappropriate(f"{name}: is no port")
    return port


def check_listener(listener: JsonObject) -> None:
    """What listeners of both kinds of balancers have alike."""
    between("listenerPort", listener["listenerPort"], 1, LAST_PORT)
    one_of("scheduler", listener["scheduler"], SCHEDULERS)
    for name, (low, high) in SESSION_TIMEOUTS_S.items():
        if name in listener:
            between(name, listener[name], low, high)


def _clashing(kind: str) -> tuple[str, ...]:
    """The kinds of listeners that cannot share a port with this one. [docs] UDP has ports of its own."""
    return ("UDP",) if kind == "UDP" else ("TCP", "HTTP")


def _show_of_any_kind(listener: Resource) -> JsonObject:
    return {**shown(listener.body), "listenerType": listener.body["_type"]}


@dataclass(frozen=True, slots=True)
class Balancers:
    """One kind of load balancers: of which kind the resources are, and what its listeners have.

    ``listeners``: what a listener of each type has when nothing is said; ``check``: refuses what one cannot be;
    ``is_behind``: whether an instance is a backend of a balancer.
    """

    kind: str
    listener: str
    listeners: Mapping[str, JsonObject]
    check: Callable[[JsonObject], None]
    is_behind: Callable[[Context, Resource, str], bool]

    def require(self, context: Context) -> Resource:
        """The balancer, or the refusal that there is none."""
        return context.require(self.kind, context.path["blbId"], "load balancer")

    def status(self, context: Context, blb: Resource) -> str:
        """Its state now."""
        return state_at(blb.body["status"], context.now)

    def begin(self, context: Context) -> Resource:
        """The balancer, when nothing else is being done to it; from now on something is."""
        blb = self.require(context)
        if (state := self.status(context, blb)) != "available":
            raise ApiError(409, "LastOperationNotFinished", f"load balancer {blb.key} is {state}")
        blb.body["status"] = context.passing("updating", "available")
        context.store.save(blb)
        return blb

    def show(self, context: Context, blb: Resource) -> JsonObject:
        """A balancer as the API shows it."""
        bound = eip.of_instance(context, blb.key)
        return {**shown(blb.body), "status": self.status(context, blb), "publicIp": bound[0] if bound else ""}

    def create(self, context: Context) -> JsonObject:
        """A balancer with an address of a subnet."""
        body = context.body
        vpc = context.require("vpc", body["vpcId"], "VPC")
        place = subnet.require(context, body["subnetId"])
        if place.parent != vpc.key:
            raise inappropriate(f"subnetId: {place.key} is of VPC {place.parent}, not of {vpc.key}")
        context.quotas.check("blb", context.store.count(self.kind, context.scope))
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
        context.make(self.kind, blb_id, record, parent=place.key)
        if body.get("eip"):
            eip.attach(context, body["eip"], "BLB", blb_id)
        return {"blbId": blb_id, "name": record["name"], "desc": record["desc"], "address": taken}

    def list_all(self, context: Context) -> JsonObject:
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
                for blb in context.store.find(self.kind, context.scope, equal=equal)
                if part in blb.body["name"] and (not instance_id or self.is_behind(context, blb, instance_id))
            ]
            return page_of(context, "blbList", chosen, lambda blb: self.show(context, blb))
        return page(context, self.kind, "blbList", lambda blb: self.show(context, blb), equal=equal)

    def get(self, context: Context) -> JsonObject:
        """One balancer with its listeners."""
        blb = self.require(context)
        vpc = context.require("vpc", blb.body["vpcId"], "VPC")
        listeners = [
            {"port": str(one.body["listenerPort"]), "type": one.body["_type"]}
            for one in context.store.find(self.listener, parent=blb.key)
        ]
        more = {"cidr": vpc.body["cidr"], "vpcName": vpc.body["name"], "listener": listeners}
        return {**self.show(context, blb), **more}

    def update(self, context: Context) -> None:
        """Change name and description."""
        blb = self.begin(context)
        blb.body |= context.body
        context.store.save(blb)

    def delete(self, context: Context) -> None:
        """With its listeners and backends; its elastic address is free again."""
        blb = self.begin(context)
        if not blb.body["allowDelete"]:
            raise denied(f"load balancer {blb.key} is protected from deletion")
        for part in context.store.children(blb.key):
            context.store.remove_tree(part)
        for address in eip.of_instance(context, blb.key):
            eip.detach(context, address)
        context.leave(blb, "unavailable")

    def listener_key(self, blb: Resource, kind: str, port: int) -> str:
        """By which a listener is kept: one for each type and port."""
        return f"{blb.key}:{kind}:{port}"

    def create_listener(self, kind: str) -> Callable[[Context], None]:
        """The call that makes listeners of a type."""

        def create_listener(context: Context) -> None:
            """Listen on a port that is free."""
            listener: JsonObject = {**self.listeners[kind], **context.body}
            self.check(listener)
            blb, port = self.begin(context), listener["listenerPort"]
            for other in _clashing(kind):
                if context.store.get(self.listener, self.listener_key(blb, other, port)):
                    raise ApiError(
                        400, "ListenerAlreadyExist", f"load balancer {blb.key} has {other} port {port} already"
                    )
            context.quotas.check("blb-listener", context.store.count(self.listener, parent=blb.key))
            context.make(self.listener, self.listener_key(blb, kind, port), {**listener, "_type": kind}, parent=blb.key)

        return create_listener

    def update_listener(self, kind: str) -> Callable[[Context], None]:
        """The call that changes listeners of a type."""

        def update_listener(context: Context) -> None:
            """Change anything but the port."""
            listener = self.find_listener(context, self.require(context), kind)
            changed = {**listener.body, **context.body}
            self.check(changed)
            self.begin(context)
            listener.body = changed
            context.store.save(listener)

        return update_listener

    def list_listeners(self, kind: str) -> Callable[[Context], JsonObject]:
        """The call that lists listeners of a type."""

        def list_listeners(context: Context) -> JsonObject:
            """Pages of the listeners of a kind, or the one of a port."""
            equal: JsonObject = {"_type": kind}
            if context.query.get("listenerPort"):
                equal["listenerPort"] = asked_port(context)
            return page(
                context, self.listener, "listenerList", lambda one: shown(one.body), self.require(context).key, equal
            )

        return list_listeners

    def list_all_listeners(self, context: Context) -> JsonObject:
        """Pages of listeners of every kind. [go] ``DescribeAllListenersResult``: each says its ``listenerType``."""
        equal: JsonObject = {"listenerPort": asked_port(context)} if context.query.get("listenerPort") else {}
        return page(context, self.listener, "listenerList", _show_of_any_kind, self.require(context).key, equal)

    def find_listener(self, context: Context, blb: Resource, *kinds: str) -> Resource:
        """The listener of the query's port."""
        port = asked_port(context)
        for kind in kinds:
            if found := context.store.get(self.listener, self.listener_key(blb, kind, port)):
                return found
        raise no_such(f"{' or '.join(kinds)} listener of load balancer {blb.key}", str(port))

    def delete_listeners(self, context: Context) -> None:
        """All of the ports named, or none. A bare port is of every kind."""
        blb, body = self.require(context), context.body
        wanted = [(port, tuple(self.listeners)) for port in body.get("portList", [])]
        for pair in body.get("portTypeList", []):
            pair = checked(pair, fields("port:n! type!"), "portTypeList.")
            wanted.append((pair["port"], (pair["type"],)))
        if not wanted:
            raise inappropriate("portList: is missing, and so is portTypeList")
        self.begin(context)
        for port, kinds in wanted:
            found = [context.store.get(self.listener, self.listener_key(blb, kind, port)) for kind in kinds]
            if not any(found):
                raise no_such(f"listener of load balancer {blb.key}", str(port))
            for listener in found:
                if listener:
                    context.store.remove_tree(listener)
