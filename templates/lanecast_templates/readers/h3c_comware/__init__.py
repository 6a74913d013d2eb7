"""Reads Comware 7 of MSR and SR routers back."""

from lanecast_templates.readers.h3c_comware.summary import read

__all__ = ["read"]
