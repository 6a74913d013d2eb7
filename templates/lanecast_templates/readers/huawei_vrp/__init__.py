"""Reads VRP 8 of NetEngine 40E back."""

from lanecast_templates.readers.huawei_vrp.summary import read

__all__ = ["read"]
