"""The cloud that the tests talk to: an emulated one in a process of its own, or the real one when credentials are given."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from baidubce.auth import bce_v1_signer
from baidubce.auth.bce_credentials import BceCredentials
from baidubce.bce_client_configuration import BceClientConfiguration
from baidubce.exception import BceHttpClientError
from baidubce.retry.retry_policy import NoRetryPolicy
from baidubce.utils import get_canonical_querystring, get_canonical_time

READY_WITHIN_S = 30.0
SETTLED_WITHIN_S = {"emulated": 20.0, "real": 600.0}
POLL_S = {"emulated": 0.02, "real": 2.0}
ENDS_WITHIN_S = 10.0
KEYS = ("testak:testsk", "otherak:othersk:00000000000000000000000000000002")
REGIONS = ("bj", "hkg", "gz")
ANY = "any"
"""A socket for every region, told apart by the Host header."""

REAL_KEY, REAL_SECRET = "BAIDUCLOUD_ACCESS_KEY", "BAIDUCLOUD_SECRET_KEY"
REAL_WANTED = "LANECAST_TEST_REAL_CLOUD"
"""Set to 1 beside the two: the tests then make and delete real resources, which cost money."""

HOSTS = {
    "eip_client": "eip",
    "blb_client": "blb",
    "app_blb_client": "blb",
    "ld_client": "privatezone",
    "csn_client": "csn",
}
"""Services with a host of their own; the rest has ``bcc``."""

GLOBAL_HOSTS = ("privatezone", "csn")
"""Hosts of services without regions."""


@dataclass(slots=True)
class Cloud:
    """A cloud and how to reach it."""

    kind: str
    endpoints: dict[str, str]
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def emulated(self) -> bool:
        return self.kind == "emulated"

    @property
    def key(self) -> str:
        return next(iter(self.keys))

    def endpoint(self, region: str, host: str = "bcc") -> str:
        if self.emulated:
            return self.endpoints[region]
        return f"http://{host}.baidubce.com" if host in GLOBAL_HOSTS else f"http://{host}.{region}.baidubce.com"

    def client(
        self, kind: Callable[..., Any], region: str = "bj", key: str = "", secret: str = "", retries: Any = None
    ) -> Any:
        """A client of the unmodified SDK."""
        key = key or self.key
        host = HOSTS.get(str(kind.__module__).rpartition(".")[2], "bcc")
        configuration = BceClientConfiguration(
            credentials=BceCredentials(key, secret or self.keys[key]),
            endpoint=self.endpoint(region, host),
            retry_policy=retries or NoRetryPolicy(),
        )
        return kind(configuration)

    def send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: bytes = b"",
        authorization: str | None = None,
        signed_at: float = 0,
        headers: Mapping[str, str] | None = None,
        key: str = "",
    ) -> tuple[int, dict[str, str], bytes]:
        """A request that the SDK would not send. ``authorization``: this instead of the right signature, "" for none."""
        parts = urlsplit(self.endpoint("bj"))
        sent = {b"host": parts.netloc.encode(), b"content-length": str(len(body)).encode()}
        sent |= {name.lower().encode(): value.encode() for name, value in (headers or {}).items()}
        sent[b"x-bce-date"] = get_canonical_time(signed_at)
        query_bytes = {name.encode(): value.encode() for name, value in (query or {}).items()}
        if authorization is None:
            key = key or self.key
            credentials = BceCredentials(key, self.keys[key])
            signed = bce_v1_signer.sign(credentials, method.encode(), path.encode(), sent, query_bytes, signed_at)
            sent[b"authorization"] = signed
        elif authorization:
            sent[b"authorization"] = authorization.encode()
        text = get_canonical_querystring(query_bytes, False)
        target = path + ("?" + text.decode() if text else "")
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in sent.items():
            connection.putheader(name.decode(), value)
        connection.endheaders(body or None)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, content

    def eventually(self, read: Callable[[], Any], wanted: Any) -> list[Any]:
        """Read until it is what is wanted; everything different that was read on the way, in order."""
        end = time.monotonic() + SETTLED_WITHIN_S[self.kind]
        seen = [read()]
        while seen[-1] != wanted:
            assert time.monotonic() < end, f"wanted {wanted!r}, read {seen}"
            time.sleep(POLL_S[self.kind])
            if (value := read()) != seen[-1]:
                seen.append(value)
        return seen


class Emulator(Cloud):
    """``lanecast cloud serve`` in a process of its own."""

    def __init__(self, state: Path, *options: str, regions: tuple[str, ...] = REGIONS) -> None:
        super().__init__("emulated", {}, dict(text.split(":")[:2] for text in KEYS))
        self.state = state
        self._options = [word for key in KEYS for word in ("--access-key", key)] + list(options)
        self._regions = regions
        self.start()

    def start(self) -> None:
        """Start it, on ports that are free, with what the state directory holds."""
        places = ["127.0.0.1:0" if region == ANY else f"{region}=127.0.0.1:0" for region in self._regions]
        listens = [word for place in places for word in ("--listen", place)]
        command = [sys.executable, "-m", "lanecast", "cloud", "serve", "--state", str(self.state)]
        self._errors = (self.state.parent / (self.state.name + ".log")).open("a+")
        self._process = subprocess.Popen(
            [*command, *listens, *self._options], stdout=subprocess.PIPE, stderr=self._errors, text=True
        )
        assert self._process.stdout is not None
        for region in self._regions:
            line = self._process.stdout.readline()
            found = re.match(rf"(http://\S+) region {'by Host header.*' if region == ANY else region}$", line)
            assert found, f"{line!r}: {self.log()}"
            self.endpoints[region] = found[1]

    def without(self, option: str) -> None:
        """Start it without an option from now on."""
        self._options.remove(option)

    def log(self) -> str:
        """What it wrote to standard error."""
        self._errors.seek(0)
        return self._errors.read()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it; its exit status."""
        self._process.send_signal(how)
        status = self._process.wait(ENDS_WITHIN_S)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._errors.close()
        return status

    def cpu_s(self) -> float:
        """Seconds of processor time that it has used."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def running(self) -> bool:
        return self._process.poll() is None

    def admin(self, method: str, path: str = "/_lanecast/faults", settings: Any = None) -> tuple[int, Any]:
        """The emulator's own path, unsigned."""
        content = b"" if settings is None else json.dumps(settings).encode()
        status, _, answer = self.send(method, path, body=content, authorization="")
        return status, json.loads(answer)


def real_cloud() -> Cloud | str:
    """The real cloud, or why it is not asked."""
    if os.environ.get(REAL_WANTED) != "1":
        return f"the real cloud is asked only with {REAL_WANTED}=1, {REAL_KEY} and {REAL_SECRET}"
    key, secret = os.environ.get(REAL_KEY), os.environ.get(REAL_SECRET)
    if not key or not secret:
        return f"{REAL_WANTED} is set, but not both of {REAL_KEY} and {REAL_SECRET}"
    return Cloud("real", {}, {key: secret})


def refusal(call: Callable[..., Any], *arguments: Any, **named: Any) -> tuple[int, str]:
    """Status and code with which a call is refused. The request id is there always."""
    with pytest.raises(BceHttpClientError) as refused:
        call(*arguments, **named)
    assert refused.value.request_id, refused.value
    return refused.value.status_code, refused.value.code


def unanswered(call: Callable[[], Any]) -> None:
    """No answer comes: the connection ends without one."""
    with pytest.raises(BceHttpClientError) as failed:
        call()
    assert isinstance(failed.value.last_error, OSError), failed.value
