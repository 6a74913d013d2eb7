"""The relay under the restrictions of its unit: user, capabilities, no new privileges, and the filters of system calls."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path

import pytest
import restricted
from leasing import CLIENT, DEADLINE_S, NEEDS_ROOT, Leasing, Source, own_network, receiver, wait_until

from lanecast.compiler import compile_plan
from lanecast.plan.loader import load_plan
from lanecast_templates.renderer import SecretResolver, render_fabric

ROOT = Path(__file__).parent.parent.parent
HIGHEST_EXPOSURE = 2.0

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine"
)


@cache
def unit_text() -> str:
    """The relay's unit as it is rendered."""
    fabric = compile_plan(load_plan(ROOT / "examples/two-sites.yaml"), {})
    files = render_fabric(fabric, SecretResolver({}))
    return next(file.text for file in files if str(file.path).endswith("/lanecast-relay.service"))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that nobody owns, outside of pytest's, which others may not enter."""
    with tempfile.TemporaryDirectory(prefix="lanecast-restricted-") as name:
        folder = Path(name)
        (folder / "lanecast-relay.service").write_text(unit_text())
        own(folder)
        yield folder


def own(folder: Path) -> None:
    for path in (folder, *folder.iterdir()):
        os.chown(path, restricted.NOBODY, restricted.NOBODY)


def test_systemd_s_own_figure_of_exposure(tmp_path: Path) -> None:
    unit = tmp_path / "lanecast-relay.service"
    unit.write_text(unit_text())
    command = ["systemd-analyze", "security", "--offline=yes", str(unit)]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"exposure level for \S+: ([0-9.]+)", shown.stdout)
    assert found is not None, shown.stdout + shown.stderr
    assert float(found[1]) <= HIGHEST_EXPOSURE


REFUSED = {
    "a file elsewhere": ("open('/lanecast-test', 'w')", "EROFS"),
    "packet socket": ("socket.socket(socket.AF_PACKET, socket.SOCK_RAW)", "EAFNOSUPPORT"),
    "netlink socket": ("socket.socket(16, socket.SOCK_RAW)", "EAFNOSUPPORT"),
    "raw socket": ("socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)", "EPERM"),
    "memory to write and run": ("mmap.mmap(-1, 4096, prot=7)", "EPERM"),
    "real time": ("os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))", "EPERM"),
    "another user": ("os.setuid(0)", "EPERM"),
    "another root": ("os.chroot('/')", "EPERM"),
    "an owner": ("os.chown('/tmp', 0, 0)", "EPERM"),
    "a namespace": ("check(ctypes.CDLL(None, use_errno=True).unshare(0x10000000))", "EPERM"),
    "a mount": ("check(ctypes.CDLL(None, use_errno=True).mount(b'x', b'/mnt', b'tmpfs', 0, None))", "EPERM"),
    "a clock": ("time.clock_settime(time.CLOCK_REALTIME, 0)", "EPERM"),
}
ATTEMPT = """
import ctypes, errno, mmap, os, socket, time
def check(result):
    if result: raise OSError(ctypes.get_errno(), "refused")
try:
    {attempt}
except OSError as error:
    print(errno.errorcode[error.errno])
else:
    print("done")
"""


@NEEDS_ROOT
def test_the_restrictions_are_there(folder: Path) -> None:
    """Otherwise the test below would show nothing."""
    for name, (attempt, refusal) in REFUSED.items():
        command = [*restricted.wrapper(folder), sys.executable, "-c", ATTEMPT.format(attempt=attempt)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        assert said == refusal, name


@NEEDS_ROOT
def test_the_relay_does_everything_under_its_units_restrictions(folder: Path) -> None:
    with own_network(), closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
        manager.bind(str(folder / "notify"))
        manager.settimeout(DEADLINE_S)
        told = {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "500000"}
        relay = Leasing(folder, wrapper=restricted.wrapper(folder), environment=told)
        relay.write(("audit:", "metrics: 127.0.0.1:9464\naudit:"))
        own(folder)
        relay.start()
        assert heard(manager) == "READY=1"
        assert relay.process is not None
        assert_restricted(relay.process.pid)
        source = Source()
        with receiver("10.8.2.20") as fixed, receiver() as client:
            wanted = source.send(100)
            assert [fixed.recv(2048) for _ in range(100)] == wanted, "multicast joined, arbitrated, delivered"
            token = relay.token(scope=["lease", "admin"])
            lease = relay.lease(token).document
            wanted = source.send(100)
            for one in (fixed, client):
                assert [one.recv(2048) for _ in range(100)] == wanted
            # By the signal: a subscriber, and a unicast line more.
            metrics = ("audit:", "metrics: 127.0.0.1:9464\naudit:")
            relay.write(
                metrics,
                ("  fixed:", '  more: {feeds: {quotes: {main: "10.8.2.11:20001"}}}\n  fixed:'),
                ("  trades:\n", "  other: {protocol: raw, lines: {A: {unicast: {listen: {main: \"192.0.2.2:23001\"}}}}}\n  trades:\n"),
            )  # fmt: skip
            relay.process.send_signal(signal.SIGHUP)
            assert_reloaded(manager)
            with receiver("10.8.2.11") as more:
                wanted = source.send(100)
                for one in (fixed, client, more):
                    assert [one.recv(2048) for _ in range(100)] == wanted
            # By the control socket and by the API, back and forth.
            relay.write()
            assert relay.command("reload", str(relay.file)).returncode == 1, "metrics cannot go without a restart"
            assert "metrics" in relay.log()[-1]["mistake"]
            assert_reloaded(manager)
            relay.write(metrics)
            assert relay.command("reload", str(relay.file)).returncode == 0
            assert_reloaded(manager)
            assert relay.call("POST", "/v1/reload", token).status == 200
            assert_reloaded(manager)
            assert relay.call("DELETE", f"/v1/leases/{lease['id']}", token).status == 204
        final = relay.stop()
    assert [stream["lost_messages"] for stream in final["streams"] if stream["channel"] == "main"] == [0, 0, 0]
    assert (final["fan_out"]["used"], final["fan_out"]["reason"]) == ("io-uring", None), "the unit allows it"
    assert {one["event"] for one in relay.audit()} >= {"started", "opened", "closed", "stopped"}
    assert relay.audit_log.stat().st_mode & 0o777 == 0o600, "the unit's UMask"
    assert CLIENT in relay.audit_log.read_text()


@NEEDS_ROOT
def test_a_journal_is_kept_and_repaired_under_its_units_restrictions(folder: Path) -> None:
    journal = folder / "journal"
    keeping = f"journal: {{directory: {journal}, segment: 1MiB, size: 4MiB, sync: 5ms}}\naudit:"
    with own_network():
        relay = Leasing(folder, wrapper=restricted.wrapper(folder))
        relay.write(("audit:", keeping))
        own(folder)
        relay.start()
        assert relay.process is not None
        assert_restricted(relay.process.pid)
        source = Source()
        with receiver("10.8.2.20") as fixed:
            wanted = source.send(100)
            assert [fixed.recv(2048) for _ in range(100)] == wanted
            wait_until(lambda: relay.counters()["journal"]["written"] > 100)
            relay.kill()
            relay.start()
            told = relay.counters()["journal"]
            assert (told["state"], told["errors"], told["segments"]) == ("writing", {}, 1)
            wanted = source.send(100)
            assert [fixed.recv(2048) for _ in range(100)] == wanted
        final = relay.stop()["journal"]
    assert (final["state"], final["errors"], final["failed"], final["dropped"]) == ("writing", {}, 0, 0)
    assert final["recorded"] == final["written"] > 100
    shown = relay.command("journal", "show", str(journal), "--json").stdout
    states = [segment["state"] for segment in json.loads(shown)["segments"]]
    assert states == ["recovered", "closed"], shown
    assert {path.stat().st_uid for path in journal.iterdir()} == {restricted.NOBODY}


@NEEDS_ROOT
def test_the_drop_in_is_what_fan_out_in_the_kernel_needs(folder: Path) -> None:
    unit = folder / "lanecast-relay.service"
    with unit.open("a") as text:
        text.write((ROOT / "examples/relay/kernel-fan-out.conf").read_text())
    with own_network():
        relay = Leasing(folder, wrapper=restricted.wrapper(folder))
        relay.write(("audit:", "fan-out: kernel\naudit:"))
        own(folder)
        relay.start()
        assert relay.process is not None
        status = Path(f"/proc/{relay.process.pid}/status").read_text()
        # include/uapi/linux/capability.h: CAP_NET_ADMIN is 12, CAP_PERFMON is 38, CAP_BPF is 39.
        assert f"CapEff:\t{1 << 12 | 1 << 38 | 1 << 39:016x}\n" in status
        source = Source()
        with receiver("10.8.2.20") as fixed:
            wanted = source.send(100)
            assert [fixed.recv(2048) for _ in range(100)] == wanted
        told = relay.stop()["fan_out"]
    assert (told["used"], told["reason"]) == ("kernel", None), told


@NEEDS_ROOT
def test_without_the_drop_in_io_uring_does_it(folder: Path) -> None:
    with own_network():
        relay = Leasing(folder, wrapper=restricted.wrapper(folder))
        relay.write(("audit:", "fan-out: kernel\naudit:"))
        own(folder)
        relay.start()
        told = relay.stop()["fan_out"]
    assert (told["used"], "CAP_BPF" in told["reason"]) == ("io-uring", True)


@NEEDS_ROOT
def test_where_io_uring_is_forbidden_system_calls_do_it(folder: Path) -> None:
    with (folder / "lanecast-relay.service").open("a") as text:
        text.write("SystemCallFilter=~io_uring_setup\n")
    with own_network():
        relay = Leasing(folder, wrapper=restricted.wrapper(folder))
        relay.write(("  fixed:", '  more: {feeds: {quotes: {main: "10.8.2.11:20001"}}}\n  fixed:'))
        own(folder)
        relay.start()
        source = Source()
        with receiver("10.8.2.20") as fixed, receiver("10.8.2.11") as more:
            wanted = source.send(100)
            for one in (fixed, more):
                assert [one.recv(2048) for _ in range(100)] == wanted
        told = relay.stop()["fan_out"]
    assert (told["used"], "io_uring" in told["reason"]) == ("sockets", True)


def heard(manager: socket.socket) -> str:
    """What the service manager is told next, other than that the relay lives."""
    while (said := manager.recv(200).decode()) == "WATCHDOG=1":
        pass
    return said


def assert_reloaded(manager: socket.socket) -> None:
    assert heard(manager).startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert heard(manager) == "READY=1"


def assert_restricted(pid: int) -> None:
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
    )
    assert status["Uid"].split() == [str(restricted.NOBODY)] * 4
    assert status["Gid"].split() == [str(restricted.NOBODY)] * 4
    assert status["Groups"].strip() == ""
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name], 16) == 0, name
    assert status["NoNewPrivs"].strip() == "1"
    assert status["Seccomp"].strip() == "2"
    for thread in Path(f"/proc/{pid}/task").iterdir():
        assert "\nSeccomp:\t2\n" in (thread / "status").read_text(), "each thread"
