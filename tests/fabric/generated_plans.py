"""Plans made by hypothesis, and what of a Fabric the tests of the compiler look up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from importlib.resources import files
from ipaddress import IPv4Network
from itertools import combinations
from typing import Any
from zlib import crc32

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from lanecast.fabric import (
    Fabric,
    Host,
)
from lanecast.router import (
    Interface,
    Router,
)

Document = dict[str, Any]
"""A plan as it stands in its file."""

EXAMPLE = files("lanecast").joinpath("example-plan.yaml").read_text(encoding="utf-8")
DEFAULT_ROUTE = IPv4Network("0.0.0.0/0")
SECRET = "LANECAST_TEST_PASSWORD"

NUMBERED = ["cme-mdp3", "moldudp64"]

properties = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking such plans takes minutes
)


# Plans


@dataclass
class Slots:
    """Links, VLANs and senders by index, scattered over their ranges so that their order is not that of the names."""

    step: int
    offset: int
    links: str = "192.0.2"
    next_link: int = 0

    def scattered(self, index: int) -> int:
        """A number below 61 for each index below 61."""
        return (index * self.step + self.offset) % 61

    def link(self, prefix_length: int) -> tuple[str, int]:
        """The next link and its VLAN."""
        slot = self.scattered(self.next_link)
        self.next_link += 1
        return f"{self.links}.{4 * slot}/{prefix_length}", 100 + slot

    def source(self, exchange_index: int, index: int) -> str:
        """A sender in the /26 of its exchange."""
        return f"203.0.113.{64 * exchange_index + 1 + self.scattered(index)}"


@st.composite
def subsets(draw: st.DrawFn, values: list[str]) -> list[str]:
    """Some of ``values``, at least one."""
    return draw(st.lists(st.sampled_from(values), min_size=1, max_size=len(values), unique=True))


def is_raw(document: Document, feed: str) -> bool:
    """Whether a feed has no sequence numbers, so that one copy of it is all that anyone may take."""
    return bool(document["feeds"][feed]["protocol"] == "raw")


def arriving(site: Document) -> list[str]:
    """The feeds that circuits bring to a site."""
    return sorted({line.partition(".")[0] for circuit in site["circuits"].values() for line in circuit["carries"]})


def relays_of(document: Document) -> dict[str, tuple[Document, Document]]:
    """Every relay of a plan by name, with its site."""
    return {name: (site, relay) for site in document["sites"].values() for name, relay in site["relays"].items()}


def uplink_of(site: Document, relay: Document) -> str:
    """The uplink by which a relay's copies leave: its own, or else the primary one."""
    if "uplink" in relay:
        return str(relay["uplink"])
    return str(min(site["uplinks"], key=lambda name: (site["uplinks"][name]["role"] == "backup", name)))


def peered_with(document: Document, vpc: str) -> set[str]:
    """A VPC and those that are peered with it."""
    return {vpc}.union(*(peering["between"] for peering in document["peerings"].values() if vpc in peering["between"]))


def bridges_of(document: Document, vpc: str) -> dict[str, tuple[str, Document]]:
    """What bridges lead to from a VPC: each far end, with the bridge's name and itself."""
    found = {}
    for name, bridge in document.get("bridges", {}).items():
        if vpc in (bridge["from"], bridge["to"]):
            found[bridge["to"] if vpc == bridge["from"] else bridge["from"]] = (name, bridge)
    return found


def reached_from(document: Document, vpc: str) -> set[str]:
    """A VPC, those that are peered with it, and those that a bridge leads to."""
    return peered_with(document, vpc) | set(bridges_of(document, vpc))


def routed_from(document: Document, vpc: str) -> set[str]:
    """Of these, the ones whose own addresses can be reached: a bridge that translates hides them."""
    over = {far for far, (_, bridge) in bridges_of(document, vpc).items() if bridge["method"] == "transit"}
    return peered_with(document, vpc) | over


def landing(document: Document, relay_name: str) -> str:
    """The VPC that a relay's uplink lands in."""
    site, relay = relays_of(document)[relay_name]
    return str(site["uplinks"][uplink_of(site, relay)]["to"])


def carrying(document: Document, subscriber: Document, feed: str) -> list[str]:
    """A subscriber's relays that carry a feed."""
    return sorted(name for name in subscriber["from"] if feed in relays_of(document)[name][1]["feeds"])


def servers_of(feed: Document) -> list[str]:
    """``address:port`` of every re-request server of a feed."""
    return sorted({server for servers in feed.get("recovery", {}).get("servers", {}).values() for server in servers})


def asks(document: Document, site: Document, exchange: str) -> bool:
    """Whether a relay of a site asks servers of an exchange."""
    taken = {feed for relay in site["relays"].values() for feed in relay["feeds"]}
    return any(
        feed["exchange"] == exchange and "recovery" in feed for name, feed in document["feeds"].items() if name in taken
    )


def lines_of(feed_name: str, feed: Document) -> list[str]:
    """``feed.line`` of every line."""
    return [f"{feed_name}.{line}" for line in feed["lines"]]


@st.composite
def recoveries(draw: st.DrawFn, channels: list[str], servers: list[str]) -> Document:
    """Re-request servers: the same for all channels, asked in this order or in the other."""
    return {
        "servers": {
            channel: [f"{server}:{26400 + number}" for server in draw(st.sampled_from([servers, servers[::-1]]))]
            for number, channel in enumerate(channels)
        },
        "wait": "100ms",
    }


@st.composite
def feeds(
    draw: st.DrawFn, exchange: str, addresses: tuple[str, str, str, str], index: int, protocols: list[str]
) -> Document:
    """A feed of an exchange; ``raw`` has one line, and every line the same channels in the same order.

    ``addresses`` are those of two sources and two re-request servers; a source may be a server as well.
    """
    sources = addresses[:2]
    protocol = draw(st.sampled_from(protocols))
    names = ["A"] if protocol == "raw" else draw(subsets(["A", "B"]))
    channels = draw(subsets(["310", "main", "main.relay-1", "x_1"]))
    found: Document = {
        "exchange": exchange,
        "protocol": protocol,
        "peak": {"rate": "1000 pps", "bytes": 300},
        "lines": {
            name: {
                "source": sources[place],
                "groups": {
                    channel: f"239.10.{index}.{16 * place + number + 1}:{15000 + number}"
                    for number, channel in enumerate(channels)
                },
            }
            for place, name in enumerate(names)
        },
    }
    if protocol == "moldudp64" and draw(st.booleans()):
        servers = draw(st.sampled_from([addresses[2:], addresses[2:3], addresses[1:3]]))
        found["recovery"] = draw(recoveries(channels, list(servers)))
    if draw(st.booleans()):
        found["hole-wait"] = "5ms"
    if draw(st.booleans()):
        found["peak"]["burst"] = "20 per ms"
    return found


@st.composite
def sites(draw: st.DrawFn, slots: Slots, name: str, region: str, vpcs: list[str], exchanges: list[str]) -> Document:
    """A site of two circuits (from these exchanges), routers, relays and uplinks; what they carry is left open."""
    hardware = draw(st.booleans())
    named_uplinks = draw(st.booleans())
    circuits: Document = {}
    uplinks: Document = {}
    routers: Document = {}
    relays: Document = {}
    for number, role in enumerate(("primary", "backup"), 1):
        # Names longer than an interface's can be need the hardware's.
        circuit, uplink = (f"{name}-{kind}{'-of-a-long-name' * hardware}-{number}" for kind in ("c", "u"))
        router, relay = f"{name}-r{number}", f"{name}-relay-{number}"
        for link_name, section in ((circuit, circuits), (uplink, uplinks)):
            link, vlan = slots.link(draw(st.sampled_from([30, 31])))
            section[link_name] = {"role": role, "vlan": vlan, "link": link, "delay": f"{number}ms", "bandwidth": "10G"}
            if draw(st.booleans()):
                section[link_name]["password"] = {"environment": SECRET}
        circuits[circuit] |= {"exchange": exchanges[number - 1], "mode": "multicast", "carries": []}
        uplinks[uplink] |= {"to": draw(st.sampled_from(vpcs)), "routing": draw(st.sampled_from(["bgp", "static"]))}
        if uplinks[uplink]["routing"] == "static":
            uplinks[uplink].pop("password", None)
        routers[router] = {"platform": "frr", "circuits": [circuit]}
        relays[relay] = {"feeds": []}
        if named_uplinks:
            routers[router]["uplinks"] = [uplink]
            uplinks[uplink]["role"] = draw(st.sampled_from(["primary", "backup"]))
        if hardware:
            routers[router]["ports"] = {circuit: "eth1", uplink: "eth2", "multicast": "eth3", "lan": "eth4"}
    for relay in relays.values():
        if draw(st.booleans()):
            relay["uplink"] = draw(st.sampled_from(sorted(uplinks)))
        if hardware:
            relay["ports"] = {
                f"{purpose}.{router}": f"enp{number}s{port}"
                for number, router in enumerate(sorted(routers))
                for port, purpose in enumerate(("multicast", "lan"))
            }
    return {"region": region, "circuits": circuits, "routers": routers, "relays": relays, "uplinks": uplinks}


@st.composite
def regions(draw: st.DrawFn, index: int) -> Document:
    """A region of one or two VPCs with one or two subnets each."""
    vpcs: Document = {}
    for number in range(draw(st.integers(1, 2))):
        block = 8 + 2 * index + number
        subnets = {
            name: {"cidr": f"10.{block}.{place}.0/{draw(st.sampled_from([24, 27]))}", "zone": "a"}
            for place, name in enumerate(draw(subsets(["apps", "data"])))
        }
        vpcs[f"vpc{number}"] = {"cidr": f"10.{block}.0.0/16", "subnets": subnets}
    return {"cloud": {"provider": "baidu", "region": "gz"}, "vpcs": vpcs}


@st.composite
def subscribers(draw: st.DrawFn, document: Document) -> Document:
    """A subscriber to feeds of relays that reach its subnet; a raw feed comes from one relay (it has no numbers)."""
    first = draw(st.sampled_from(sorted(relays_of(document))))
    vpc = draw(st.sampled_from(sorted(reached_from(document, landing(document, first)))))
    reaching = [name for name in sorted(relays_of(document)) if vpc in reached_from(document, landing(document, name))]
    region, _, name = vpc.partition(".")
    subscriber: Document = {
        "subnet": f"{vpc}.{draw(st.sampled_from(sorted(document['regions'][region]['vpcs'][name]['subnets'])))}",
        "count": draw(st.integers(1, 3)),
        "from": draw(subsets(reaching)),
    }
    if draw(st.integers(0, 3)) == 0:
        port, cidr = draw(st.integers(1, 65535)), document["regions"][region]["vpcs"][name]["cidr"]
        subscriber["load-balancer"] = {"listeners": {"requests": {"port": port, "clients": [cidr]}}}
    carriers = Counter(feed for name in subscriber["from"] for feed in relays_of(document)[name][1]["feeds"])
    on_offer = [feed for feed in sorted(carriers) if carriers[feed] == 1 or not is_raw(document, feed)]
    if not on_offer:
        subscriber["from"] = [first]
        on_offer = sorted(relays_of(document)[first][1]["feeds"])
    subscriber["feeds"] = draw(subsets(on_offer))
    return subscriber


@st.composite
def plans(draw: st.DrawFn) -> Document:
    """A plan that passes every check."""
    slots = Slots(draw(st.integers(1, 60)), draw(st.integers(0, 60)))
    prefixes = draw(st.permutations(["a", "m", "z"]))
    count = draw(st.integers(1, 3))
    site_names = [f"{prefix}-site" for prefix in prefixes[: draw(st.integers(1, 3))]]
    exchange_names = [f"{prefix}-exchange" for prefix in prefixes[:count]]
    region_names = [f"{prefix}-region" for prefix in prefixes[: draw(st.integers(1, 3))]]
    document: Document = {
        "lanecast": 1,
        "exchanges": {
            name: {"asn": draw(st.sampled_from([64512, 65010])) + n} for n, name in enumerate(exchange_names)
        },
        "multicast": {"ssm-ranges": ["239.10.0.0/16", "232.0.0.0/8"]},
        "feeds": {},
        "sites": {},
        "regions": {name: draw(regions(number)) for number, name in enumerate(region_names)},
        "peerings": {},
        "subscribers": {},
    }
    usable = list(enumerate(exchange_names))[: 2 * len(site_names)]
    for number in range(draw(st.integers(1, 3))):
        place, exchange = draw(st.sampled_from(usable))
        first, second, third, fourth = (slots.source(place, 4 * number + one) for one in range(4))
        # An exchange's first feed has numbers: every circuit has to carry something, and no two of a site a raw line.
        known = any(feed["exchange"] == exchange for feed in document["feeds"].values())
        document["feeds"][f"feed-{prefixes[number]}"] = draw(
            feeds(exchange, (first, second, third, fourth), number, [*NUMBERED, "raw"] if known else NUMBERED)
        )
    publishing = sorted({feed["exchange"] for feed in document["feeds"].values()})
    vpcs = [f"{name}.{vpc}" for name, region in document["regions"].items() for vpc in region["vpcs"]]
    wanted = publishing + [draw(st.sampled_from(publishing)) for _ in range(2 * len(site_names) - len(publishing))]
    for number, name in enumerate(site_names):
        ends = wanted[2 * number : 2 * number + 2]
        document["sites"][name] = draw(sites(slots, name, draw(st.sampled_from(region_names)), vpcs, ends))
    for number, pair in enumerate(combinations(vpcs, 2)):
        if draw(st.booleans()):
            document["peerings"][f"peering-{number}"] = {"between": list(pair), "delay": "8ms", "bandwidth": "10G"}
    draw(bridges(document))
    draw(loads(document))
    for number in range(draw(st.integers(1, 3))):
        document["subscribers"][f"app-{prefixes[number]}"] = draw(subscribers(document))
    draw(options(document))
    return document


@st.composite
def bridges(draw: st.DrawFn, document: Document) -> None:
    """Bridges between VPCs that are not peered and have a common peer; at most one VPC forwards (transit)."""
    pairs = [set(peering["between"]) for peering in document["peerings"].values()]
    vpcs = sorted(set().union(*pairs))
    document["bridges"] = {}
    for number, (first, second) in enumerate(combinations(vpcs, 2)):
        between = sorted((peered_with(document, first) & peered_with(document, second)) - {first, second})
        if {first, second} in pairs or not between or draw(st.integers(0, 3)) == 0:
            continue
        via = draw(st.sampled_from(between))
        ends = draw(st.permutations([first, second]))
        bridge: Document = {"from": ends[0], "via": via, "to": ends[1], "method": "nat"}
        if not document["bridges"] and draw(st.booleans()):
            bridge["method"] = "transit"
        else:
            region, _, name = via.partition(".")
            subnets = sorted(document["regions"][region]["vpcs"][name]["subnets"])
            bridge |= {"subnet": f"{via}.{draw(st.sampled_from(subnets))}", "count": draw(st.integers(1, 2))}
            if draw(st.booleans()):
                bridge["offers"] = {"data": draw(offers(document, ends))}
        document["bridges"][f"{draw(st.sampled_from('az'))}-bridge-{number}"] = bridge
    if not document["bridges"]:
        del document["bridges"]


@st.composite
def offers(draw: st.DrawFn, document: Document, ends: list[str]) -> Document:
    """A service at one end of a bridge."""
    end = draw(st.sampled_from(ends))
    region, _, name = end.partition(".")
    network = IPv4Network(document["regions"][region]["vpcs"][name]["cidr"]).network_address
    return {"in": end, "at": f"{network + draw(st.integers(10, 30))}:{draw(st.integers(1, 65535))}"}


@st.composite
def loads(draw: st.DrawFn, document: Document) -> None:
    """Put every line on circuits of its exchange, and feeds on relays where they arrive."""
    circuits = {name: circuit for site in document["sites"].values() for name, circuit in site["circuits"].items()}
    for feed_name, feed in document["feeds"].items():
        fitting = sorted(name for name, circuit in circuits.items() if circuit["exchange"] == feed["exchange"])
        for line in lines_of(feed_name, feed):
            chosen = [draw(st.sampled_from(fitting))] if is_raw(document, feed_name) else draw(subsets(fitting))
            for name in chosen:
                circuits[name]["carries"].append(line)
    for site in document["sites"].values():
        draw(fillings(document, site))


@st.composite
def fillings(draw: st.DrawFn, document: Document, site: Document) -> None:
    """Give each idle circuit of a site a line, and each relay feeds that arrive."""
    for circuit in site["circuits"].values():
        if not circuit["carries"]:
            spare = [
                line
                for name, feed in sorted(document["feeds"].items())
                if feed["exchange"] == circuit["exchange"] and not is_raw(document, name)
                for line in lines_of(name, feed)
            ]
            circuit["carries"] = draw(subsets(spare))
    for relay in site["relays"].values():
        relay["feeds"] = draw(subsets(arriving(site)))


@st.composite
def options(draw: st.DrawFn, document: Document) -> None:
    """What a plan may leave out."""
    for number, site in enumerate(document["sites"].values()):
        if draw(st.booleans()):
            site["asn"] = 64520 + number
    for number, exchange in enumerate(document["exchanges"].values()):
        if draw(st.booleans()):
            exchange["prefixes"] = [f"203.0.113.{64 * number + 32 * half}/27" for half in (1, 0)]
    if draw(st.booleans()):
        document["management"] = {"ssh-from": ["198.18.0.0/24"]}
    if draw(st.booleans()):
        document["pools"] = {"sites": "10.250.0.0/20"}
    if draw(st.booleans()):
        document["promises"] = {next(iter(document["feeds"])): {"p99": "60ms"}}


@st.composite
def additions(draw: st.DrawFn, before: Document) -> Document:
    """A plan with something added to it, under a name before or after all others."""
    document = deepcopy(before)
    draw(st.sampled_from([added_site, added_feed, added_subscriber, added_subnet, added_instance]))(draw, document)
    return document


def added_site(draw: st.DrawFn, document: Document) -> None:
    """A site that takes lines which other sites take already."""
    name = draw(st.sampled_from(["0-site", "zz-site"]))
    publishing = sorted({feed["exchange"] for feed in document["feeds"].values()})
    vpcs = [f"{region}.{vpc}" for region, held in document["regions"].items() for vpc in held["vpcs"]]
    slots = Slots(draw(st.integers(1, 60)), draw(st.integers(0, 60)), links="198.51.100")
    ends = [draw(st.sampled_from(publishing)) for _ in range(2)]
    site = draw(sites(slots, name, next(iter(document["regions"])), vpcs, ends))
    if draw(st.booleans()):
        site["asn"] = 65300
    draw(fillings(document, site))
    document["sites"][name] = site


def added_feed(draw: st.DrawFn, document: Document) -> None:
    """A feed on circuits that are there, for relays that are there, and perhaps for a subscriber that is there."""
    name = draw(st.sampled_from(["feed-0", "feed-zz"]))
    exchange = draw(st.sampled_from(sorted({feed["exchange"] for feed in document["feeds"].values()})))
    taken = {line["source"] for feed in document["feeds"].values() for line in feed["lines"].values()}
    taken |= {server.partition(":")[0] for feed in document["feeds"].values() for server in servers_of(feed)}
    block = 64 * list(document["exchanges"]).index(exchange)
    free = [address for n in range(1, 62) if (address := f"203.0.113.{block + n}") not in taken]
    first, second, third, fourth = draw(st.lists(st.sampled_from(free), min_size=4, max_size=4, unique=True))
    document["feeds"][name] = draw(feeds(exchange, (first, second, third, fourth), 9, NUMBERED))
    fitting = [c for s in document["sites"].values() for c in s["circuits"].values() if c["exchange"] == exchange]
    for line in lines_of(name, document["feeds"][name]):
        draw(st.sampled_from(fitting))["carries"].append(line)
    for site in document["sites"].values():
        for relay in site["relays"].values():
            if name in arriving(site) and draw(st.booleans()):
                relay["feeds"].append(name)
    for subscriber in document["subscribers"].values():
        if bool(carrying(document, subscriber, name)) and draw(st.booleans()):
            subscriber["feeds"].append(name)


def added_subscriber(draw: st.DrawFn, document: Document) -> None:
    """A subscriber, perhaps in a subnet that others are in."""
    document["subscribers"][draw(st.sampled_from(["app-0", "app-zz"]))] = draw(subscribers(document))


def added_subnet(draw: st.DrawFn, document: Document) -> None:
    """A subnet of a VPC that is there."""
    vpc = draw(st.sampled_from([vpc for region in document["regions"].values() for vpc in region["vpcs"].values()]))
    cidr = IPv4Network(vpc["cidr"]).network_address + 256 * draw(st.integers(2, 255))
    vpc["subnets"][draw(st.sampled_from(["a", "zz"]))] = {"cidr": f"{cidr}/24", "zone": "b"}


def added_instance(draw: st.DrawFn, document: Document) -> None:
    """One more instance of a subscriber."""
    draw(st.sampled_from(list(document["subscribers"].values())))["count"] += 1


def reordered(value: Any, seed: int) -> Any:
    """The same document with its mappings in another order."""
    if isinstance(value, list):
        return [reordered(item, seed) for item in value]
    if not isinstance(value, dict):
        return value
    keys = sorted(value, key=lambda key: crc32(f"{seed} {key}".encode()))
    return {key: reordered(value[key], seed) for key in keys}


Compile = Callable[..., Fabric]


def all_interfaces(fabric: Fabric) -> Iterator[tuple[Router | Host, Interface]]:
    """Every interface with its node."""
    for node in fabric.nodes():
        for interface in node.interfaces:
            yield node, interface


def of_node(fabric: Fabric) -> dict[str, Router | Host]:
    """Every node by name."""
    return {node.name: node for node in fabric.nodes()}


def interface_of(fabric: Fabric, node: str, name: str) -> Interface:
    """A node's interface of that name."""
    (found,) = [interface for interface in of_node(fabric)[node].interfaces if interface.name == name]
    return found
