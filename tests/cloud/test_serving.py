"""What the emulator does that no cloud does: it is killed, it fails on purpose, its quotas are changed."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from baidubce.exception import BceHttpClientError
from baidubce.retry.retry_policy import BackOffRetryPolicy
from baidubce.services.subnet.subnet_client import SubnetClient
from baidubce.services.vpc.peerconn_client import PeerConnClient
from baidubce.services.vpc.vpc_client import VpcClient
from cloud_under_test import Cloud, Emulator, refusal, unanswered

Start = Callable[..., Emulator]
SERVE = (sys.executable, "-m", "lanecast", "cloud", "serve")


def test_what_was_answered_survives_kill_9(start: Start) -> None:
    """Writers in threads count what was answered, until the server is killed among them."""
    emulator = start("--quota", "vpc=100000")
    answered: list[str] = []

    def write() -> None:
        vpcs = emulator.client(VpcClient)
        while True:
            try:
                answered.append(vpcs.create_vpc("kept", "10.0.0.0/16").vpc_id)
            except BceHttpClientError:
                return

    writers = [threading.Thread(target=write) for _ in range(4)]
    for writer in writers:
        writer.start()
    emulator.eventually(lambda: len(answered) >= 40, True)
    emulator.stop(signal.SIGKILL)
    for writer in writers:
        writer.join()
    emulator.start()
    held = {vpc.vpc_id for vpc in emulator.client(VpcClient).list_vpcs().vpcs}
    assert set(answered) <= held
    assert len(held) - len(answered) <= len(writers)


def test_states_and_tokens_go_on_after_kill_9(start: Start) -> None:
    emulator = start("--async-delay", "2.5")
    first = emulator.client(VpcClient).create_vpc("a", "10.0.0.0/16").vpc_id
    second = emulator.client(VpcClient, "hkg").create_vpc("b", "10.1.0.0/16").vpc_id
    token = str(uuid4())
    peerings = emulator.client(PeerConnClient)
    peering_id = peerings.create_peerconn(10, first, second, "hkg", client_token=token).peer_conn_id
    asked_at = time.monotonic()
    emulator.stop(signal.SIGKILL)
    emulator.start()
    peerings = emulator.client(PeerConnClient)
    assert peerings.create_peerconn(10, first, second, "hkg", client_token=token).peer_conn_id == peering_id
    emulator.eventually(lambda: peerings.get_peerconn(peering_id).status, "active")
    assert time.monotonic() - asked_at > 2.4


def test_a_state_directory_has_one_server(start: Start, tmp_path: Path) -> None:
    start()
    command = [sys.executable, "-m", "lanecast", "cloud", "serve", "--listen", "127.0.0.1:0", "--state"]
    second = subprocess.run([*command, str(tmp_path / "state")], capture_output=True, text=True, check=False)
    assert second.returncode == 2
    assert "another emulated cloud is using it" in second.stderr


def test_wrong_options_are_refused(tmp_path: Path) -> None:
    for options in (
        ["--listen", "8080"],
        ["--listen", "moon=127.0.0.1:0"],
        ["--listen", "127.0.0.1:0", "--quota", "elephants=1"],
        ["--listen", "127.0.0.1:0", "--access-key", "only"],
        ["--listen", "127.0.0.1:0", "--access-key", "sl/ash:secret"],
        ["--listen", "127.0.0.1:0", "--fault", "explode"],
        ["--listen", "127.0.0.1:0", "--fault", "delay,seconds=soon"],
        ["--listen", "127.0.0.1:0", "--region", "moon"],
        ["--listen", "127.0.0.1:0", "--physical-line", "a/b"],
        ["--listen", "127.0.0.1:0", "--fault", "delay,seconds=inf"],
    ):
        command = [sys.executable, "-m", "lanecast", "cloud", "serve", "--state", str(tmp_path), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 2, options
        assert done.stderr.startswith("error: ")


def test_asynchronous_work_takes_a_day_at_most(tmp_path: Path) -> None:
    for seconds in ("-1", "inf", "90000"):
        command = [*SERVE, "--state", str(tmp_path), "--listen", "127.0.0.1:0", "--async-delay", seconds]
        assert subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 2, seconds


def test_a_key_is_made_when_none_is_given(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lanecast", "cloud", "serve", "--listen", "127.0.0.1:0", "--state", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        path = tmp_path / "access-key"
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.read_text().count(":") == 1
        process.terminate()


def test_a_key_that_was_being_written_when_the_server_was_killed_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "access-key.new").write_text("0123")
    command = [*SERVE, "--listen", "127.0.0.1:0", "--state", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("http://")
        process.terminate()
    assert len((tmp_path / "access-key").read_text().split(":")[1]) == 33
    assert not (tmp_path / "access-key.new").exists()


def test_a_file_that_is_no_state_is_told(tmp_path: Path) -> None:
    (tmp_path / "cloud.sqlite").write_text("elephant" * 1000)
    command = [*SERVE, "--listen", "127.0.0.1:0", "--state", str(tmp_path), "--access-key", "a:b"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.replace("\n", "") == f"error: {tmp_path}/cloud.sqlite: file is not a database"


def test_two_addresses_with_one_port_are_two_regions(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    listens = [f"--listen={region}=127.0.0.{number}:{port}" for number, region in ((1, "bj"), (2, "hkg"))]
    command = [*SERVE, *listens, "--state", str(tmp_path), "--access-key", "testak:testsk"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in listens]
        cloud = Cloud("emulated", {"bj": f"http://127.0.0.1:{port}", "hkg": f"http://127.0.0.2:{port}"})
        cloud.keys["testak"] = "testsk"
        made = cloud.client(VpcClient).create_vpc("here", "10.0.0.0/16").vpc_id
        seen = {
            region: [one.vpc_id for one in cloud.client(VpcClient, region).list_vpcs().vpcs]
            for region in cloud.endpoints
        }
        process.terminate()
    assert [line.split()[-1] for line in told] == ["bj", "hkg"]
    assert seen == {"bj": [made], "hkg": []}


def test_a_signal_that_comes_before_it_answers_ends_it() -> None:
    raised = "server = prepare(None); signal.raise_signal(signal.SIGTERM); serve(server, [bind('127.0.0.1', 0)])"
    program = f"import signal; from lanecast_lab.cloud.server import bind, prepare, serve; {raised}"
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0


def test_quotas_are_the_vendors_until_they_are_changed(start: Start) -> None:
    vpcs = start().client(VpcClient)
    made = [vpcs.create_vpc("q", "10.0.0.0/16").vpc_id for _ in range(10)]
    assert refusal(vpcs.create_vpc, "q", "10.0.0.0/16") == (413, "LimitExceeded")
    vpcs.delete_vpc(made[0])
    assert vpcs.create_vpc("q", "10.0.0.0/16").vpc_id
    changed = start("--quota", "subnet=1", state="other")
    vpcs, subnets = changed.client(VpcClient), changed.client(SubnetClient)
    vpc_id = vpcs.create_vpc("q", "10.0.0.0/16").vpc_id
    subnets.create_subnet("q", "cn-bj-a", "10.0.1.0/24", vpc_id)
    assert refusal(subnets.create_subnet, "q", "cn-bj-a", "10.0.2.0/24", vpc_id) == (413, "LimitExceeded")


def test_a_lost_reply_was_done_and_its_token_finds_it(start: Start) -> None:
    emulator = start("--fault", "lost-reply,method=POST,path=/v1/vpc,count=1")
    vpcs, token = emulator.client(VpcClient), str(uuid4())
    unanswered(lambda: vpcs.create_vpc("lost", "10.0.0.0/16", client_token=token))
    [held] = vpcs.list_vpcs().vpcs
    assert vpcs.create_vpc("lost", "10.0.0.0/16", client_token=token).vpc_id == held.vpc_id


def test_a_lost_request_was_not_done(start: Start) -> None:
    vpcs = start("--fault", "lost-request,method=POST,count=1").client(VpcClient)
    unanswered(lambda: vpcs.create_vpc("lost", "10.0.0.0/16"))
    assert vpcs.list_vpcs().vpcs == []


def test_the_sdk_tries_again_after_a_5xx_and_a_lost_reply(start: Start) -> None:
    emulator = start(
        "--fault", "error,method=POST,count=1,status=503", "--fault", "lost-reply,method=POST,skip=1,count=1"
    )
    vpcs = emulator.client(VpcClient, retries=BackOffRetryPolicy(3, 20000, 1))
    vpc_id = vpcs.create_vpc("stubborn", "10.0.0.0/16").vpc_id
    assert [vpc.vpc_id for vpc in vpcs.list_vpcs().vpcs] == [vpc_id]
    assert emulator.admin("GET")[1]["struck"] == [1, 1]


def test_throttling_and_errors_have_bodies(start: Start) -> None:
    emulator = start("--fault", "throttle,method=GET,count=1", "--fault", "error,method=POST,count=1")
    vpcs = emulator.client(VpcClient)
    assert refusal(vpcs.list_vpcs) == (429, "TooManyRequests")
    assert refusal(vpcs.create_vpc, "x", "10.0.0.0/16") == (500, "InternalError")
    assert vpcs.list_vpcs().vpcs == []


def test_a_delay_takes_its_time_and_holds_up_nobody_else(start: Start) -> None:
    emulator = start("--fault", "delay,method=POST,seconds=1.5")
    slow = threading.Thread(target=lambda: emulator.client(VpcClient).create_vpc("slow", "10.0.0.0/16"))
    began = time.monotonic()
    slow.start()
    assert emulator.client(VpcClient).list_vpcs().vpcs == []
    assert time.monotonic() - began < 1.4
    slow.join()
    assert time.monotonic() - began > 1.5
    assert len(emulator.client(VpcClient).list_vpcs().vpcs) == 1


def test_faults_come_alike_from_one_seed_and_outlive_a_restart(start: Start) -> None:
    emulator = start()
    settings: dict[str, Any] = {"seed": 7, "rules": [{"kind": "throttle", "share": 0.5, "method": "GET"}]}

    def pattern() -> list[bool]:
        seen: list[bool] = []
        for _ in range(24):
            status, _, _ = emulator.send("GET", "/v1/vpc")
            seen.append({200: False, 429: True}[status])
        return seen

    assert emulator.admin("PUT", settings=settings)[0] == 200
    first = pattern()
    assert 4 <= sum(first) <= 20
    assert emulator.admin("GET")[1]["struck"] == [sum(first)]
    emulator.admin("PUT", settings=settings)
    assert pattern() == first
    emulator.stop(signal.SIGKILL)
    emulator.start()
    assert pattern() == first
    emulator.admin("PUT", settings={**settings, "seed": 8})
    assert pattern() != first
    emulator.admin("DELETE")
    assert not any(pattern())


def test_faults_that_mean_nothing_are_refused(start: Start) -> None:
    emulator = start()
    wrong: list[dict[str, Any]] = [
        {"rules": [{"kind": "explode"}]},
        {"rulez": []},
        {"rules": [{"kind": "delay", "share": 2}]},
    ]
    for settings in wrong:
        status, answer = emulator.admin("PUT", settings=settings)
        assert status == 400
        assert answer["error"]
    assert emulator.admin("PUT", path="/_lanecast/elephant")[0] == 404
    assert emulator.admin("POST")[0] == 405
    for body in (b"{", b"[" * 100_000, b'{"rules": [{"kind": "delay", "seconds": 1e999}]}'):
        status, _, content = emulator.send("PUT", "/_lanecast/faults", body=body, authorization="")
        assert (status, "error" in json.loads(content)) == (400, True)
    assert emulator.admin("GET")[0] == 200


def test_a_peering_that_is_down_says_so(start: Start) -> None:
    emulator = start("--async-delay", "0")
    first = emulator.client(VpcClient).create_vpc("a", "10.0.0.0/16").vpc_id
    second = emulator.client(VpcClient, "hkg").create_vpc("b", "10.1.0.0/16").vpc_id
    peerings = emulator.client(PeerConnClient)
    peering_id = peerings.create_peerconn(10, first, second, "hkg").peer_conn_id
    assert peerings.get_peerconn(peering_id).status == "active"
    emulator.admin("PUT", settings={"down": [peering_id]})
    assert peerings.get_peerconn(peering_id).status == "down"
    emulator.admin("DELETE")
    assert peerings.get_peerconn(peering_id).status == "active"
