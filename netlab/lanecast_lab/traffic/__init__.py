"""What a lab run sends: feeds invented from the plan or replayed from captures, with seeded loss at the egress."""

from lanecast_lab.traffic.archive import Served, write_archives
from lanecast_lab.traffic.capture import SkewReport, measure_skew, skew_report
from lanecast_lab.traffic.datagram import TrafficError
from lanecast_lab.traffic.plan import (
    Traffic,
    TrafficOptions,
    Transmission,
    build_traffic,
    read_losses,
    read_replays,
)

__all__ = [
    "Served",
    "SkewReport",
    "Traffic",
    "TrafficError",
    "TrafficOptions",
    "Transmission",
    "build_traffic",
    "measure_skew",
    "read_losses",
    "read_replays",
    "skew_report",
    "write_archives",
]
