"""Peerings: ``PeerConnClient`` of the SDK. Each side sees a record of its own, with its role.

Replies are bce-sdk-go's ``PeerConn``; states are its ``PEERCONN_STATUS_*`` and ``DNS_STATUS_*``.
"""

from __future__ import annotations

from dataclasses import replace

from lanecast_lab.cloud.api import route
from lanecast_lab.cloud.api.calls import (
    Call,
    Context,
    JsonObject,
    Service,
    between,
    fields,
    new_id,
    one_of,
    shown,
    timestamp,
)
from lanecast_lab.cloud.api.errors import ApiError, denied, inappropriate, no_such
from lanecast_lab.cloud.api.paging import page
from lanecast_lab.cloud.api.regions import REGIONS
from lanecast_lab.cloud.api.states import is_settled, settled, state_at
from lanecast_lab.cloud.api.store import Resource, Scope

KIND = "peering"
INITIATOR, ACCEPTOR = "initiator", "acceptor"
ANSWER_WITHIN_S = 7 * 24 * 3600.0
"""[SDK] Another account has so long to accept."""

MOST_MBPS = 10_000
"""[assumed] Of one peering."""


def _key(peering_id: str, role: str) -> str:
    return f"{peering_id}:{role}"


def _show(context: Context, peering: Resource) -> JsonObject:
    status = state_at(peering.body["status"], context.now)
    if status == "active" and peering.body["peerConnId"] in context.outages:
        status = "down"
    return {**shown(peering.body), "status": status, "dnsStatus": state_at(peering.body["dnsStatus"], context.now)}


def _own(context: Context, role: str | None = None) -> Resource:
    """The record of this account and region; of the wanted role, or the initiator's when both are here."""
    peering_id = context.path["peerConnId"]
    for one in (role,) if role else (INITIATOR, ACCEPTOR):
        found = context.store.get(KIND, _key(peering_id, one), context.scope)
        if found is not None:
            return found
    raise no_such("peering" + (f" as {role}" if role else ""), peering_id)


def _both(context: Context, peering: Resource) -> list[Resource]:
    keys = (_key(peering.body["peerConnId"], role) for role in (INITIATOR, ACCEPTOR))
    return [found for found in (context.store.get(KIND, key) for key in keys) if found]


def _status(context: Context, peering: Resource) -> str:
    return state_at(peering.body["status"], context.now)


def _require_initiator(context: Context, doing: str) -> Resource:
    """[SDK] Between two accounts only the initiator's may do it; with one account either side does."""
    peering = _own(context)
    if peering.body["role"] != INITIATOR and peering.body["peerAccountId"] != peering.account:
        raise denied(f"only the initiator's side can {doing} peering {peering.body['peerConnId']}")
    return peering


def _require_active(context: Context, peering: Resource) -> None:
    if (status := _status(context, peering)) != "active":
        raise denied(f"peering {peering.body['peerConnId']} is {status}, not active")


def _peer(context: Context) -> Resource:
    """The VPC at the other end."""
    body = context.body
    if body["peerRegion"] not in REGIONS:
        raise inappropriate(f"peerRegion: {body['peerRegion']!r} is no region")
    scope = Scope(body.get("peerAccountId") or context.scope.account, body["peerRegion"])
    peer = context.store.get("vpc", body["peerVpcId"], scope)
    if peer is None:
        raise ApiError(404, "NoSuchObject", f"no VPC {body['peerVpcId']!r} in region {body['peerRegion']}")
    return peer


def _check_pair(context: Context, local: Resource, peer: Resource) -> None:
    if local.key == peer.key:
        raise denied(f"VPC {local.key} cannot be peered with itself")
    if local.body["relay"] and peer.body["relay"]:
        raise denied(f"VPCs {local.key} and {peer.key} are relays both, and cannot be peered")
    for there in context.store.find(KIND, parent=local.key, equal={"peerVpcId": peer.key}):
        if _status(context, there) != "consult_failed":
            raise denied(f"VPCs {local.key} and {peer.key} have peering {there.body['peerConnId']} already")
    for vpc in (local, peer):
        context.quotas.check("peering", context.store.count(KIND, parent=vpc.key))


def create(context: Context) -> JsonObject:
    """Active by itself between VPCs of one account, wherever they are; another account has to accept."""
    body = context.body
    between("bandwidthInMbps", body["bandwidthInMbps"], 1, MOST_MBPS)
    local = context.require("vpc", body["localVpcId"], "VPC")
    peer = _peer(context)
    _check_pair(context, local, peer)
    peering_id = new_id("peerconn")
    if local.account == peer.account:
        status = context.passing("creating", "active")
    else:
        status = [["consulting", context.now + ANSWER_WITHIN_S], ["consult_failed", None]]
    for role, here, there in ((INITIATOR, local, peer), (ACCEPTOR, peer, local)):
        record = {
            "peerConnId": peering_id,
            "role": role,
            "status": status,
            "dnsStatus": settled("close"),
            "bandwidthInMbps": body["bandwidthInMbps"],
            "description": body.get("description", ""),
            "localIfId": new_id("qpif"),
            "localIfName": body.get("localIfName" if role == INITIATOR else "peerIfName", ""),
            "localVpcId": here.key,
            "localRegion": here.region,
            "peerVpcId": there.key,
            "peerRegion": there.region,
            "peerAccountId": there.account,
            "paymentTiming": body.get("billing", {}).get("paymentTiming", "Postpaid"),
            "createdTime": timestamp(context.now),
            "expiredTime": "",
            "deleteProtect": body.get("deleteProtect", False),
            "tags": body.get("tags", []),
            "_id": peering_id,
        }
        side = replace(context, scope=Scope(here.account, here.region))
        side.make(KIND, _key(peering_id, role), record, parent=here.key)
    return {"peerConnId": peering_id}


def list_all(context: Context) -> JsonObject:
    """Pages of a VPC's peerings."""
    vpc_id = context.query.get("vpcId", "")
    if not vpc_id:
        raise inappropriate("vpcId: is missing")
    context.require("vpc", vpc_id, "VPC")
    return page(context, KIND, "peerConns", lambda one: _show(context, one), vpc_id)


def get(context: Context) -> JsonObject:
    """One side of a peering."""
    role = context.query.get("role") or None
    if role:
        one_of("role", role, (INITIATOR, ACCEPTOR))
    return _show(context, _own(context, role))


def update(context: Context) -> None:
    """Change the name of this side's interface, and the description."""
    for peering in _both(context, _own(context)):
        if peering.body["localIfId"] == context.body["localIfId"]:
            peering.body |= {
                name: context.body[name] for name in ("description", "localIfName") if name in context.body
            }
            context.store.save(peering)
            return
    raise inappropriate(f"localIfId: {context.body['localIfId']!r} is no interface of this peering")


def resize(context: Context) -> None:
    """Change the bandwidth of both directions."""
    peering = _require_initiator(context, "resize")
    _require_active(context, peering)
    wanted = context.body["newBandwidthInMbps"]
    between("newBandwidthInMbps", wanted, 1, MOST_MBPS)
    for side in _both(context, peering):
        side.body |= {"bandwidthInMbps": wanted, "status": context.passing("updating", "active")}
        context.store.save(side)


def _answer(context: Context, accepted: bool) -> None:
    peering = _own(context, ACCEPTOR)
    if (status := _status(context, peering)) != "consulting":
        raise denied(f"peering {peering.body['peerConnId']} is {status}, not consulting")
    for side in _both(context, peering):
        side.body["status"] = context.passing("creating", "active") if accepted else settled("consult_failed")
        context.store.save(side)


def accept(context: Context) -> None:
    """The other account accepts."""
    _answer(context, accepted=True)


def reject(context: Context) -> None:
    """The other account rejects."""
    _answer(context, accepted=False)


def _sync_dns(context: Context, states: tuple[str, str]) -> None:
    role = context.query.get("role", "")
    one_of("role", role, (INITIATOR, ACCEPTOR))
    peering = _own(context, role)
    _require_active(context, peering)
    if not is_settled(peering.body["dnsStatus"], context.now):
        raise denied(f"the DNS of peering {peering.body['peerConnId']} is still changing")
    if state_at(peering.body["dnsStatus"], context.now) == states[1]:
        return
    peering.body["dnsStatus"] = context.passing(*states)
    context.store.save(peering)


def open_dns_sync(context: Context) -> None:
    """Let this side resolve the other side's names."""
    _sync_dns(context, ("syncing", "open"))


def close_dns_sync(context: Context) -> None:
    """This side resolves the other side's names no longer."""
    _sync_dns(context, ("closing", "close"))


def protect(context: Context) -> None:
    """Forbid or allow deletion."""
    for side in _both(context, _require_initiator(context, "protect")):
        side.body["deleteProtect"] = context.body["deleteProtect"]
        context.store.save(side)


def delete(context: Context) -> None:
    """Take both sides away, when no route of either needs it."""
    peering = _require_initiator(context, "delete")
    if peering.body["deleteProtect"]:
        raise denied(f"peering {peering.body['peerConnId']} is protected from deletion")
    if (status := _status(context, peering)) not in (
        "active",
        "consulting",
        "consult_failed",
        "down",
        "expired",
        "error",
    ):
        raise denied(f"peering {peering.body['peerConnId']} is {status}")
    sides = _both(context, peering)
    route.check_not_a_next_hop(context, peering.body["peerConnId"], *(side.body["localIfId"] for side in sides))
    for side in sides:
        context.leave(side, "deleting")


_CREATE = fields(
    "bandwidthInMbps:i! localVpcId! peerVpcId! peerRegion! peerAccountId localIfName peerIfName description"
    " billing:{} tags:[{}] deleteProtect:b resourceGroupId"
)
_ONE = "/v1/peerconn/{peerConnId}"

SERVICE = Service(
    "peerconn",
    (
        Call("create_peerconn", "POST", "/v1/peerconn", create, _CREATE),
        Call("list_peerconns", "GET", "/v1/peerconn", list_all),
        Call("get_peerconn", "GET", _ONE, get),
        Call("update_peerconn", "PUT", _ONE, update, fields("localIfId! localIfName description")),
        Call("resize_peerconn", "PUT", _ONE, resize, fields("newBandwidthInMbps:i!"), "resize"),
        Call("handle_peerconn accept", "PUT", _ONE, accept, (), "accept"),
        Call("handle_peerconn reject", "PUT", _ONE, reject, (), "reject"),
        Call("open_peerconn_dns_sync", "PUT", _ONE, open_dns_sync, (), "open"),
        Call("close_peerconn_dns_sync", "PUT", _ONE, close_dns_sync, (), "close"),
        Call("update_peerconn_delete_protect", "PUT", _ONE + "/deleteProtect", protect, fields("deleteProtect:b!")),
        Call("delete_peerconn", "DELETE", _ONE, delete),
    ),
)
