"""Cloud providers: what each one's dedicated lines take, whoever plans."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider; bounds are included."""

    title: str
    asn: int
    """Of its dedicated-line gateways, in every region."""
    vlans: tuple[int, int]
    bfd_interval_ms: tuple[int, int]
    bfd_multiplier: tuple[int, int]


PROVIDERS = {
    "baidu": Provider("Baidu AI Cloud", asn=45085, vlans=(2, 4009), bfd_interval_ms=(200, 1000), bfd_multiplier=(3, 10))
}
"""By the plan's word. Baidu: ET channel, bgpAsn and vlanId; its BFD, sendInterval, receivInterval, detectMultiplier."""
