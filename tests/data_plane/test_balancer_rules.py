"""How a load balancer shares flows out, and what its nftables say."""

from __future__ import annotations

import subprocess
from collections import Counter
from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from lanecast_lab.cloud.data_plane.balancer_rules import (
    HASH_SLOTS,
    Backend,
    Balancer,
    Listener,
    Settings,
    hash_slots,
    least_loaded,
    mark,
    marks,
    ruleset,
    target,
    weighted_slots,
)
from lanecast_lab.cloud.data_plane.balancers import good_statuses
from lanecast_lab.cloud.data_plane.health import Check, Kind

FIRST, SECOND, THIRD = (Backend(f"i-{n}", f"10.0.1.{n}", weight) for n, weight in ((1, 60), (2, 20), (3, 0)))
TCP = Listener("TCP", 80, 8080, "RoundRobin", 900, (FIRST, SECOND, THIRD))
UDP = Listener("UDP", 80, 8081, "Hash", 90, (FIRST, SECOND, THIRD))
HTTP = Listener("HTTP", 8000, 8082, "LeastConnection", 900, (FIRST, SECOND, THIRD))
BALANCER = Balancer("lb-1", "10.0.1.9", (TCP, UDP, HTTP))
EVERYONE = {target(listener, backend) for listener in BALANCER.listeners for backend in BALANCER.backends}


def test_classes_of_good_statuses() -> None:
    assert good_statuses("http_3xx|http_2xx") == (2, 3)
    assert good_statuses("http_\u00b2xx|elephant") == ()


@given(st.lists(st.integers(1, 100), min_size=1, max_size=8))
def test_everyone_gets_its_turns_by_weight(weights: list[int]) -> None:
    backends = [Backend(f"i-{number}", "", weight) for number, weight in enumerate(weights)]
    turns = Counter(one.instance for one in weighted_slots(backends))
    shares = [turns[one.instance] / one.weight for one in backends]
    assert max(shares) == min(shares) > 0


@given(st.integers(1, 50), st.integers(1, 50))
def test_turns_are_spread_out(first: int, second: int) -> None:
    backends = [Backend("i-1", "", first), Backend("i-2", "", second)]
    slots = [one.instance for one in weighted_slots(backends)]
    rarer = "i-1" if first < second else "i-2"
    if first != second:
        assert (rarer, rarer) not in pairwise(slots)


def test_nobody_has_no_turns() -> None:
    assert weighted_slots([]) == [] == hash_slots([])


def test_who_has_the_fewest_flows_takes_the_next() -> None:
    first, second = Backend("i-1", "", 10), Backend("i-2", "", 20)
    assert [one.instance for one in least_loaded([first, second], [0, 3])][:3] == ["i-1", "i-1", "i-2"]
    assert Counter(one.instance for one in least_loaded([first, second], [5, 10]))["i-2"] in (10, 11)
    assert least_loaded([], []) == []


def test_a_source_moves_only_when_its_own_backend_goes() -> None:
    everyone = [Backend(f"i-{number}", "", 1) for number in range(5)]
    before = hash_slots(everyone)
    after = hash_slots(everyone[1:])
    assert len(before) == len(after) == HASH_SLOTS
    moved = {old.instance for old, new in zip(before, after, strict=True) if old != new}
    assert moved == {"i-0"}
    assert min(Counter(one.instance for one in before).values()) > HASH_SLOTS // 10


def rule_of(text: str, port: str) -> str:
    return next(line for line in text.splitlines() if f"dport {port} ct mark" in line)


def test_new_flows_go_to_the_healthy_ones_with_a_weight() -> None:
    text = ruleset(BALANCER, EVERYONE, {})
    assert f": {mark(TCP, FIRST)}" in rule_of(text, "80")
    assert f": {mark(TCP, THIRD)}" not in rule_of(text, "80"), "weight 0 takes no new flows"
    without = ruleset(BALANCER, EVERYONE - {target(TCP, FIRST)}, {})
    assert f": {mark(TCP, FIRST)}" not in without
    assert f": {mark(TCP, SECOND)}" in rule_of(without, "80")
    assert "tcp dport 80 ct mark" not in ruleset(BALANCER, {target(UDP, FIRST)}, {}), "nobody takes them"


def test_flows_to_the_dead_and_the_gone_may_not_go_on() -> None:
    assert mark(TCP, THIRD) in marks(BALANCER, set()), "weight 0 keeps what it has"
    assert mark(TCP, FIRST) not in marks(BALANCER, {target(TCP, FIRST)})
    elsewhere = Listener("TCP", 80, 9090, "RoundRobin", 900)
    assert mark(elsewhere, FIRST) != mark(TCP, FIRST), "another port is another place"
    assert len(marks(BALANCER, set())) == 9


def test_settings_are_read_as_they_were_written() -> None:
    check = Check(Kind.HTTP, "10.0.1.1", 8080, text="/health", good_statuses=(2, 3))
    settings = Settings(BALANCER, {target(TCP, FIRST): check})
    assert Settings.read(settings.text()) == settings
    assert settings.unchecked == EVERYONE - {target(TCP, FIRST)}


def test_nftables_takes_it() -> None:
    for healthy in (EVERYONE, set()):
        for balancer in (
            BALANCER,
            Balancer("lb-1", "10.0.1.9", ()),
            Balancer("lb-1", "10.0.1.9", (replace(TCP, backends=()),)),
        ):
            done = subprocess.run(
                ["unshare", "--net", "nft", "-f", "-"],
                input=ruleset(balancer, healthy, {mark(HTTP, FIRST): 3}) * 2,
                capture_output=True,
                text=True,
                check=False,
            )
            assert (done.returncode, done.stderr) == (0, "")
