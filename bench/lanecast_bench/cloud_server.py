"""The emulated cloud in a process of its own, and signed requests to it without the SDK's cost."""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from baidubce.auth import bce_v1_signer
from baidubce.auth.bce_credentials import BceCredentials
from baidubce.utils import get_canonical_querystring

from lanecast_bench.processes import DIE_WITH_PARENT, BenchError

ACCESS_KEY, SECRET_KEY, REGION = "bench-access-key", "bench-secret-key", "hkg"
ENDS_WITHIN_S = 30


@dataclass(frozen=True, slots=True)
class CloudServer:
    """A running one."""

    endpoint: str
    pid: int

    def get(self, path: str, query: Mapping[str, str]) -> bytes:
        """The answer to a signed request over a connection of its own."""
        address = urlsplit(self.endpoint).netloc
        headers = {b"host": address.encode(), b"content-length": b"0"}
        asked = {name.encode(): value.encode() for name, value in query.items()}
        credentials = BceCredentials(ACCESS_KEY, SECRET_KEY)
        headers[b"authorization"] = bce_v1_signer.sign(credentials, b"GET", path.encode(), headers, asked)
        connection = http.client.HTTPConnection(address, timeout=60)
        connection.putrequest(
            "GET",
            f"{path}?{get_canonical_querystring(asked, False).decode()}",
            skip_host=True,
            skip_accept_encoding=True,
        )
        for name, value in headers.items():
            connection.putheader(name.decode(), value)
        connection.endheaders()
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if answer.status != 200:
            raise BenchError(f"GET {path}: {answer.status} {content.decode(errors='replace')}")
        return content

    def processor_s(self) -> float:
        """Seconds of processor time that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(state: Path, *options: str) -> Iterator[CloudServer]:
    """Serve what ``state`` holds, on a free port of loopback."""
    command = [sys.executable, "-m", "lanecast", "cloud", "serve", "--state", str(state), "--region", REGION]
    command += ["--listen", "127.0.0.1:0", *options]
    environment = {**os.environ, "LANECAST_CLOUD_ACCESS_KEYS": f"{ACCESS_KEY}:{SECRET_KEY}"}
    process = subprocess.Popen([*DIE_WITH_PARENT, *command], stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout
        found = re.match(r"(http://\S+) region", process.stdout.readline())
        if not found:
            raise BenchError("the emulated cloud does not start; its message is above")
        yield CloudServer(found[1], process.pid)
    finally:
        process.terminate()
        process.wait(ENDS_WITHIN_S)
        assert process.stdout
        process.stdout.close()
