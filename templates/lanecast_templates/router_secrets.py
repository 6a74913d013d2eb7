"""The secrets of one node's configuration, and where the plan asks for each."""

from __future__ import annotations

from collections.abc import Callable

from lanecast.fabric import Fabric, LinkKind
from lanecast.plan.model import SecretReference
from lanecast.router import BgpNeighbor, Management, MsdpPeer, Router, RouterRole
from lanecast_templates.errors import RenderProblem
from lanecast_templates.secrets import SecretError, SecretResolver


class NodeSecrets:
    """Reads what a node's files must hold; what is missing is collected in ``problems``."""

    def __init__(self, management: Management, resolver: SecretResolver) -> None:
        self._management = management
        self._resolver = resolver
        self.values: list[str] = []
        """Every secret that was read: a file that holds one is its owner's alone."""
        self.problems: list[RenderProblem] = []

    def ntp_key(self) -> str | None:
        """The key of the NTP servers; None where they have none."""
        ntp = self._management.ntp
        return self._read(None if ntp is None else ntp.key, lambda: ("management", "ntp", "key", "secret"))

    def spelled(self, value: str) -> str:
        """How a platform writes something that holds a secret: a file with it is as secret as one with the secret."""
        self.values.append(value)
        return value

    def _read(self, reference: SecretReference | None, place: Callable[[], tuple[str, ...]]) -> str | None:
        if reference is None:
            return None
        try:
            value = self._resolver.resolve(reference)
        except SecretError as error:
            self.problems.append(RenderProblem(str(error), place()))
            return None
        self.values.append(value)
        return value


class RouterSecrets(NodeSecrets):
    """The same of a router, which has neighbours and peers besides."""

    def __init__(self, fabric: Fabric, router: Router, resolver: SecretResolver) -> None:
        super().__init__(router.management, resolver)
        self._fabric = fabric
        self._router = router

    def password(self, neighbor: BgpNeighbor) -> str | None:
        """A BGP neighbour's password (RFC 2385); None where it has none."""
        return self._read(neighbor.password, lambda: (*self._line_of(neighbor), "password"))

    def tcp_ao_key(self, neighbor: BgpNeighbor) -> str | None:
        """A BGP neighbour's key (RFC 5925); None where it has none."""
        held = None if neighbor.tcp_ao is None else neighbor.tcp_ao.secret
        return self._read(held, lambda: (*self._line_of(neighbor), "tcp-ao", "secret"))

    def msdp_password(self, peer: MsdpPeer) -> str | None:
        """An MSDP peer's password; None where it has none."""
        exchange = self._fabric.router(peer.node).place
        return self._read(peer.password, lambda: ("exchanges", exchange, "rendezvous", "msdp", "password"))

    def aaa_key(self) -> str | None:
        """The key that is shared with the AAA servers; None where there are none."""
        aaa = self._management.aaa
        return self._read(None if aaa is None else aaa.key, lambda: ("management", "aaa", "key"))

    def _line_of(self, neighbor: BgpNeighbor) -> tuple[str, ...]:
        """The circuit or uplink of a neighbour, on the site's side."""
        link_name = self._router.interface(neighbor.interface).attached_to
        link = next(link for link in self._fabric.links if link.name == link_name)
        site = self._router if self._router.role is RouterRole.SITE else self._fabric.router(neighbor.node)
        section = "circuits" if link.kind is LinkKind.CIRCUIT else "uplinks"
        return ("sites", site.place, section, link_name)
