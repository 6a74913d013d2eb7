"""What a plan asks of a router that its platform cannot do, and ports that it has no such names for."""

from __future__ import annotations

from collections.abc import Iterator

from lanecast.plan.checks.context import CheckContext
from lanecast.plan.layout import SEGMENT_PORTS, SiteLayout
from lanecast.plan.model import AaaProtocol, Circuit, Uplink
from lanecast.platforms import FACTS, Feature, PlatformFacts
from lanecast_relay.config.document import PathKey, Problem

Asked = tuple[Feature, tuple[PathKey, ...]]
"""A feature, and where the plan asks for it."""

MILLISECOND_NS = 10**6


def features(context: CheckContext) -> Iterator[Problem]:
    """Each router's platform can do what is asked of it; one mistake for each thing that it cannot."""
    for site_name, site in context.plan.sites.items():
        layout = context.layout(site_name)
        for router_name, router in site.routers.items():
            facts = FACTS[router.platform]
            for feature, place in dict.fromkeys(_asked(layout, router_name)):
                reason = facts.lacks.get(feature)
                if reason is not None:
                    message = f"{router_name} runs {facts.title}, which cannot do {feature}: {reason}"
                    related = ("sites", site_name, "routers", router_name, "platform")
                    yield context.error(message, *place, related=related)


def _asked(layout: SiteLayout, name: str) -> Iterator[Asked]:
    router = layout.site.routers[name]
    here = ("sites", layout.name, "routers", name)
    given = {
        Feature.VRF: ("vrf", router.vrf),
        Feature.SWITCH: ("switch", router.switch),
        Feature.STATIC_JOINS: ("static-joins", router.static_joins),
        Feature.UNUSED_PORTS: ("unused-ports", router.unused_ports),
    }
    yield from ((feature, (*here, key)) for feature, (key, value) in given.items() if value)
    for circuit_name, circuit in layout.circuits_of(name).items():
        place = ("sites", layout.name, "circuits", circuit_name)
        yield from _asked_of_line(circuit, place)
        if circuit.dr_priority is not None:
            yield Feature.DR_PRIORITY, (*place, "dr-priority")
        rendezvous = layout.plan.exchanges[circuit.exchange].rendezvous
        if rendezvous is not None:
            own = rendezvous.msdp is not None
            exchange = ("exchanges", circuit.exchange, "rendezvous")
            yield (Feature.MSDP, (*exchange, "msdp")) if own else (Feature.RENDEZVOUS_POINT, exchange)
            if rendezvous.msdp is not None and rendezvous.msdp.password is not None:
                yield Feature.MSDP_PASSWORD, (*exchange, "msdp", "password")
    for uplink_name, uplink in layout.uplinks_of(name).items():
        yield from _asked_of_line(uplink, ("sites", layout.name, "uplinks", uplink_name))
    yield from _asked_by_management(layout)


def _asked_of_line(line: Circuit | Uplink, place: tuple[PathKey, ...]) -> Iterator[Asked]:
    given = {
        Feature.BFD: ("bfd", line.bfd is not None),
        Feature.PASSWORD: ("password", line.password is not None),
        Feature.TCP_AO: ("tcp-ao", line.tcp_ao is not None),
    }
    yield from ((feature, (*place, key)) for feature, (key, asked) in given.items() if asked)


def _asked_by_management(layout: SiteLayout) -> Iterator[Asked]:
    managed, here = layout.plan.management, ("management",)
    if managed.ntp is not None and managed.ntp.key is not None:
        yield Feature.NTP_KEY, (*here, "ntp", "key")
    if managed.ptp is not None:
        yield Feature.PTP, (*here, "ptp")
    if managed.syslog:
        yield Feature.SYSLOG, (*here, "syslog")
    if managed.aaa is not None:
        by_tacacs = managed.aaa.protocol is AaaProtocol.TACACS
        yield Feature.TACACS if by_tacacs else Feature.RADIUS, (*here, "aaa")
    if managed.users:
        yield Feature.USERS, (*here, "users")


def ssh_keys(context: CheckContext) -> Iterator[Problem]:
    """Users' public keys are of a kind that every router takes; one mistake for each key and platform."""
    told = set()
    for site_name, site in context.plan.sites.items():
        for router_name, router in site.routers.items():
            facts = FACTS[router.platform]
            for user_name, user in context.plan.management.users.items():
                kind = user.ssh_key.partition(" ")[0]
                if facts.ssh_keys.fullmatch(kind) is None and (user_name, router.platform) not in told:
                    told.add((user_name, router.platform))
                    message = f"{router_name} runs {facts.title}, which takes no {kind} keys of users"
                    related = ("sites", site_name, "routers", router_name, "platform")
                    yield context.error(message, "management", "users", user_name, "ssh-key", related=related)


def ports(context: CheckContext) -> Iterator[Problem]:
    """Ports are called as the platform calls them, and where names cannot be made up the plan gives each."""
    for site_name, site in context.plan.sites.items():
        layout = context.layout(site_name)
        for router_name, router in site.routers.items():
            facts = FACTS[router.platform]
            here = ("sites", site_name, "routers", router_name)
            for place, port in _written_ports(layout, router_name):
                if not facts.ports.fullmatch(port):
                    yield context.error(_not_a_port(facts, port), *here, *place)
            if not facts.made_up_names:
                wanted = [*layout.circuits_of(router_name), *layout.uplinks_of(router_name)]
                wanted += [] if router.switch is not None else list(SEGMENT_PORTS)
                missing = [purpose for purpose in wanted if purpose not in router.ports]
                if missing:
                    what = f"{facts.title} has ports of its own names, such as {facts.port_example}"
                    yield context.error(f"{what}: give ports for {', '.join(missing)}", *here)


def _written_ports(layout: SiteLayout, name: str) -> Iterator[tuple[tuple[PathKey, ...], str]]:
    router = layout.site.routers[name]
    yield from ((("ports", purpose), port) for purpose, port in router.ports.items())
    yield from ((("unused-ports", index), port) for index, port in enumerate(router.unused_ports))
    for purpose in SEGMENT_PORTS:
        switched = layout.switched_vlan(name, purpose)
        for index, port in enumerate(switched.access_ports if switched is not None else ()):
            yield ("switch", purpose, "access-ports", index), port


def _not_a_port(facts: PlatformFacts, port: str) -> str:
    return f"{port} is no port of {facts.title}; one is called {facts.port_example}"


def port_uses(context: CheckContext) -> Iterator[Problem]:
    """A switched VLAN is of no other line's of the router, a port is for one thing, and no port in use is shut."""
    for site_name, site in context.plan.sites.items():
        layout = context.layout(site_name)
        for router_name, router in site.routers.items():
            here = ("sites", site_name, "routers", router_name)
            first: dict[str, tuple[PathKey, ...]] = {port: ("ports", purpose) for purpose, port in router.ports.items()}
            for place, port in _written_ports(layout, router_name):
                if place != first.setdefault(port, place) and place[0] != "ports":  # names.interface_names has those
                    yield context.error(f"{port} is in use already", *here, *place, related=(*here, *first[port]))
            if router.switch is not None:
                for purpose in set(SEGMENT_PORTS) & set(router.ports):
                    message = "its segments are VLANs of its own (switch), so they are on no port"
                    yield context.error(message, *here, "ports", purpose, related=(*here, "switch"))
                if router.switch.multicast.vlan == router.switch.lan.vlan:
                    yield context.error("both segments are the same VLAN", *here, "switch", "lan", "vlan")


def static_joins(context: CheckContext) -> Iterator[Problem]:
    """A line that is joined for good is carried by a circuit of the router."""
    for site_name, site in context.plan.sites.items():
        layout = context.layout(site_name)
        for router_name, router in site.routers.items():
            carried = {line for circuit in layout.circuits_of(router_name).values() for line in circuit.carries}
            for index, line in enumerate(router.static_joins):
                if line not in carried:
                    message = f"no circuit of {router_name} carries {line}"
                    yield context.error(message, "sites", site_name, "routers", router_name, "static-joins", index)


def lines(context: CheckContext) -> Iterator[Problem]:
    """A line has one kind of authentication, and BFD timers that routers take: whole milliseconds."""
    for site_name, site in context.plan.sites.items():
        named: dict[str, dict[str, Circuit] | dict[str, Uplink]] = {"circuits": site.circuits, "uplinks": site.uplinks}
        for kind, held in named.items():
            for name, line in held.items():
                place = ("sites", site_name, kind, name)
                if line.password is not None and line.tcp_ao is not None:
                    message = "a session has a password or a TCP-AO key, not both"
                    yield context.error(message, *place, "tcp-ao", related=(*place, "password"))
                if line.bfd is not None and not _bfd_interval_is_common(line.bfd.interval_ns):
                    message = "expected whole milliseconds from 50ms to 999ms, which every platform takes"
                    yield context.error(message, *place, "bfd", "interval")


def static_uplinks(context: CheckContext) -> Iterator[Problem]:
    """What belongs to a BGP session has none on an uplink with static routes."""
    for site_name, site in context.plan.sites.items():
        for name, uplink in site.uplinks.items():
            given = {"bfd": uplink.bfd, "password": uplink.password, "tcp-ao": uplink.tcp_ao}
            for key, value in given.items() if uplink.routing == "static" else ():
                if value is not None:
                    place = ("sites", site_name, "uplinks", name)
                    message = "belongs to a BGP session, and routing is static"
                    yield context.error(message, *place, key, related=(*place, "routing"))


def _bfd_interval_is_common(interval_ns: int) -> bool:
    return interval_ns % MILLISECOND_NS == 0 and 50 <= interval_ns // MILLISECOND_NS <= 999


def rendezvous(context: CheckContext) -> Iterator[Problem]:
    """Sparse mode's ranges are multicast and nobody else's; sites have an address where they need one."""
    source_specific = context.plan.multicast.ssm_ranges
    for name, exchange in context.plan.exchanges.items():
        held = exchange.rendezvous
        if held is None:
            continue
        place = ("exchanges", name, "rendezvous")
        for index, network in enumerate(held.groups):
            if not network.is_multicast:
                yield context.error(f"{network} is no range of groups", *place, "groups", index)
            for wider in source_specific:
                if wider.overlaps(network):
                    message = f"{network} overlaps {wider} of multicast.ssm-ranges, which has no rendezvous point"
                    yield context.error(message, *place, "groups", index, related=("multicast", "ssm-ranges"))
        if exchange.prefixes and not any(held.address in prefix for prefix in exchange.prefixes):
            message = f"{held.address} is in none of the prefixes of {name}"
            yield context.error(message, *place, "address", related=("exchanges", name, "prefixes"))
    yield from _overlapping_ranges(context)
    yield from _site_addresses(context)


def _overlapping_ranges(context: CheckContext) -> Iterator[Problem]:
    ranges = [
        (network, ("exchanges", name, "rendezvous", "groups", index))
        for name, exchange in context.plan.exchanges.items()
        if exchange.rendezvous is not None
        for index, network in enumerate(exchange.rendezvous.groups)
    ]
    for number, (network, place) in enumerate(ranges):
        for other, first in ranges[:number]:
            if network.overlaps(other):
                yield context.error(f"{network} overlaps {other}", *place, related=first)


def _site_addresses(context: CheckContext) -> Iterator[Problem]:
    for site_name, site in context.plan.sites.items():
        exchanges = {circuit.exchange for circuit in site.circuits.values()}
        telling = [
            name
            for name in sorted(exchanges)
            if (held := context.plan.exchanges[name].rendezvous) is not None and held.msdp is not None
        ]
        if telling and site.rendezvous is None:
            message = f"{telling[0]} tells of sources by MSDP: give the address of this site's rendezvous point"
            related = ("exchanges", telling[0], "rendezvous", "msdp")
            yield context.error(f"{message} (rendezvous)", "sites", site_name, related=related)
        if site.rendezvous is not None and not telling:
            message = "no exchange of its circuits tells of sources by MSDP, so it needs no rendezvous point"
            yield context.error(message, "sites", site_name, "rendezvous")
