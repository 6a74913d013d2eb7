"""An emulated cloud in a process of its own, and hands that reach into it past Pulumi."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from lanecast_infra.provider.calls import Call
from lanecast_infra.provider.clients import Clients, Settings

ACCESS_KEY = "test-access-key"
SECRET_KEY = "test-secret-key"
REGION = "hkg"


@dataclass(frozen=True, slots=True)
class EmulatedCloud:
    """A running one."""

    endpoint: str
    state: Path
    """Where it keeps everything."""

    def call(self, region: str = REGION) -> Call:
        """Requests by the official SDK, as somebody else would make them."""
        return Call(Clients(Settings(ACCESS_KEY, SECRET_KEY, region, self.endpoint)), region, Event())

    def ask(self, client: Any, method: str, **arguments: Any) -> dict[str, Any]:
        """One request in the tests' region."""
        return self.call().ask(client, method, **arguments)

    def set_faults(self, *rules: dict[str, Any]) -> None:
        """Let the API fail on purpose; none ends all faults."""
        self._admin("PUT", {"seed": 1, "rules": list(rules)})

    def struck(self) -> Any:
        """How often each fault has struck."""
        return self._admin("GET", None)["struck"]

    def _admin(self, method: str, body: Any) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.endpoint}/_lanecast/faults", data, method=method)
        with urllib.request.urlopen(request, timeout=10) as reply:
            return json.load(reply)


@contextmanager
def serving(state: Path, async_delay_s: float, lines: Sequence[str] = ()) -> Iterator[EmulatedCloud]:
    """Serve one from ``state`` on a free port of loopback until the end of the block; ``lines`` are there already."""
    command = [sys.executable, "-m", "lanecast", "cloud", "serve", "--listen", "127.0.0.1:0", "--state", str(state)]
    command += ["--region", REGION, "--async-delay", str(async_delay_s)]
    command += [word for line in lines for word in ("--physical-line", line)]
    environment = {**os.environ, "LANECAST_CLOUD_ACCESS_KEYS": f"{ACCESS_KEY}:{SECRET_KEY}"}
    state.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=state)
    try:
        assert process.stdout
        line = process.stdout.readline()
        assert line.startswith("http://"), f"the emulated cloud did not start: {line!r}"
        yield EmulatedCloud(line.split()[0], state)
    finally:
        process.terminate()
        process.wait(20)
        assert process.stdout
        process.stdout.close()
