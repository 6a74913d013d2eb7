"""The command ``lanecast``. A replay is begun without loading what only the other commands need."""

from __future__ import annotations

import sys
from importlib import import_module


def main() -> None:
    """Run the command."""
    if sys.argv[1:3] == ["relay", "replay"]:
        sys.exit(import_module("lanecast_relay.replay_command").main(sys.argv[3:], "lanecast relay replay"))
    import_module("lanecast.cli").main()


if __name__ == "__main__":
    main()
