"""Reads systemd-networkd's files back, and says the same to ``ip``: for the lab and for ``lanecast render --check``.

networkd is a service of a booted machine, and namespaces on somebody's own machine have none. So what a box's networkd
would do to the kernel is done here by ``ip``, from the rendered text. Every section and key has to be one that
:data:`NETWORK` or :data:`NETDEV` knows: networkd itself passes over a misspelt one, with a line in its log.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

NETWORK_SUFFIX = ".network"
NETDEV_SUFFIX = ".netdev"

MOST_METRIC = 2**32 - 1
VLAN_IDS = range(1, 4095)
"""IEEE 802.1Q: 0 and 4095 are reserved."""

OPERATIONAL_STATES = (
    "missing", "off", "no-carrier", "dormant", "degraded-carrier", "carrier", "degraded", "enslaved", "routable",
)  # fmt: skip
"""networkctl(1), from the least to the most."""


class NetworkdError(Exception):
    """A file says what networkd would not take, with its line."""

    def __init__(self, file: str, line: int, message: str) -> None:
        super().__init__(f"{file}:{line}: {message}")
        self.file = file


def _word(text: str) -> str:
    if not text or " " in text:
        raise ValueError("expected one word")
    return text


def _whether(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError("expected yes or no")
    return text == "yes"


def _state(text: str) -> str:
    if text not in OPERATIONAL_STATES:
        raise ValueError(f"expected one of {', '.join(OPERATIONAL_STATES)}")
    return text


def _within(numbers: range) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) not in numbers:
            raise ValueError(f"expected a number from {numbers.start} to {numbers.stop - 1}")
        return int(text)

    return number


def _address(text: str) -> IPv4Interface:
    if "/" not in text:
        raise ValueError("expected an address and its prefix length")
    return IPv4Interface(text)


Keys = Mapping[str, Callable[[str], object]]

NETWORK: Mapping[str, Keys] = {
    "Match": {"Name": _word},
    "Link": {"RequiredForOnline": _state},
    "Network": {
        "VLAN": _word,
        "Address": _address,
        "DHCP": _whether,
        "LinkLocalAddressing": _whether,
        "IPv6AcceptRA": _whether,
        "LLMNR": _whether,
        "MulticastDNS": _whether,
        "LLDP": _whether,
        "EmitLLDP": _whether,
        "ConfigureWithoutCarrier": _whether,
        "KeepConfiguration": _whether,
    },
    "Route": {"Destination": IPv4Network, "Gateway": IPv4Address, "Metric": _within(range(MOST_METRIC + 1))},
}
"""systemd.network(5): what lanecast writes of it."""

NETDEV: Mapping[str, Keys] = {"NetDev": {"Name": _word, "Kind": _word}, "VLAN": {"Id": _within(VLAN_IDS)}}
"""systemd.netdev(5): the same."""

NETWORKD: Mapping[str, Keys] = {
    "Network": {"ManageForeignRoutes": _whether, "ManageForeignRoutingPolicyRules": _whether}
}
"""networkd.conf(5): the same."""

MANY = {("Network", "VLAN"), ("Network", "Address")}
"""Keys that may stand more than once in a section."""


@dataclass(slots=True)
class Section:
    """One section and its values, by key."""

    name: str
    line: int
    values: dict[str, list[str]] = field(default_factory=dict)


def read_sections(file: str, text: str, known: Mapping[str, Keys]) -> list[Section]:
    """The sections of a file (systemd.syntax(7)). Raises :class:`NetworkdError`."""
    sections: list[Section] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line or line[0] in "#;":
            continue
        if line.startswith("["):
            name = line.removeprefix("[").removesuffix("]")
            if name not in known:
                raise NetworkdError(file, number, f"no section is called {name}: there are {', '.join(known)}")
            sections.append(Section(name, number))
        elif not sections:
            raise NetworkdError(file, number, "expected a section first, such as [Match]")
        else:
            _read_value(file, number, line, sections[-1], known)
    return sections


def _read_value(file: str, number: int, line: str, section: Section, known: Mapping[str, Keys]) -> None:
    key, equals, text = line.partition("=")
    if not equals or key not in known[section.name]:
        keys = ", ".join(known[section.name])
        raise NetworkdError(file, number, f"[{section.name}] has no key {key}: there are {keys}")
    values = section.values.setdefault(key, [])
    if values and (section.name, key) not in MANY:
        raise NetworkdError(file, number, f"a second {key} in [{section.name}]: the first would count for nothing")
    try:
        known[section.name][key](text)
    except ValueError as error:
        raise NetworkdError(file, number, f"{key}: {error}") from None
    values.append(text)


@dataclass(frozen=True, slots=True)
class ReadRoute:
    """A ``[Route]`` section."""

    destination: IPv4Network
    gateway: IPv4Address
    metric: int


@dataclass(frozen=True, slots=True)
class ReadLink:
    """A ``.network`` file."""

    file: str
    name: str
    vlans: tuple[str, ...]
    addresses: tuple[IPv4Interface, ...]
    routes: tuple[ReadRoute, ...]

    def commands(self) -> Iterator[str]:
        """What networkd would do to the interface, as lines for ``ip -batch``; running them again changes nothing."""
        for address in self.addresses:
            yield f"address replace {address} dev {self.name}"
        yield f"link set dev {self.name} up"
        for route in self.routes:
            yield f"route replace {route.destination} via {route.gateway} dev {self.name} metric {route.metric}"


@dataclass(frozen=True, slots=True)
class ReadVlan:
    """A ``.netdev`` file, and the port whose ``.network`` file names it."""

    file: str
    name: str
    id: int
    port: str

    def commands(self) -> Iterator[str]:
        """What networkd would do to make it, as lines for ``ip -batch``."""
        yield f"link set dev {self.port} up"
        yield f"link add link {self.port} name {self.name} type vlan id {self.id}"
        yield f"link set dev {self.name} up"


@dataclass(frozen=True, slots=True)
class NetworkdFiles:
    """All files of one node, VLANs first."""

    vlans: tuple[ReadVlan, ...]
    links: tuple[ReadLink, ...]

    def commands(self, interfaces: Collection[str]) -> Iterator[str]:
        """Addresses and routes of these interfaces, which are there already."""
        for link in self.links:
            if link.name in interfaces:
                yield from link.commands()


def is_networkd_file(name: str) -> bool:
    """Whether a file is one of those that :func:`read_files` takes."""
    return name.endswith((NETWORK_SUFFIX, NETDEV_SUFFIX))


def read_files(files: Mapping[str, str]) -> NetworkdFiles:
    """Read a node's files, by name. Raises :class:`NetworkdError`."""
    links = [_link(name, text) for name, text in sorted(files.items()) if name.endswith(NETWORK_SUFFIX)]
    ports = {vlan: link.name for link in links for vlan in link.vlans}
    vlans = [_vlan(name, text, ports) for name, text in sorted(files.items()) if name.endswith(NETDEV_SUFFIX)]
    made = {vlan.name for vlan in vlans}
    for link in links:
        for vlan in link.vlans:
            if vlan not in made:
                raise NetworkdError(link.file, 1, f"VLAN={vlan} has no {NETDEV_SUFFIX} file")
    return NetworkdFiles(tuple(vlans), tuple(links))


def _link(file: str, text: str) -> ReadLink:
    sections = read_sections(file, text, NETWORK)
    network = _only(file, sections, "Network").values
    return ReadLink(
        file=file,
        name=_value(file, _only(file, sections, "Match"), "Name"),
        vlans=tuple(network.get("VLAN", [])),
        addresses=tuple(IPv4Interface(address) for address in network.get("Address", [])),
        routes=tuple(_route(file, section) for section in sections if section.name == "Route"),
    )


def _route(file: str, section: Section) -> ReadRoute:
    return ReadRoute(
        IPv4Network(_value(file, section, "Destination")),
        IPv4Address(_value(file, section, "Gateway")),
        int(_value(file, section, "Metric")),
    )


def _vlan(file: str, text: str, ports: Mapping[str, str]) -> ReadVlan:
    sections = read_sections(file, text, NETDEV)
    device = _only(file, sections, "NetDev")
    name = _value(file, device, "Name")
    if _value(file, device, "Kind") != "vlan":
        raise NetworkdError(file, device.line, f"{name} is no VLAN")
    if name not in ports:
        raise NetworkdError(file, device.line, f"no {NETWORK_SUFFIX} file has VLAN={name}: nothing would make it")
    return ReadVlan(file, name, int(_value(file, _only(file, sections, "VLAN"), "Id")), ports[name])


def _only(file: str, sections: list[Section], name: str) -> Section:
    found = [section for section in sections if section.name == name]
    if len(found) != 1:
        raise NetworkdError(file, found[-1].line if found else 1, f"expected one section [{name}]")
    return found[0]


def _value(file: str, section: Section, key: str) -> str:
    if key not in section.values:
        raise NetworkdError(file, section.line, f"[{section.name}] has no {key}")
    return section.values[key][0]
