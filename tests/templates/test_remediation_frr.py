"""What a change window types into FRR, typed into real FRR: afterwards it runs what was asked for and nothing else, and
after what undoes it the same as before.

What "nothing else" means is what a fresh FRR makes of the new file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from typer.testing import CliRunner

from lanecast.cli import build_app
from lanecast.compiler import compile_plan
from lanecast.plan.loader import load_plan
from lanecast_templates.frr_configuration import missing_lines, parse
from lanecast_templates.remediation.changes import changes
from lanecast_templates.renderer import SecretResolver, render_fabric

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root"),
    pytest.mark.skipif(not Path("/usr/lib/frr/pimd").exists(), reason="FRR is not on this machine"),
]

HERE = Path(__file__).parent
TWO_SITES = HERE.parent.parent / "examples/two-sites.yaml"
TYPING = HERE / "frr_typing.py"
PLATFORMS = HERE / "golden_platforms/frr"
ISOLATED = ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"]
NO_REFUSAL = ("% Failure leaving IGMP group",)
"""FRR 8.4 says so of every join that it leaves; the join is gone all the same."""


def run(configuration: str, *typed: list[str]) -> list[dict[str, Any]]:
    """What runs after the configuration was loaded, and after each round of typing."""
    texts = [configuration, *("\n".join(commands) for commands in typed)]
    interfaces = {line.split()[1] for text in texts for line in text.splitlines() if line.startswith("interface ")}
    question = {"interfaces": sorted(interfaces), "configuration": configuration, "typed": typed}
    done = subprocess.run(
        [*ISOLATED, sys.executable, str(TYPING)],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rounds: list[dict[str, Any]] = json.loads(done.stdout)
    return rounds


def refused(said: list[str]) -> list[str]:
    return [line for line in said if line.startswith("%") and not line.startswith(NO_REFUSAL)]


def commands_between(old: str, new: str) -> tuple[list[str], list[str]]:
    """What is typed into the router, and what undoes it."""
    file = PurePosixPath("router/etc/frr/frr.conf")
    [device] = changes({file: old}, {file: new}).devices
    [commands] = device.commands
    return list(commands.type), list(commands.undo)


def prove(old: str, new: str, there: list[str], back: list[str]) -> None:
    before, after, again = run(old, there, back)
    [fresh] = run(new)
    assert [refused(each["said"]) for each in (before, after, again, fresh)] == [[], [], [], []]
    assert missing_lines(new, after["running"]) == missing_lines(new, fresh["running"])
    assert set(parse(after["running"])) == set(parse(fresh["running"])), "something else runs than asked for"
    assert set(parse(again["running"])) == set(parse(before["running"])), "not undone"


@cache
def plain() -> str:
    """A router with a circuit, a segment of relays and an uplink."""
    files = render_fabric(compile_plan(load_plan(TWO_SITES), {}), SecretResolver({}))
    return next(file.text for file in files if str(file.path) == "hk1-r1/etc/frr/frr.conf")


@cache
def everything() -> str:
    """The same with all that a plan can ask of FRR."""
    return (PLATFORMS / "everything/hk1-r1.conf").read_text()


@cache
def sparse() -> str:
    """A router of a site where the exchange has a rendezvous point."""
    return (PLATFORMS / "everything/gz1-r1.conf").read_text()


def with_(text: str, *edits: tuple[str, str]) -> str:
    for before, after in edits:
        assert before in text, before
        text = text.replace(before, after)
    return text


def without(text: str, *words: str) -> str:
    """The text without the lines that have one of these in them."""
    assert all(word in text for word in words)
    return "".join(f"{line}\n" for line in text.splitlines() if not any(word in line for word in words))


def without_block(text: str, head: str) -> str:
    start = text.index(f"{head}\n")
    end = text.index("\nexit\n", start) + len("\nexit\n")
    return text[:start] + text[end:]


def with_password(password: str) -> str:
    timers = " neighbor 192.0.2.1 timers"
    return with_(plain(), (timers, f" neighbor 192.0.2.1 password {password}\n{timers}"))


def without_uplink() -> str:
    return without(without_block(plain(), "interface hk1-up1.201"), "192.0.2.129", "hk1-up1", "as-45085")


def with_route_map(body: str) -> str:
    use = "  neighbor 192.0.2.1 maximum"
    return with_(plain(), (use, f"  neighbor 192.0.2.1 route-map taken in\n{use}"), ("interface lan", f"{body}interface lan"))  # fmt: skip


def with_entry_in_front() -> str:
    return with_(
        plain(),
        ("from-hk1-a seq 10 permit 198.51.100.21/32", "from-hk1-a seq 15 permit 198.51.100.21/32"),
        (
            "from-hk1-a seq 5 permit 198.51.100.11/32",
            "from-hk1-a seq 5 permit 198.51.100.3/32\nip prefix-list from-hk1-a seq 10 permit 198.51.100.11/32",
        ),
    )


def with_entries_swapped() -> str:
    return with_(
        plain(),
        ("from-hk1-a seq 5 permit 198.51.100.11/32", "from-hk1-a seq 5 permit other"),
        ("from-hk1-a seq 10 permit 198.51.100.21/32", "from-hk1-a seq 10 permit 198.51.100.11/32"),
        ("permit other", "permit 198.51.100.21/32"),
    )


ROUTE = "ip route 10.8.0.0/16 192.0.2.129 hk1-up1.201 {}\nrouter bgp"
TAKEN = "route-map taken {} 10\n match ip address prefix-list {}\n{}exit\n"

CASES: Mapping[str, tuple[Callable[[], str], Callable[[], str]]] = {
    "a neighbour and its interface removed": (plain, without_uplink),
    "a neighbour and its interface added": (without_uplink, plain),
    "a password": (plain, lambda: with_password("one")),
    "another password": (lambda: with_password("one"), lambda: with_password("two|\"'#!")),
    "BGP's timers": (plain, lambda: with_(plain(), ("timers bgp 3 9", "timers bgp 4 12"), ("connect 5", "connect 7"))),
    "BGP's own timers": (plain, lambda: without(plain(), "timers bgp", "timers connect")),
    "the neighbour's AS": (
        plain,
        lambda: with_(
            plain(),
            ("remote-as 65010", "remote-as 65011"),
            ("^65010(_65010)*$", "^65011(_65011)*$"),
            ("as-65010", "as-65011"),
        ),
    ),
    "the own AS": (plain, lambda: with_(plain(), ("router bgp 65101", "router bgp 65109"))),
    "another neighbour": (
        plain,
        lambda: with_(plain(), ("192.0.2.1 ", "192.0.2.5 "), ("192.0.2.2/30", "192.0.2.6/30")),
    ),
    "GTSM": (plain, lambda: with_(plain(), ("192.0.2.1 ttl-security hops 1", "192.0.2.1 ttl-security hops 2"))),
    "hops instead of GTSM": (
        plain,
        lambda: with_(plain(), ("192.0.2.1 ttl-security hops 1", "192.0.2.1 ebgp-multihop 3")),
    ),
    "first AS not enforced": (plain, lambda: without(plain(), "enforce-first-as")),
    "policy not required": (plain, lambda: with_(plain(), (" bgp ebgp-requires", " no bgp ebgp-requires"))),
    "BGP's defaults": (plain, lambda: without(plain(), "no bgp default", "import-check")),
    "router identifier": (plain, lambda: with_(plain(), ("router-id 192.0.2.2", "router-id 192.0.2.130"))),
    "most prefixes": (plain, lambda: with_(plain(), ("maximum-prefix 12", "maximum-prefix 24 80"))),
    "no bound of prefixes": (plain, lambda: without(plain(), "maximum-prefix")),
    "what is originated": (plain, lambda: with_(plain(), ("network 10.200.0.96/27", "network 10.200.0.64/26"))),
    "no BGP": (plain, lambda: plain()[: plain().index("router bgp")]),
    "an entry in front": (plain, with_entry_in_front),
    "entries that change places": (plain, with_entries_swapped),
    "a list of one entry": (
        plain,
        lambda: with_(plain(), ("to-hk1-a seq 5 deny any", "to-hk1-a seq 5 permit 10.0.0.0/8")),
    ),
    "another name for a list": (plain, lambda: with_(plain(), ("from-hk1-a", "taken-hk1-a"))),
    "another AS path": (plain, lambda: with_(plain(), ("^65010(_65010)*$", "^65011(_65011)*$"))),
    "a route map": (plain, lambda: with_route_map(TAKEN.format("permit", "from-hk1-a", " set local-preference 200\n"))),
    "another action of a route map": (
        lambda: with_route_map(TAKEN.format("permit", "from-hk1-a", " set local-preference 200\n")),
        lambda: with_route_map(TAKEN.format("deny", "to-hk1-up1", "")),
    ),
    "slower IGMP": (
        plain,
        lambda: with_(plain(), ("response-time 10\n", "response-time 100\n"), ("interval 5\n", "interval 125\n")),
    ),
    "a little slower IGMP": (
        plain,
        lambda: with_(plain(), ("response-time 10\n", "response-time 50\n"), ("interval 5\n", "interval 6\n")),
    ),
    "IGMP's own timers": (plain, lambda: without(plain(), "query-max", "query-interval")),
    "an older IGMP": (plain, lambda: with_(plain(), ("ip igmp version 3", "ip igmp version 2"))),
    "no IGMP": (plain, lambda: without(plain(), "ip igmp")),
    "PIM's hello": (plain, lambda: with_(plain(), ("ip pim hello 1", "ip pim hello 2"))),
    "PIM's own hello": (plain, lambda: without(plain(), "ip pim hello")),
    "a neighbour where there was none": (plain, lambda: with_(plain(), (" ip pim passive\n", " ip pim hello 3\n"))),
    "no PIM": (plain, lambda: without(plain(), "ip pim", "boundary")),
    "another boundary": (plain, lambda: with_(plain(), ("oil carried-groups", "oil out-hk1-a"))),
    "no boundary": (plain, lambda: without(plain(), "boundary oil")),
    "other SSM ranges": (
        plain,
        lambda: with_(plain(), ("ssm prefix-list ssm-ranges", "ssm prefix-list carried-groups")),
    ),
    "no SSM ranges": (plain, lambda: without(plain(), "ssm")),
    "a static route": (plain, lambda: with_(plain(), ("router bgp", ROUTE.format(100)))),
    "another distance": (
        lambda: with_(plain(), ("router bgp", ROUTE.format(100))),
        lambda: with_(plain(), ("router bgp", ROUTE.format(1))),
    ),
    "another address": (plain, lambda: with_(plain(), ("10.200.0.193/27", "10.200.0.225/27"))),
    "a second address": (
        plain,
        lambda: with_(plain(), (" ip address 10.200.0.97/27", " ip address 10.200.0.97/27\n ip address 10.201.0.1/24")),
    ),
    "descriptions": (plain, lambda: with_(plain(), ("description cme over hk1-a", "description CME now"))),
    "no descriptions": (plain, lambda: without(plain(), "description")),
    "logging": (plain, lambda: with_(plain(), ("syslog informational", "syslog warnings"))),
    "BFD's timers": (
        everything,
        lambda: with_(everything(), ("interval 300", "interval 400"), ("detect-multiplier 3", "detect-multiplier 5")),
    ),
    "no BFD": (everything, lambda: without(without_block(everything(), "bfd"), "bfd profile")),
    "ranges of a rendezvous point": (sparse, lambda: with_(sparse(), ("239.3.0.0/16", "239.5.0.0/16"))),
    "another rendezvous point": (sparse, lambda: with_(sparse(), ("203.0.113.14 239", "203.0.113.15 239"))),
    "no static joins": (everything, lambda: without(everything(), "igmp join")),
    "no DR priority": (everything, lambda: without(everything(), "drpriority")),
    **{
        f"all that {router} can have": (
            lambda router=router: (PLATFORMS / f"plain/{router}.conf").read_text(),  # type: ignore[misc]
            lambda router=router: (PLATFORMS / f"everything/{router}.conf").read_text(),  # type: ignore[misc]
        )
        for router in ("hk1-r1", "hk1-r2", "gz1-r1", "gz1-r2")
    },
}


@pytest.mark.parametrize("case", CASES)
def test_frr_runs_what_was_asked_for_and_then_what_it_did_before(case: str) -> None:
    old, new = (text() for text in CASES[case])
    assert old != new
    prove(old, new, *commands_between(old, new))


def test_a_change_of_a_plan_is_typed_as_the_command_says(tmp_path: Path) -> None:
    """Through the door: the plan's routers, one after the other, from the JSON that `lanecast render --diff` prints."""
    text = TWO_SITES.read_text()
    text = with_(
        text,
        ("vlan: 101, link: 192.0.2.0/30", "vlan: 105, link: 192.0.2.16/30"),
        ("asn: 65020", "asn: 65021"),
        ("224.0.31.2:14318", "224.0.31.7:14318"),
        ("carries: [cme-310.B]}", "carries: [cme-310.B], password: {environment: HK1_B}}"),
    )
    plan = tmp_path / "plan.yaml"
    plan.write_text(text)
    secret = {"HK1_B": "s3cret-word"}
    result = CliRunner(env=secret).invoke(
        build_app(["render"]), ["render", "--json", "--diff", str(TWO_SITES), str(plan)]
    )
    assert result.exit_code == 0, result.stderr
    devices = {device["name"]: device for device in json.loads(result.stdout)["devices"]}
    old, new = (
        {str(file.path): file.text for file in render_fabric(compile_plan(load_plan(path), {}), SecretResolver(secret))}
        for path in (TWO_SITES, plan)
    )
    for router in ("hk1-r1", "hk1-r2", "gz1-r1", "gz1-r2"):
        [commands] = devices[router]["commands"]
        there, back = (
            [line.replace("<environment:HK1_B>", secret["HK1_B"]) for line in commands[way]] for way in ("type", "undo")
        )
        name = f"{router}/etc/frr/frr.conf"
        prove(old[name], new[name], there, back)
