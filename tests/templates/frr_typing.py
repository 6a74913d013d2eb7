"""Runs a configuration in real FRR daemons, types commands into vtysh, and prints as JSON what runs after each round.

A script for namespaces of its own (``unshare --mount --net --pid --fork --mount-proc --kill-child``): its end is the
end of every process, interface and file of it. What is asked for stands on standard input.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from lanecast_templates import frr_daemons
from lanecast_templates.oracles import box

FOLDER = Path("/run/frr-typing")
ECHO = re.compile(r"^\S+[#>]( |$)|^Hello, this is FRRouting|^Copyright |^$")
"""What vtysh says of itself: its greeting, and each command behind its prompt."""


def vtysh(*arguments: str, typed: str | None = None) -> str:
    command = frr_daemons.vtysh_command(FOLDER, *arguments)
    done = subprocess.run(command, input=typed, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def running() -> str:
    return vtysh("-c", "show running-config")


def main() -> None:
    asked = json.load(sys.stdin)
    box.prepare()
    box.plug(asked["interfaces"])
    FOLDER.mkdir()
    empty = frr_daemons.prepare(FOLDER)
    for folder in ("/var/tmp/frr", "/run/frr"):
        box.must("chown", "frr:frr", folder)
    for daemon in frr_daemons.DAEMON_ORDER:
        box.must(*frr_daemons.start_command(daemon, FOLDER, empty))
    configuration = FOLDER / "frr.conf"
    configuration.write_text(asked["configuration"])
    rounds = [{"said": vtysh("-f", str(configuration)).splitlines(), "running": running()}]
    for commands in asked["typed"]:
        said = vtysh(typed="\n".join(commands) + "\n").splitlines()
        rounds.append({"said": [line for line in said if not ECHO.match(line)], "running": running()})
    json.dump(rounds, sys.stdout)


if __name__ == "__main__":
    main()
