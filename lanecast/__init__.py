"""Lanecast: one typed plan of a market-data network, compiled into everything that network needs."""

__version__ = "0.1.0"
