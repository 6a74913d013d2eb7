"""What the lists of a Comware text come to: permitted sources and groups, filters' rules."""

from __future__ import annotations

from ipaddress import IPv4Network

from lanecast.router import ANYWHERE
from lanecast_templates.readers.facts import AccessFacts
from lanecast_templates.readers.h3c_comware.declarations import Acl, Commands, fail

LINK_LOCAL = IPv4Network("224.0.0.0/24")
"""Groups that no router forwards (RFC 5771, section 4): PIM's own packets, queries."""
MULTICAST = IPv4Network("224.0.0.0/4")


def acl_of(commands: Commands, name: str) -> Acl:
    if name not in commands.acls:
        raise ValueError(f"there is no ACL {name}")
    return commands.acls[name]


def permitting(commands: Commands, name: str) -> list[AccessFacts]:
    """The rules of a list that permits some and denies the others, which it has to say."""
    held = acl_of(commands, name)
    *some, last = held.facts
    if last != AccessFacts(False, "ip", ANYWHERE, ANYWHERE, None, None):
        fail(held.line, f"{name} does not end with a rule that denies everything")
    if any(not rule.permit or rule.protocol != "ip" for rule in some):
        fail(held.line, f"{name} does not only permit before its end")
    return some


def permitted(commands: Commands, name: str) -> frozenset[IPv4Network]:
    """What a basic list permits."""
    held = acl_of(commands, name)
    if not held.basic:
        fail(held.line, f"{name} is no basic list")
    return frozenset(rule.source for rule in permitting(commands, name))


def filter_rules(commands: Commands, name: str) -> tuple[AccessFacts, ...]:
    """The rules of a list that packets are held against, of which those that are dropped have to be counted."""
    held = acl_of(commands, name)
    hold_to_vpn_instance(commands, name)
    if any(not rule.fact.permit and not rule.counting for rule in held.rules):
        fail(held.line, f"{name} does not count what it drops")
    return tuple(held.facts)


def hold_to_vpn_instance(commands: Commands, name: str) -> None:
    """Raises where a rule is not for packets of the interfaces' VPN instance, which it would not match."""
    held = acl_of(commands, name)
    vrfs = {each.vrf for each in commands.interfaces.values() if each.addresses}
    if any({rule.vrf} != vrfs for rule in held.rules):
        fail(held.line, f"{name} is not for packets of {vrfs}")


def groups_only(commands: Commands, name: str) -> frozenset[IPv4Network]:
    """Which groups may leave by an interface whose other packets all may."""
    first, *some, refused, last = filter_rules(commands, name)
    ends = (
        AccessFacts(True, "ip", ANYWHERE, LINK_LOCAL, None, None),
        AccessFacts(False, "ip", ANYWHERE, MULTICAST, None, None),
        AccessFacts(True, "ip", ANYWHERE, ANYWHERE, None, None),
    )
    if (first, refused, last) != ends or any(rule.source != ANYWHERE or not rule.permit for rule in some):
        fail(acl_of(commands, name).line, f"{name} is no boundary of groups")
    return frozenset(rule.destination for rule in some)
