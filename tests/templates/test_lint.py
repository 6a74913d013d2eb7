"""``lanecast lint`` as a person runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lanecast_templates.grammars import check_text
from lanecast_templates.grammars.secrets import without_secrets

RIGHT = "interface GigabitEthernet0/0/1\n ip address 192.0.2.2 255.255.255.252\n"
WRONG = "interface GigabitEthernet0/0/1\n ip address 192.0.2.2 255.255.255.2\n"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lanecast", "lint", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_findings_are_told_by_file_and_line_and_by_the_exit_status(tmp_path: Path) -> None:
    right, wrong = tmp_path / "right.conf", tmp_path / "wrong.conf"
    right.write_text(RIGHT)
    wrong.write_text(WRONG)
    assert run("ios-xe", str(right)).returncode == 0
    done = run("ios-xe", str(right), str(wrong))
    assert done.returncode == 1
    assert done.stdout.startswith(f"{wrong}:2: 'ip address 192.0.2.2 255.255.255.2'")
    assert "not device-checked" in done.stderr
    (found,) = json.loads(run("ios-xe", str(wrong), "--json").stdout)
    assert (found["file"], found["line"]) == (str(wrong), 2)


def test_what_cannot_be_linted_says_why(tmp_path: Path) -> None:
    done = run("ios-xe", str(tmp_path / "none.conf"))
    assert (done.returncode, done.stderr) == (2, f"error: {tmp_path / 'none.conf'}: No such file or directory\n")
    binary = tmp_path / "binary.conf"
    binary.write_bytes(b"\xff\xfe")
    done = run("ios-xe", str(binary))
    assert (done.returncode, done.stderr) == (2, f"error: {binary}: no UTF-8 at byte 0\n")
    done = run("ios", str(binary))
    assert done.returncode == 2
    assert "ios-xe" in done.stderr, "what there is"


@pytest.mark.parametrize(
    ("platform", "text"),
    [
        (
            "ios-xe",
            "router bgp 64496\n neighbor 192.0.2.1 remote-as 64497\n neighbor 192.0.2.1 password 0 hunter22 x\n",
        ),
        ("nx-os", "ntp authentication-key 70000 md5 hunter22\n"),
        ("junos", 'protocols {\n bgp {\n  group a {\n   authentication-key "hunter22" extra;\n  }\n }\n}\n'),
        ("huawei-vrp", "bgp 64496\n peer 192.0.2.1 as-number 64497\n peer 192.0.2.1 password cipher hunter22 x\n"),
        ("h3c-comware", "#\n local-user admin class manage\n  password simple hunter22 x\n"),
        ("vyos", "set protocols bgp neighbor 192.0.2.1 password 'hunter22' extra\n"),
    ],
)
def test_no_finding_shows_a_secret(platform: str, text: str) -> None:
    found = check_text(platform, text)
    assert found
    assert "hunter22" not in "".join(message for _, message in found), found


def test_what_is_no_secret_stays() -> None:
    for message in ("'key chain upstream': expected", "'key 7': found '77'", "'ntp trusted-key 12'"):
        assert without_secrets(message) == message
