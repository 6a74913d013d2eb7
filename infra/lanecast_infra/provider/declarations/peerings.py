"""Peerings of VPCs, both sides of them, across regions."""

from __future__ import annotations

from typing import Final

from baidubce.services.vpc.peerconn_client import PeerConnClient

from lanecast_infra.provider.calls import Call
from lanecast_infra.provider.checks import between
from lanecast_infra.provider.declarations.common import (
    Tag,
    changed,
    chosen,
    description_field,
    live_tags,
    status_output,
    tags_field,
)
from lanecast_infra.provider.failures import CloudError
from lanecast_infra.provider.model import Advice, Change, Field, Kind, Output, Resource, States, Values

INITIATOR: Final = "initiator"
ACCEPTOR: Final = "acceptor"
DNS_OPEN: Final = "open"
DNS_CLOSED: Final = "close"
GONE: Final = frozenset({"NoSuchObject", "NoSuchPeerConn"})


def _create(call: Call, inputs: Values) -> str:
    reply = call.ask(
        PeerConnClient,
        "create_peerconn",
        bandwidth_in_mbps=inputs["bandwidthInMbps"],
        local_vpc_id=inputs["localVpcId"],
        peer_vpc_id=inputs["peerVpcId"],
        peer_region=inputs["peerRegion"],
        peer_account_id=inputs.get("peerAccountId"),
        description=inputs["description"],
        local_if_name=inputs.get("localIfName"),
        tags=[Tag(key, value) for key, value in sorted(inputs.get("tags", {}).items())] or None,
        client_token=call.token("peering"),
    )
    return str(reply["peerConnId"])


def _read(call: Call, identity: str) -> Values:
    side = call.ask(PeerConnClient, "get_peerconn", peer_conn_id=identity, role=INITIATOR)
    names = (
        "bandwidthInMbps",
        "localVpcId",
        "peerVpcId",
        "peerRegion",
        "description",
        "localIfName",
        "localIfId",
        "status",
    )
    live = {**chosen(side, names), **live_tags(side)}
    states = {str(side.get("dnsStatus"))}
    if side.get("status") == "active" and (other := _other_side(call, identity, side["peerRegion"])):
        states.add(str(other.get("dnsStatus")))
        live["peerIfId"] = other["localIfId"]
    return {**live, "dnsSync": states == {DNS_OPEN}}


def _other_side(call: Call, identity: str, region: str) -> Values | None:
    """None when it is another account's, which this one does not see."""
    try:
        return _side(call, identity, ACCEPTOR, region)
    except CloudError as error:
        if error.code not in GONE:
            raise
        return None


def _side(call: Call, identity: str, role: str, region: str) -> Values:
    return call.ask(PeerConnClient, "get_peerconn", region=region, peer_conn_id=identity, role=role)


def _dns(call: Call, identity: str, role: str, region: str) -> str:
    return str(_side(call, identity, role, region).get("dnsStatus"))


def _finish(call: Call, identity: str, inputs: Values) -> None:
    """Both sides resolve each other's names; another account has to do so itself."""
    sides = [(INITIATOR, call.region)]
    if "peerAccountId" not in inputs:
        sides.append((ACCEPTOR, inputs["peerRegion"]))
    for role, region in sides:
        _sync_dns(call, identity, role, region, inputs["dnsSync"])


def _sync_dns(call: Call, identity: str, role: str, region: str, wanted: bool) -> None:
    method = "open_peerconn_dns_sync" if wanted else "close_peerconn_dns_sync"
    end = DNS_OPEN if wanted else DNS_CLOSED

    def left_to_do() -> str | None:
        state = _dns(call, identity, role, region)
        if state == end:
            return None
        if state in (DNS_OPEN, DNS_CLOSED):
            call.try_once(PeerConnClient, method, region=region, peer_conn_id=identity, role=role)
        return f"the {role}'s DNS is {state}, not {end}"

    call.until(left_to_do)


def _update(call: Call, identity: str, old: Values, new: Values) -> None:
    if changed(old, new, "description", "localIfName"):
        call.ask(
            PeerConnClient,
            "update_peerconn",
            peer_conn_id=identity,
            local_if_id=_read(call, identity)["localIfId"],
            description=new["description"],
            local_if_name=new.get("localIfName"),
        )
    if changed(old, new, "bandwidthInMbps"):
        bandwidth = new["bandwidthInMbps"]
        call.ask(PeerConnClient, "resize_peerconn", peer_conn_id=identity, new_bandwidth_in_mbps=bandwidth)
        call.until(lambda: None if (state := _read(call, identity)["status"]) == "active" else f"it is {state}")


def _delete(call: Call, identity: str, inputs: Values) -> None:
    if _read(call, identity).get("status") != "deleting":
        call.ask(PeerConnClient, "delete_peerconn", peer_conn_id=identity)


PEER_CONNECTION: Final = Resource(
    name="PeerConnection",
    doc="A peering of two VPCs, also of two regions. The region of the first VPC makes it; it is not transitive.",
    fields=(
        Field(
            "bandwidthInMbps",
            Kind.INTEGER,
            "How much it carries each way.",
            "create_peerconn: bandwidth_in_mbps; the range [docs]",
            unit="Mbit/s",
            required=True,
            tests=(between(1, 10_000),),
        ),
        Field(
            "localVpcId",
            Kind.STRING,
            "The VPC of this region.",
            "create_peerconn: local_vpc_id",
            required=True,
            change=Change.REPLACE,
        ),
        Field(
            "peerVpcId",
            Kind.STRING,
            "The other VPC.",
            "create_peerconn: peer_vpc_id",
            required=True,
            change=Change.REPLACE,
        ),
        Field(
            "peerRegion",
            Kind.STRING,
            "The other VPC's region.",
            "create_peerconn: peer_region",
            required=True,
            change=Change.REPLACE,
        ),
        Field(
            "peerAccountId",
            Kind.STRING,
            "The other VPC's account, when it is another one; it then has to accept.",
            "create_peerconn: peer_account_id",
            change=Change.REPLACE,
        ),
        description_field("create_peerconn: description"),
        Field(
            "localIfName",
            Kind.STRING,
            "The name of this side's interface.",
            "create_peerconn: local_if_name",
            assigned=True,
        ),
        Field(
            "dnsSync",
            Kind.BOOLEAN,
            "Whether both sides resolve each other's names.",
            "open_peerconn_dns_sync, close_peerconn_dns_sync",
            default=False,
        ),
        tags_field("create_peerconn: tags"),
    ),
    outputs=(
        status_output("get_peerconn: status"),
        Output(
            "localIfId",
            Kind.STRING,
            "This side's interface: what rules of this VPC name as their next hop.",
            "get_peerconn: localIfId",
        ),
        Output(
            "peerIfId",
            Kind.STRING,
            "The other side's interface, for rules there; absent while it is another account's.",
            "get_peerconn as the acceptor: localIfId",
        ),
    ),
    create=_create,
    read=_read,
    finish=_finish,
    update=_update,
    delete=_delete,
    states=States(frozenset({"active"}), frozenset({"consult_failed", "down", "expired", "error", "deleted"})),
    gone=GONE,
    busy=frozenset({"ResourceNeedRelease"}),
    unique=("localVpcId", "peerVpcId"),
    advice=(
        ("ResourceNeedRelease", Advice(None, "remove the route rules that lead to it first")),
        (
            "OperationDenied",
            Advice(None, "there may be one of these VPCs already, or both are transit VPCs; look in the console"),
        ),
    ),
)

RESOURCES: Final = (PEER_CONNECTION,)
