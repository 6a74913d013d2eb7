"""Which interfaces are part of the box."""

_MADE = (
    *("loopback", "null", "tunnel", "nve", "bdi", "vlan", "vlanif", "vlan-interface"),
    *("port-channel", "eth-trunk", "route-aggregation", "bridge-aggregation"),
)

PORT = rf"(?i)interface (?!(?:{'|'.join(_MADE)})\d)[^.\s]*\d$"
"""A port that nobody made by a command, and that no command removes."""
