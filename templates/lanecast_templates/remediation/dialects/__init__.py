"""Which dialect a platform speaks, and which rendered file holds it."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from lanecast_templates.remediation.dialect import Dialect
from lanecast_templates.remediation.dialects.eos import EOS
from lanecast_templates.remediation.dialects.frr import FRR
from lanecast_templates.remediation.dialects.h3c_comware import H3C_COMWARE
from lanecast_templates.remediation.dialects.huawei_vrp import HUAWEI_VRP
from lanecast_templates.remediation.dialects.ios_xe import IOS_XE
from lanecast_templates.remediation.dialects.junos import JUNOS
from lanecast_templates.remediation.dialects.nx_os import NX_OS
from lanecast_templates.remediation.dialects.vyos import VYOS

DIALECTS: dict[str, Dialect] = {
    dialect.platform: dialect for dialect in (FRR, EOS, IOS_XE, NX_OS, JUNOS, HUAWEI_VRP, H3C_COMWARE, VYOS)
}
"""By platform, as plans and ``docs/grammars.md`` name them."""


def dialect_of(file: PurePosixPath) -> Dialect | None:
    """The dialect of a rendered file; None where it is no router's configuration."""
    return next(
        (
            dialect
            for dialect in DIALECTS.values()
            if any(fnmatchcase(file.name, pattern) for pattern in dialect.files or (f"{dialect.platform}.*",))
        ),
        None,
    )
