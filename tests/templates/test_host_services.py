"""Clock, syslog and counters of Linux boxes: what the plan's ``management`` says is in the files, and their programs agree.

What is expected comes from the plan's text; the files are read by readers of this test's own.
"""

from __future__ import annotations

import shutil
import stat
from configparser import ConfigParser
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from lanecast.cli import build_app
from lanecast.compiler import compile_plan
from lanecast.plan.loader import load_plan
from lanecast_templates.oracles.check import PROGRAMS, PROMTOOL, Finding, Program, check
from lanecast_templates.renderer import SecretResolver, render_fabric

TWO_SITES = Path(__file__).parent.parent.parent / "examples/two-sites.yaml"
SERVERS = ["10.0.0.5", "10.0.0.6"]
SYSLOG = ["10.0.0.8", "10.0.0.9"]
READERS = ["10.0.0.0/24", "10.8.7.0/24"]
SECRET = "ntp-s3cret"
ENVIRONMENT = {"NTP_KEY": SECRET}
KEY = {"id": 3, "secret": {"environment": "NTP_KEY"}}
EVERYTHING: dict[str, Any] = {
    "ssh-from": ["10.0.0.0/24"],
    "metrics-from": READERS,
    "ntp": {"servers": SERVERS, "key": KEY},
    "ptp": {"domain": 24},
    "syslog": SYSLOG,
}


def plan_with(folder: Path, management: dict[str, Any]) -> Path:
    path = folder / "plan.yaml"
    path.write_text(TWO_SITES.read_text() + yaml.safe_dump({"management": management}))
    return path


def render(folder: Path, management: dict[str, Any]) -> Path:
    out = folder / "out"
    arguments = ["render", str(plan_with(folder, management)), "-o", str(out)]
    result = CliRunner().invoke(build_app(["render"]), arguments, env=ENVIRONMENT)
    assert result.exit_code == 0, result.stderr
    return out


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render(tmp_path_factory.mktemp("services"), EVERYTHING)


def directives(path: Path) -> list[list[str]]:
    lines = (line.strip() for line in path.read_text().splitlines())
    return [line.split() for line in lines if line and not line.startswith("#")]


def boxes(plan: dict[str, Any]) -> list[str]:
    return [name for site in plan["sites"].values() for part in ("routers", "relays") for name in site[part]]


def lan_address(out: Path, box: str) -> str:
    """A box's address on a LAN, from the file that gives it: a relay's first, a router's only one."""
    if (out / box / "etc/frr").exists():
        interfaces = (out / box / "etc/frr/frr.conf").read_text().split("\ninterface ")
        [lan] = [text for text in interfaces if text.startswith("lan\n")]
        return next(line for line in lan.splitlines() if "ip address" in line).split()[2].partition("/")[0]
    first = min((out / box / "etc/systemd/network").glob("10-lanecast-lan-*.network"))
    return next(line for line in first.read_text().splitlines() if line.startswith("Address="))[8:].partition("/")[0]


@pytest.mark.parametrize("box", boxes(yaml.safe_load(TWO_SITES.read_text())))
def test_every_box_of_a_site_follows_the_plans_clocks_and_tells_its_syslog_servers(box: str, out: Path) -> None:
    etc, address = out / box / "etc", lan_address(out, box)
    said = directives(etc / "chrony/chrony.conf")
    assert [line for line in said if line[0] in ("server", "pool", "peer", "sourcedir", "confdir")] == [
        ["server", server, "iburst", "key", "3"] for server in SERVERS
    ]
    for wanted in ("keyfile /etc/chrony/lanecast.keys", "authselectmode require", "port 0", "cmdport 0", "rtcsync"):
        assert wanted.split() in said
    assert ["bindacqaddress", address] in said
    [clock] = [line for line in said if line[0] == "refclock"]
    assert clock[1:3] == ["SHM", "0"]
    assert directives(etc / "chrony/lanecast.keys") == [["3", "MD5", f"ASCII:{SECRET}"]]
    messages = directives(etc / "rsyslog.d/60-lanecast-syslog.conf")
    assert [line[0] for line in messages] == ["*.*", "*.*"]
    for line, server in zip(messages, SYSLOG, strict=True):
        assert {f'target="{server}"', 'port="514"', 'protocol="udp"', f'address="{address}"'} <= set(line)


@pytest.mark.parametrize("box", boxes(yaml.safe_load(TWO_SITES.read_text())))
def test_ptp_is_followed_in_the_plans_domain_on_the_lan_and_chronyd_alone_has_the_clock(box: str, out: Path) -> None:
    etc = out / box / "etc"
    ptp = ConfigParser(delimiters=(" ",))
    ptp.read(etc / "linuxptp/ptp4l.conf")
    assert dict(ptp["global"]) == {
        "domainnumber": "24",
        "slaveonly": "1",
        "network_transport": "UDPv4",
        "delay_mechanism": "E2E",
        "time_stamping": "hardware",
    }
    [_, port] = ptp.sections()
    assert f'iifname "{port}" ip protocol 17' in (etc / "nftables.conf").read_text()
    assert "udp dport { 319, 320 }" in (etc / "nftables.conf").read_text()
    unit = (etc / "systemd/system/lanecast-phc2sys.service").read_text()
    [start] = [line for line in unit.splitlines() if line.startswith("ExecStart=")]
    assert start == f"ExecStart=/usr/sbin/phc2sys -s {port} -w -n 24 -E ntpshm -M 0"


def test_nobody_else_gets_them_and_the_key_is_its_owners_alone(out: Path) -> None:
    plan = yaml.safe_load(TWO_SITES.read_text())
    for name in ("chrony.conf", "60-lanecast-syslog.conf", "ptp4l.conf"):
        assert sorted(path.relative_to(out).parts[0] for path in out.rglob(name)) == sorted(boxes(plan))
    holding = [path for path in out.rglob("*") if path.is_file() and SECRET in path.read_text()]
    assert {path.name for path in holding} == {"lanecast.keys"}
    assert len(holding) == len(boxes(plan))
    for path in holding:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert "secret" in path.read_text().splitlines()[0]


@pytest.mark.parametrize(
    ("management", "files", "lacking"),
    [
        ({}, [], ["chrony", "linuxptp", "rsyslog.d"]),
        ({"ntp": {"servers": SERVERS}}, ["chrony/chrony.conf"], ["chrony/lanecast.keys", "linuxptp", "rsyslog.d"]),
        ({"ptp": {"domain": 0}}, ["chrony/chrony.conf", "linuxptp/ptp4l.conf"], ["chrony/lanecast.keys", "rsyslog.d"]),
        ({"syslog": SYSLOG}, ["rsyslog.d/60-lanecast-syslog.conf"], ["chrony", "linuxptp"]),
    ],
    ids=["nothing", "NTP", "PTP", "syslog"],
)
def test_what_the_plan_does_not_say_is_nobodys(
    management: dict[str, Any], files: list[str], lacking: list[str], tmp_path: Path
) -> None:
    etc = render(tmp_path, management) / "hk1-relay-1/etc"
    assert [name for name in files if not (etc / name).exists()] == []
    assert [name for name in lacking if (etc / name).exists()] == []
    if "chrony/chrony.conf" in files:
        said = {line[0] for line in directives(etc / "chrony/chrony.conf")}
        assert ("server" in said, "refclock" in said) == ("ntp" in management, "ptp" in management)
        assert "keyfile" not in said
        assert "authselectmode" not in said


def test_a_key_that_is_missing_is_told_with_the_plans_line(tmp_path: Path) -> None:
    plan = plan_with(tmp_path, {"ntp": {"servers": SERVERS, "key": KEY}})
    result = CliRunner().invoke(build_app(["render"]), ["render", str(plan), "-o", str(tmp_path / "out")])
    assert result.exit_code == 1
    line = next(n for n, text in enumerate(plan.read_text().splitlines(), 1) if "secret:" in text)
    [told] = [line for line in result.stderr.splitlines() if ": warning: " not in line]
    assert told.startswith(f"{plan}:{line}: management.ntp.key.secret")
    assert "NTP_KEY is not set" in told


def targets(out: Path) -> dict[str, dict[str, str]]:
    [job] = yaml.safe_load((out / "prometheus/lanecast.yaml").read_text())["scrape_configs"]
    assert job["job_name"] == "lanecast-relay"
    found = {}
    for entry in job["static_configs"]:
        [target] = entry["targets"]
        found[entry["labels"]["instance"]] = {"target": target, **entry["labels"]}
    return found


def test_prometheus_is_told_of_every_relay_where_it_listens_and_what_it_carries(out: Path) -> None:
    plan = yaml.safe_load(TWO_SITES.read_text())
    relays = {path.relative_to(out).parts[0]: yaml.safe_load(path.read_text()) for path in out.rglob("relay.yaml")}
    found = targets(out)
    assert sorted(found) == sorted(relays)
    for name, labels in found.items():
        assert labels.pop("target") == relays[name]["metrics"]
        assert labels.pop("instance") == name
        assert labels.pop("feeds") == ",".join(sorted(relays[name]["feeds"]))
        at = [site for site, held in plan["sites"].items() if name in held["relays"]]
        if at:
            assert labels == {"site": at[0], "region": plan["sites"][at[0]]["region"], "role": "relay"}
            assert relays[name]["metrics"] == f"{lan_address(out, name)}:9464"
        else:
            subnet = plan["subscribers"][name.rpartition("-")[0]]["subnet"]
            assert labels == {"subnet": subnet, "region": subnet.partition(".")[0], "role": "subscriber"}


@pytest.mark.parametrize("relay", ["hk1-relay-1", "gz1-relay-2"])
def test_only_the_plans_readers_get_to_the_counters(relay: str, out: Path) -> None:
    rules = [line for line in (out / relay / "etc/nftables.conf").read_text().splitlines() if "9464" in line]
    accepting = [line for line in rules if " accept " in line]
    [rule] = accepting
    first = min((out / relay / "etc/systemd/network").glob("10-lanecast-lan-*.network")).name
    assert f'iifname "{first.removeprefix("10-lanecast-").removesuffix(".network")}"' in rule
    assert f"ip saddr {{ {', '.join(READERS)} }}" in rule


def test_without_readers_no_relay_serves_its_counters(tmp_path: Path) -> None:
    out = render(tmp_path, {"ssh-from": ["10.0.0.0/24"]})
    assert not (out / "prometheus").exists()
    assert not any("metrics" in yaml.safe_load(path.read_text()) for path in out.rglob("relay.yaml"))
    assert not any("9464" in path.read_text() for path in out.rglob("nftables.conf"))


def test_no_node_takes_the_scrape_files_folder(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(TWO_SITES.read_text().replace("hk1-r1", "prometheus"))
    result = CliRunner().invoke(build_app(["check"]), ["check", str(path)])
    assert result.exit_code == 1
    assert "prometheus is a folder beside those of the nodes" in result.stderr


MISTAKES: list[tuple[str, Program, tuple[str, str], str]] = [
    (
        "hk1-relay-1/etc/chrony/chrony.conf",
        PROGRAMS["etc/chrony/chrony.conf"],
        ("rtcsync", "rtcsnyc"),
        "Invalid directive",
    ),
    (
        "hk1-relay-1/etc/linuxptp/ptp4l.conf",
        PROGRAMS["etc/linuxptp/ptp4l.conf"],
        ("domainNumber", "domainNumbre"),
        "unknown option domainNumbre at line 3",
    ),
    (
        "hk1-relay-1/etc/rsyslog.d/60-lanecast-syslog.conf",
        PROGRAMS["etc/rsyslog.d/60-lanecast-syslog.conf"],
        ("protocol=", "protocool="),
        "parameter 'protocool' not known",
    ),
    ("prometheus/lanecast.yaml", PROMTOOL, ("job_name", "jbo_name"), "field jbo_name not found"),
]


@pytest.mark.lab
@pytest.mark.parametrize(
    ("path", "program", "edit", "said"), MISTAKES, ids=lambda value: getattr(value, "package", None)
)
def test_the_program_itself_takes_a_file_and_refuses_a_mistake_or_is_said_to_be_missing(
    path: str, program: Program, edit: tuple[str, str], said: str, tmp_path: Path
) -> None:
    fabric = compile_plan(load_plan(plan_with(tmp_path, EVERYTHING)), {})
    files = [file for file in render_fabric(fabric, SecretResolver(ENVIRONMENT)) if str(file.path) == path]
    wrong = [replace(file, text=file.text.replace(*edit, 1)) for file in files]
    assert [file.text for file in wrong] != [file.text for file in files]
    only = replace(fabric, routers=(), hosts=tuple(host for host in fabric.hosts if host.name == "hk1-relay-1"))
    [right], [refused] = (list(check(only, each, lambda node: None)) for each in (files, wrong))
    assert isinstance(right, Finding)
    assert right.oracle == refused.oracle == program.command[0]
    assert right.problems == ()
    if shutil.which(program.command[0]) is None:
        missing = f"{program.command[0]} is not on this machine (Debian package {program.package})"
        assert right.unchecked == refused.unchecked == missing
    else:
        assert right.unchecked is None
        assert said in "\n".join(refused.problems)
