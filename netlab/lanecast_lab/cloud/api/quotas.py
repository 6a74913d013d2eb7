"""How many an account may have of each kind; settable, since the real ones are raised on request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lanecast_lab.cloud.api.errors import over_quota


@dataclass(frozen=True, slots=True)
class Quota:
    """A limit and what it counts within."""

    limit: int
    text: str
    source: str


DEFAULTS = {
    "vpc": Quota(10, "VPCs in a region", "docs: VPC, usage restrictions"),
    "subnet": Quota(10, "subnets in a VPC", "docs: VPC, usage restrictions"),
    "secondary-cidr": Quota(5, "secondary CIDRs of a VPC", "docs: VPC, usage restrictions"),
    "route-rule": Quota(50, "rules in a route table", "docs: VPC, usage restrictions"),
    "security-group": Quota(20, "security groups in a VPC", "docs: VPC, usage restrictions"),
    "security-group-rule": Quota(100, "rules a direction in a security group", "docs: VPC, usage restrictions"),
    "enterprise-security-group": Quota(20, "enterprise security groups in a region", "assumed"),
    "enterprise-security-group-rule": Quota(100, "rules a direction in such a group", "assumed"),
    "acl-rule": Quota(150, "ACL rules a direction in a subnet", "docs: VPC, usage restrictions"),
    "peering": Quota(10, "peerings of a VPC", "assumed"),
    "nat": Quota(10, "NAT gateways in a VPC", "assumed"),
    "nat-rule": Quota(100, "rules of a kind in a NAT gateway", "assumed"),
    "eip": Quota(20, "elastic addresses in a region", "assumed"),
    "et-channel": Quota(100, "channels of a line", "assumed"),
    "et-gateway": Quota(10, "dedicated-line gateways in a VPC", "assumed"),
    "instance": Quota(100, "instances in a region", "assumed"),
    "havip": Quota(50, "high-availability virtual addresses in a VPC", "assumed"),
    "havip-instance": Quota(5, "instances bound to such an address", "docs: VPC, bind instance to HAVIP"),
    "blb": Quota(20, "load balancers in a region", "assumed"),
    "blb-listener": Quota(50, "listeners of a load balancer", "assumed"),
    "blb-backend": Quota(50, "backends of a load balancer", "assumed"),
    "csn": Quota(10, "cloud smart networks of an account", "assumed"),
    "csn-bandwidth": Quota(20, "bandwidth packages of an account", "assumed"),
    "app-server-group": Quota(50, "server groups of an application load balancer", "assumed"),
    "private-zone": Quota(100, "private zones of an account", "assumed"),
    "private-record": Quota(1000, "records of a private zone", "assumed"),
}


@dataclass(frozen=True, slots=True)
class Quotas:
    """The limits that this server keeps: the vendor's, and what the command line says otherwise."""

    changed: Mapping[str, int] = field(default_factory=dict)

    def limit(self, name: str) -> int:
        """How many there may be."""
        return self.changed.get(name, DEFAULTS[name].limit)

    def check(self, name: str, there: int, more: int = 1) -> None:
        """Refuse when ``more`` beside those that are ``there`` would be too many."""
        limit = self.limit(name)
        if there + more > limit:
            raise over_quota(f"at most {limit} {DEFAULTS[name].text}; there are {there}")
