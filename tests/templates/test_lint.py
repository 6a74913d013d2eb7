"""``lanecast lint`` as a person runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lanecast_templates.grammars import check_text
from lanecast_templates.grammars.parameters import Word
from lanecast_templates.grammars.secrets import secret_at

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


IOS_NEIGHBOR = "router bgp 64496\n neighbor 192.0.2.1 remote-as 64497\n neighbor 192.0.2.1"
VRP_PEER = "bgp 64496\n peer 192.0.2.1 as-number 64497\n peer 192.0.2.1"


def junos_group(statement: str) -> str:
    return f"protocols {{\n bgp {{\n  group a {{\n   {statement}\n  }}\n }}\n}}\n"


@pytest.mark.parametrize(
    ("platform", "text"),
    [
        ("ios-xe", f"{IOS_NEIGHBOR} password 0 hunter22 x\n"),
        ("ios-xe", f"{IOS_NEIGHBOR} pasword hunter22\n"),
        ("ios-xe", f"{IOS_NEIGHBOR} pass hunter22\n"),
        ("ios-xe", "username ops secret hunter22\nusername ops password hunter22\n"),
        ("ios-xe", "interface GigabitEthernet0/0/1\n snmp-server community hunter22 RO\n"),
        ("ios-xe", "ntp authentication-key 42 md5 hunter22 9\n"),
        ("nx-os", "ntp authentication-key 70000 md5 hunter22\n"),
        ("nx-os", "tacacs-server key 7 hunter22\n"),
        ("junos", junos_group('authentication-key "hunter22" extra;')),
        ("junos", junos_group("authentication-key hunter22 {\n }")),
        ("huawei-vrp", f"{VRP_PEER} password cipher hunter22 x\n"),
        ("huawei-vrp", "ntp-service authentication-keyid 42 authentication-mode md5 hunter22 x\n"),
        ("h3c-comware", "#\n local-user admin class manage\n  password simple hunter22 x\n"),
        ("h3c-comware", "#\n local-user admin class manage\n  password hash hunter22 x\n"),
        ("vyos", "set protocols bgp neighbor 192.0.2.1 password 'hunter22' extra\n"),
        ("vyos", " set protocols bgp neighbor 192.0.2.1 password 'hunter22'\n"),
        ("vyos", "protocols bgp neighbor 192.0.2.1 password 'hunter22'\n"),
        ("vyos", "set system login radius server 192.0.2.9 key 'hunter22' x\n"),
    ],
)
def test_no_finding_shows_a_secret(platform: str, text: str) -> None:
    assert_hidden(platform, text, "hunter22")


@pytest.mark.parametrize(
    ("platform", "text", "pieces"),
    [
        ("huawei-vrp", f"{VRP_PEER} password cipher %^%#ab;cd'ef%^%# x\n", ("%^%#ab", "cd'ef")),
        (
            "h3c-comware",
            "#\n local-user admin class manage\n  password simple qq;zz'ww\"vv x\n",
            ("qq", "zz", "ww", "vv"),
        ),
        ("ios-xe", f"{IOS_NEIGHBOR} password qqqq zzzz\n", ("qqqq", "zzzz")),
        ("nx-os", 'tacacs-server key 7 "qqqq zzzz" extra\n', ("qqqq", "zzzz")),
        ("junos", junos_group('authentication-key "qqqq zzzz" extra;'), ("qqqq", "zzzz")),
        ("junos", junos_group('authentication-key "qqqq;zzzz\'vvvv" extra;'), ("qqqq", "zzzz", "vvvv")),
        ("junos", junos_group('authentication-key "qqqq;zzzz{vvvv} extra; ## SECRET-DATA'), ("qqqq", "zzzz", "vvvv")),
        ("junos", junos_group('authentication-key "qqqq"zzzz;vvvv" extra;'), ("qqqq", "zzzz", "vvvv")),
        ("junos", junos_group('authentication-key "qqqq\\";zzzz" extra;'), ("qqqq", "zzzz")),
        ("vyos", "set protocols bgp neighbor 192.0.2.1 password 'qqqq zzzz' extra\n", ("qqqq", "zzzz")),
        ("vyos", "set protocols bgp neighbor 192.0.2.1 password qqqq;zz'zz extra\n", ("qqqq", "zz'zz")),
    ],
)
def test_no_finding_shows_a_piece_of_a_secret(platform: str, text: str, pieces: tuple[str, ...]) -> None:
    assert_hidden(platform, text, *pieces)


@pytest.mark.parametrize(
    ("platform", "text"),
    [
        ("ios-xe", "snmp-server community S3cret RO\n"),
        ("ios-xe", "no snmp-server host 192.0.2.9 version 2c S3cret\n"),
        ("ios-xe", "snmp-server user ops readers v3 auth sha S3cret priv aes 128 S3cret\n"),
        ("ios-xe", "interface GigabitEthernet0/0/1\n vrrp 1 authentication text S3cret\n"),
        ("ios-xe", "interface GigabitEthernet0/0/1\n standby 1 authentication S3cret\n"),
        ("ios-xe", "interface GigabitEthernet0/0/1\n ip ospf message-digest-key 1 md5 7 S3cret\n"),
        ("nx-os", "snmp-server community S3cret group network-operator\n"),
        ("nx-os", "snmp-server user ops network-admin auth sha S3cret priv aes-128 S3cret\n"),
        ("huawei-vrp", "snmp-agent community read S3cret\n"),
        ("h3c-comware", "#\nbgp 65101\n peer 192.0.2.1 simple S3cret\n"),
        ("huawei-vrp", "#\ninterface GigabitEthernet0/1/0\n vrrp vrid 1 authentication-mode simple plain S3cret\n#\n"),
        ("h3c-comware", "#\n snmp-agent community read S3cret\n"),
        ("h3c-comware", "#\n snmp-agent usm-user v3 ops readers simple authentication-mode sha S3cret\n"),
        ("vyos", "set service snmp community S3cret\n"),
        ("vyos", "set service snmp v3 user ops auth plaintext-password 'S3cret'\n"),
    ],
)
def test_no_finding_shows_a_secret_of_a_command_without_rule(platform: str, text: str) -> None:
    assert_hidden(platform, text, "S3cret")


@pytest.mark.parametrize(
    ("platform", "text"),
    [
        ("ios-xe", f"{IOS_NEIGHBOR} password 834 x\n"),
        ("nx-os", "tacacs-server key 834 x\n"),
        ("junos", junos_group("authentication-key 834 extra;")),
        ("huawei-vrp", f"{VRP_PEER} password simple 834 x\n"),
        ("h3c-comware", "#\n local-user admin class manage\n  password simple 834 x\n"),
        ("vyos", "set protocols bgp neighbor 192.0.2.1 password 834 extra\n"),
        ("vyos", "set system login radius server 192.0.2.9 key '834' x\n"),
    ],
)
def test_no_finding_shows_a_secret_that_is_a_short_number(platform: str, text: str) -> None:
    assert_hidden(platform, text, "834")


def assert_hidden(platform: str, text: str, *pieces: str) -> None:
    messages = "\n".join(message for _, message in check_text(platform, text))
    assert messages
    assert [piece for piece in pieces if piece in messages] == [], messages


@pytest.mark.parametrize(
    ("text", "visible"),
    [
        ("password 7 hunter22 x", "password 7"),
        ("username ops privilege 15 secret 9 hunter22", "username ops privilege 15 secret 9"),
        ("peer 192.0.2.1 password cipher hunter22", "peer 192.0.2.1 password cipher"),
        ("ntp authentication-key 70000 md5 hunter22 7", "ntp authentication-key 70000 md5"),
        ("authentication-key 1 type md5 value hunter22", "authentication-key 1 type md5 value"),
        ("snmp-server community hunter22 RO", "snmp-server community"),
        ("vrrp 1 authentication text hunter22", "vrrp 1 authentication text"),
        ("password cipher", "password cipher"),
        ("key chain upstream", "key chain upstream"),
        ("ntp-service trusted-key 12", "ntp-service trusted-key 12"),
        ("ntp server 192.0.2.9 key 42 prefer", "ntp server 192.0.2.9 key 42 prefer"),
        ("ssh2 algorithm cipher aes256-ctr", "ssh2 algorithm cipher aes256-ctr"),
        ("ssh key rsa 2048", "ssh key rsa 2048"),
        ("aaa authentication login default local", "aaa authentication login default local"),
        ("authentication-mode aaa", "authentication-mode aaa"),
        ("ip ssh server algorithm mac hmac-sha1 hmac-sha2-256", "ip ssh server algorithm mac hmac-sha1 hmac-sha2-256"),
        ("set community 64496:100 additive", "set community 64496:100 additive"),
        ("interface snmp", "interface snmp"),
    ],
)
def test_a_command_is_shown_up_to_its_secret(text: str, visible: str) -> None:
    words = tuple(Word(each) for each in text.split())
    assert " ".join(word.text for word in words[: secret_at(words)]) == visible


def test_a_key_by_its_number_is_told_from_one_by_the_block_around_it() -> None:
    words = (Word("key"), Word("64"))
    assert secret_at(words) == 1
    assert secret_at(words, (Word("key-chain"), Word("upstream"))) == len(words)
    assert secret_at((Word("key"), Word("64", quoted=True)), (Word("ntp"),)) == 1
