"""The command ``lanecast-relay``. A replay is begun without loading what only the other commands need."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command."""
    if sys.argv[1:2] == ["replay"]:
        from lanecast_relay.replay_command import main as replay

        sys.exit(replay(sys.argv[2:], "lanecast-relay replay"))
    from lanecast_relay.cli import app

    app()


if __name__ == "__main__":
    main()
