"""``python -m lanecast_bench``."""

from lanecast_bench.cli import main

if __name__ == "__main__":
    main()
