"""The official SDK's clients, one a service and region, with the endpoints of the real cloud or of an emulated one."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final
from urllib.parse import urlsplit

from baidubce.auth.bce_credentials import BceCredentials
from baidubce.bce_client_configuration import BceClientConfiguration
from baidubce.protocol import HTTP, HTTPS
from baidubce.retry.retry_policy import NoRetryPolicy
from baidubce.services.blb.blb_client import BlbClient
from baidubce.services.eip.eip_client import EipClient
from baidubce.services.localdns.ld_client import LdClient

HOSTS: Final = {
    BlbClient: "blb.{}.baidubce.com",
    EipClient: "eip.{}.baidubce.com",
    LdClient: "privatezone.baidubce.com",
}
"""[docs: endpoints] The host by client, with the region's place; every other service answers at OTHER_HOSTS."""
OTHER_HOSTS: Final = "bcc.{}.baidubce.com"
TIMEOUT_MS: Final = 30_000
"""Half of what the SDK waits by itself: a lost answer is asked for again."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How the provider is configured."""

    access_key: str
    secret_key: str = field(repr=False)
    region: str
    endpoint: str | None = None
    """Where requests go instead of to the cloud's own hosts, which they then name in their Host header."""


def endpoint_mistake(endpoint: str) -> str | None:
    """What is wrong with an endpoint."""
    try:
        parts = urlsplit(endpoint)
        plain = parts.scheme in ("http", "https") and parts.hostname and parts.path in ("", "/") and not parts.query
        port = parts.port or 1
    except ValueError:
        plain, port = None, 0
    if plain and port:
        return None
    return f"{endpoint!r} is not of the form http://HOST:PORT; the region travels in the Host header, not in a path"


@dataclass(slots=True)
class Clients:
    """Clients as they are asked for. The SDK's own retries are off: ours know which requests may be repeated."""

    settings: Settings
    _made: dict[tuple[Any, str], Any] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def get(self, client: Any, region: str) -> Any:
        """The client of that class for a region."""
        with self._lock:
            if (client, region) not in self._made:
                self._made[client, region] = client(self._configuration(HOSTS.get(client, OTHER_HOSTS).format(region)))
            return self._made[client, region]

    def _configuration(self, host: str) -> BceClientConfiguration:
        credentials = BceCredentials(self.settings.access_key, self.settings.secret_key)
        common = {
            "credentials": credentials,
            "retry_policy": NoRetryPolicy(),
            "connection_timeout_in_mills": TIMEOUT_MS,
        }
        if self.settings.endpoint is None:
            return BceClientConfiguration(endpoint=f"https://{host}", protocol=HTTPS, **common)
        parts = urlsplit(self.settings.endpoint)
        if parts.scheme == "https":
            return BceClientConfiguration(endpoint=self.settings.endpoint, protocol=HTTPS, **common)
        # To the SDK a plain HTTP proxy: it connects there and keeps the cloud's host in the request and its signature.
        return BceClientConfiguration(
            endpoint=f"http://{host}", protocol=HTTP, proxy_host=parts.hostname, proxy_port=parts.port or 80, **common
        )
