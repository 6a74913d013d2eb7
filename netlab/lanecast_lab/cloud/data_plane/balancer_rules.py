"""A load balancer's nftables: flows are spread over healthy backends, one decision a flow, which conntrack then keeps.

Clients' addresses stay as they are. [docs] Backends of TCP and UDP listeners see them; only a backend that asks itself
sees the balancer's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import gcd

from lanecast_lab.cloud.data_plane.health import Check, Kind
from lanecast_lab.cloud.data_plane.status import target_name

CHECKER = "100.64.0.1"
"""[docs] Load balancers ask backends from 100.64.0.0/10; which address of it is assumed."""

SETTINGS, PROCESS_ID = "balancer.json", "balancer.pid"
TABLE = "lanecast_balancer"
LEAST_CONNECTION = "LeastConnection"
LOOKAHEAD = 16
"""Flows that are decided before they are counted anew."""

HASH_SLOTS = 256
"""How finely source addresses are shared out."""

HASH_SEED = 0x6C616E65
"""The same address stays with the same backend also after a restart."""


@dataclass(frozen=True, slots=True)
class Backend:
    """An instance behind a balancer."""

    instance: str
    address: str
    weight: int


@dataclass(frozen=True, slots=True)
class Listener:
    """A port of a balancer."""

    kind: str
    """TCP, UDP or HTTP; HTTP's connections are passed on whole."""
    port: int
    backend_port: int
    scheduler: str
    session_timeout_s: int
    backends: tuple[Backend, ...] = ()

    @property
    def protocol(self) -> str:
        """What carries it, in nft's words."""
        return "udp" if self.kind == "UDP" else "tcp"

    @property
    def name(self) -> str:
        """Its name in the balancer."""
        return f"{self.protocol}{self.port}"


@dataclass(frozen=True, slots=True)
class Balancer:
    """A load balancer as its namespace needs it."""

    key: str
    address: str
    listeners: tuple[Listener, ...]

    @property
    def backends(self) -> tuple[Backend, ...]:
        """Those of any listener, each instance once."""
        found = {one.instance: one for listener in self.listeners for one in listener.backends}
        return tuple(found[instance] for instance in sorted(found))


@dataclass(frozen=True, slots=True)
class Settings:
    """What a balancer's program reads."""

    balancer: Balancer
    checks: dict[str, Check]
    """By target; who is not asked is taken for healthy."""

    @property
    def unchecked(self) -> frozenset[str]:
        """Targets that nobody asks."""
        pairs = ((listener, one) for listener in self.balancer.listeners for one in listener.backends)
        return frozenset(target(*pair) for pair in pairs) - self.checks.keys()

    def text(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self), indent=1, sort_keys=True)

    @staticmethod
    def read(text: str) -> Settings:
        """What :meth:`text` wrote."""
        found = json.loads(text)
        balancer = found["balancer"]
        return Settings(
            Balancer(
                balancer["key"],
                balancer["address"],
                tuple(
                    Listener(**{**one, "backends": tuple(Backend(**each) for each in one["backends"])})
                    for one in balancer["listeners"]
                ),
            ),
            {
                name: Check(**{**one, "kind": Kind(one["kind"]), "good_statuses": tuple(one["good_statuses"])})
                for name, one in found["checks"].items()
            },
        )


def target(listener: Listener, backend: Backend) -> str:
    """The name of a backend as a listener has it: what is healthy is said of these."""
    return target_name(listener.kind, listener.port, backend.instance)


def mark(listener: Listener, backend: Backend) -> int:
    """What flows of a listener to a backend are marked with: another one when the flows would go elsewhere."""
    place = f"{listener.protocol}:{listener.port}>{backend.address}:{listener.backend_port}"
    return int.from_bytes(hashlib.sha256(place.encode()).digest()[:4]) | 1  # never 0, which is no mark


def marks(balancer: Balancer, dead: Collection[str]) -> frozenset[int]:
    """Marks of the flows that may go on: those to backends that are not known to be dead, weight or not."""
    return frozenset(
        mark(listener, backend)
        for listener in balancer.listeners
        for backend in listener.backends
        if target(listener, backend) not in dead
    )


def ruleset(balancer: Balancer, healthy: Collection[str], flows: Mapping[int, int]) -> str:
    """What ``nft -f`` reads: one table, replaced in one transaction.

    New flows go to ``healthy`` targets alone; ``flows`` is how many of each mark there are.
    """
    lines = [f"table ip {TABLE} {{}}", f"delete table ip {TABLE}", f"table ip {TABLE} {{"]
    for listener in balancer.listeners:
        lines += _timeout(listener)
    lines += ["chain sessions {", "type filter hook prerouting priority mangle; policy accept;"]
    lines += [
        f'ip daddr {balancer.address} {_of(listener)} ct timeout set "{listener.name}"'
        for listener in balancer.listeners
    ]
    lines += ["}", "chain balance {", "type nat hook prerouting priority dstnat; policy accept;"]
    for listener in balancer.listeners:
        lines += _balance(balancer, listener, healthy, flows)
    lines += ["}", "chain hairpin {", "type nat hook postrouting priority srcnat; policy accept;"]
    if balancer.backends:
        pairs = ", ".join(sorted({f"{one.address} . {one.address}" for one in balancer.backends}))
        lines.append(f"ip saddr . ip daddr {{ {pairs} }} counter snat to {balancer.address}")
    return "\n".join([*lines, "}", "}", ""])


def _of(listener: Listener) -> str:
    return f"{listener.protocol} dport {listener.port}"


def _timeout(listener: Listener) -> Iterator[str]:
    seconds = listener.session_timeout_s
    policy = f"established : {seconds}" if listener.protocol == "tcp" else f"unreplied : {seconds}, replied : {seconds}"
    yield f"ct timeout {listener.name} {{"
    yield f"protocol {listener.protocol};"
    yield f"policy = {{ {policy} }};"
    yield "}"


def _balance(
    balancer: Balancer, listener: Listener, healthy: Collection[str], flows: Mapping[int, int]
) -> Iterator[str]:
    """The rule of a listener; none where nobody can take a flow, so that nobody answers."""
    usable = [one for one in listener.backends if target(listener, one) in healthy]
    if listener.scheduler == "Hash":  # [docs] weights mean nothing to it
        slots, choice = hash_slots(usable), f"jhash ip saddr mod {HASH_SLOTS} seed {HASH_SEED:#x}"
    else:
        weighted = [one for one in usable if one.weight]
        if listener.scheduler == LEAST_CONNECTION:
            slots = least_loaded(weighted, [flows.get(mark(listener, one), 0) for one in weighted])
        else:
            slots = weighted_slots(weighted)
        choice = f"numgen inc mod {len(slots)}"
    if not slots:
        return
    by_slot = ", ".join(f"{index} : {mark(listener, one)}" for index, one in enumerate(slots))
    by_mark = ", ".join(f"{mark(listener, one)} : {one.address} . {listener.backend_port}" for one in usable)
    yield f"ip daddr {balancer.address} {_of(listener)} ct mark set {choice} map {{ {by_slot} }} counter"
    yield f"ip daddr {balancer.address} {_of(listener)} dnat ip to ct mark map {{ {by_mark} }}"


def weighted_slots(backends: Sequence[Backend]) -> list[Backend]:
    """Whose turn is when: as often as its weight says, and as evenly as that goes (smooth weighted round robin)."""
    if not backends:
        return []
    shared = gcd(*(one.weight for one in backends))
    weights = [one.weight // shared for one in backends]
    credit, slots = [0] * len(backends), []
    for _ in range(sum(weights)):
        credit = [have + weight for have, weight in zip(credit, weights, strict=True)]
        chosen = max(range(len(backends)), key=lambda index: credit[index])
        credit[chosen] -= sum(weights)
        slots.append(backends[chosen])
    return slots


def least_loaded(backends: Sequence[Backend], flows: Sequence[int]) -> list[Backend]:
    """Who takes the next flows: each goes to who has the fewest for its weight by then."""
    if not backends:
        return []
    counts, slots = list(flows), []
    for _ in range(LOOKAHEAD):
        chosen = min(range(len(backends)), key=lambda index: (counts[index] + 1) / backends[index].weight)
        counts[chosen] += 1
        slots.append(backends[chosen])
    return slots


def hash_slots(backends: Sequence[Backend]) -> list[Backend]:
    """Who has which share of the source addresses: when one goes, only its own share moves (rendezvous hashing)."""
    if not backends:
        return []
    return [max(backends, key=lambda one: _score(slot, one)) for slot in range(HASH_SLOTS)]


def _score(slot: int, backend: Backend) -> bytes:
    return hashlib.sha256(f"{slot}:{backend.instance}".encode()).digest()
