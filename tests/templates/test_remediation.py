"""``lanecast render --diff OLD NEW``: commands for routers, files for hosts, how to undo both, and no secret in any of it."""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePosixPath
from typing import Any

import platform_plans
import pytest
import yaml
from typer.testing import CliRunner, Result

from lanecast.cli import build_app
from lanecast.compiler import compile_plan
from lanecast.plan.layout import COUNTERPARTS, HAND_OVER
from lanecast.plan.loader import load_plan
from lanecast.plan.model import Platform, SecretReference
from lanecast_templates.remediation.dialects import DIALECTS, dialect_of
from lanecast_templates.remediation.host_files import UNKNOWN, Applied, applying, host_file
from lanecast_templates.remediation.placeholders import name_of, old_file_text
from lanecast_templates.renderer import SecretResolver, render_fabric
from lanecast_templates.user_data import USER_DATA
from lanecast_templates.writer import MANIFEST

ROOT = Path(__file__).parent.parent.parent
TWO_SITES = ROOT / "examples/two-sites.yaml"
THREE_REGIONS = ROOT / "examples/three-regions.yaml"
WITH_PASSWORD = ("carries: [cme-310.A]}", "carries: [cme-310.A], password: {environment: HK1_A}}")
WAYS = ("run", "undo")
ANOTHER_AS = ("asn: 65020", "asn: 65021")
ANOTHER_VLAN = ("vlan: 101, link: 192.0.2.0/30", "vlan: 105, link: 192.0.2.16/30")


def plan(folder: Path, *edits: tuple[str, str], name: str = "plan") -> Path:
    """The example with these edits."""
    text = TWO_SITES.read_text()
    for before, after in edits:
        assert before in text, before
        text = text.replace(before, after)
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return path


def invoke(*arguments: object, **secrets: str) -> Result:
    return CliRunner(env={"HK1_A": None, "HK1_B": None, **secrets}).invoke(
        build_app(["render"]), ["render", *map(str, arguments)]
    )


def compared(old: Path, new: Path, **secrets: str) -> dict[str, Any]:
    result = invoke("--diff", old, new, "--json", **secrets)
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def by_name(found: dict[str, Any]) -> dict[str, Any]:
    return {device["name"]: device for device in found["devices"]}


def rendered(path: Path, folder: Path, **secrets: str) -> Path:
    assert invoke(path, "-o", folder, **secrets).exit_code == 0
    return folder


class TestWhatIsCompared:
    def test_a_plan_with_itself_and_with_what_was_rendered_of_it(self, tmp_path: Path) -> None:
        for old in (TWO_SITES, rendered(TWO_SITES, tmp_path / "out")):
            found = compared(old, TWO_SITES)
            assert {device["status"] for device in found["devices"]} == {"unchanged"}
            assert found["sheets"] == []
            assert invoke("--diff", old, TWO_SITES, "--exit-code").exit_code == 0

    @pytest.mark.parametrize("form", ["ansible", "containerlab"])
    def test_a_folder_of_any_format_is_compared(self, form: str, tmp_path: Path) -> None:
        assert invoke(TWO_SITES, "-o", tmp_path / "out", "--format", form).exit_code == 0
        found = compared(tmp_path / "out", TWO_SITES)
        assert {device["status"] for device in found["devices"]} == {"unchanged"}
        new = plan(tmp_path, ANOTHER_AS, ANOTHER_VLAN)
        assert by_name(compared(tmp_path / "out", new))["hk1-r1"] == by_name(compared(TWO_SITES, new))["hk1-r1"]

    def test_a_format_is_none_of_a_comparison(self) -> None:
        result = invoke("--diff", TWO_SITES, TWO_SITES, "--format", "ansible")
        assert (result.exit_code, "leave --format out" in result.stderr) == (2, True)

    def test_a_plan_of_another_name_is_no_change_of_any_device(self, tmp_path: Path) -> None:
        found = compared(TWO_SITES, plan(tmp_path, name="other"))
        assert {device["status"] for device in found["devices"]} == {"unchanged"}

    def test_a_folder_and_the_plan_that_it_was_rendered_from_mean_the_same(self, tmp_path: Path) -> None:
        new = plan(tmp_path, ANOTHER_AS, ANOTHER_VLAN)
        folder = rendered(TWO_SITES, tmp_path / "out")
        assert compared(folder, new) == compared(TWO_SITES, new)

    def test_the_way_back_is_what_undoes_it(self, tmp_path: Path) -> None:
        new = plan(tmp_path, ANOTHER_AS, ANOTHER_VLAN)
        there, back = by_name(compared(TWO_SITES, new)), by_name(compared(new, TWO_SITES))
        assert [c["type"] for c in there["hk1-r1"]["commands"]] == [c["undo"] for c in back["hk1-r1"]["commands"]]
        assert there["hk1-r1"]["commands"][0]["type"] != there["hk1-r1"]["commands"][0]["undo"]
        for file, reverse in zip(there["hk1-r1"]["files"], back["hk1-r1"]["files"], strict=True):
            assert (file["file"], file["run"]) == (reverse["file"], reverse["undo"])

    def test_devices_that_come_and_go_are_said(self, tmp_path: Path) -> None:
        more = plan(
            tmp_path, ("quotes-hk: {subnet: hk.hub.apps, count: 2", "quotes-hk: {subnet: hk.hub.apps, count: 3")
        )
        assert by_name(compared(TWO_SITES, more))["quotes-hk-3"]["status"] == "added"
        assert by_name(compared(more, TWO_SITES))["quotes-hk-3"] == {
            "name": "quotes-hk-3",
            "status": "removed",
            "files": [],
            "commands": [],
        }
        said = invoke("--diff", TWO_SITES, more).stdout
        assert "new, all of their files (lanecast render -o): quotes-hk-3" in said

    def test_others_routers_are_left_out_and_sheets_for_them_named(self, tmp_path: Path) -> None:
        found = compared(TWO_SITES, plan(tmp_path, ANOTHER_AS))
        assert not {"cme-router", "nasdaq-router", COUNTERPARTS, HAND_OVER} & by_name(found).keys()
        assert found["sheets"] == ["hand-over/nasdaq/gz1.html", "hand-over/nasdaq/gz1.md"]

    def test_what_is_printed_for_people(self, tmp_path: Path) -> None:
        result = invoke("--diff", TWO_SITES, plan(tmp_path, ANOTHER_AS))
        lines = result.stdout.splitlines()
        start = lines.index("gz1-r1")
        assert lines[start + 1 : start + 5] == [
            "  etc/frr/frr.conf is changed; type",
            "    configure terminal",
            "    bgp as-path access-list as-65021 seq 5 permit ^65021(_65021)*$",
            "    router bgp 65102",
        ]
        assert "  to undo, type" in lines[start:]
        assert any(line.startswith("unchanged: ") and "hk1-r1" in line for line in lines)


class TestStatus:
    def test_a_change_is_no_failure_unless_it_is_asked_for(self, tmp_path: Path) -> None:
        new = plan(tmp_path, ANOTHER_AS)
        assert invoke("--diff", TWO_SITES, new).exit_code == 0
        assert invoke("--diff", TWO_SITES, new, "--exit-code").exit_code == 3

    @pytest.mark.parametrize("place", ["old", "new"])
    def test_a_plans_mistakes_are_told_with_their_lines(self, place: str, tmp_path: Path) -> None:
        wrong = plan(tmp_path, ("platform: frr, circuits: [hk1-a]", "platform: catos, circuits: [hk1-a]"))
        result = invoke("--diff", *((wrong, TWO_SITES) if place == "old" else (TWO_SITES, wrong)))
        assert result.exit_code == 1
        assert re.search(rf"^{re.escape(str(wrong))}:\d+: sites.hk1.routers.hk1-r1.platform: ", result.stderr, re.M)

    def test_a_missing_secret_of_the_new_plan_is_told(self, tmp_path: Path) -> None:
        result = invoke("--diff", TWO_SITES, plan(tmp_path, WITH_PASSWORD))
        assert result.exit_code == 1
        assert "sites.hk1.circuits.hk1-a.password: environment variable HK1_A is not set" in result.stderr

    @pytest.mark.parametrize(
        ("break_", "said"),
        [
            (lambda folder: (folder / MANIFEST).unlink(), "is neither a plan nor a folder that lanecast render wrote"),
            (lambda folder: (folder / MANIFEST).write_text("{"), "is damaged: render the folder again"),
            (lambda folder: (folder / "hk1-r1/etc/nftables.conf").unlink(), "is gone since it was rendered"),
            (lambda folder: (folder / "hk1-r1/etc/nftables.conf").write_bytes(b"\xff"), "cannot be read: "),
        ],
    )
    def test_what_cannot_be_compared_is_refused(self, break_: Any, said: str, tmp_path: Path) -> None:
        folder = rendered(TWO_SITES, tmp_path / "out")
        break_(folder)
        result = invoke("--diff", folder, TWO_SITES)
        assert (result.exit_code, result.stdout) == (2, "")
        assert said in result.stderr

    def test_an_edited_file_counts_as_it_is_and_is_said(self, tmp_path: Path) -> None:
        folder = rendered(TWO_SITES, tmp_path / "out")
        file = folder / "hk1-r1/etc/frr/frr.conf"
        file.write_text(file.read_text().replace("timers bgp 3 9", "timers bgp 5 15"))
        result = invoke("--diff", folder, TWO_SITES, "--json")
        assert f"warning: {file} was edited since it was rendered; it counts as it is now" in result.stderr
        [commands] = by_name(json.loads(result.stdout))["hk1-r1"]["commands"]
        assert (" timers bgp 3 9" in commands["type"], " timers bgp 5 15" in commands["undo"]) == (True, True)

    @pytest.mark.parametrize("other", [("-o", "out"), ("--check",)])
    def test_it_writes_and_checks_nothing(self, other: tuple[str, ...]) -> None:
        result = invoke("--diff", TWO_SITES, TWO_SITES, *other)
        assert result.exit_code == 2
        assert "--diff writes and checks nothing" in result.stderr

    def test_an_exit_code_without_a_comparison_is_refused(self) -> None:
        result = invoke(TWO_SITES, "--exit-code")
        assert (result.exit_code, "--exit-code is for --diff" in result.stderr) == (2, True)


class TestSecrets:
    OLD, NEW = "old-s3cret", "new-s3cret"

    def test_a_new_password_is_named_by_its_place(self, tmp_path: Path) -> None:
        found = compared(TWO_SITES, plan(tmp_path, WITH_PASSWORD), HK1_A=self.NEW)
        [commands] = by_name(found)["hk1-r1"]["commands"]
        assert " neighbor 192.0.2.1 password <environment:HK1_A>" in commands["type"]
        assert " no neighbor 192.0.2.1 password" in commands["undo"]
        assert self.NEW not in json.dumps(found)

    def test_a_password_that_changed_since_a_folder_was_rendered_is_a_change(self, tmp_path: Path) -> None:
        new = plan(tmp_path, WITH_PASSWORD)
        folder = rendered(new, tmp_path / "out", HK1_A=self.OLD)
        assert by_name(compared(folder, new, HK1_A=self.OLD))["hk1-r1"]["status"] == "unchanged"
        found = compared(folder, new, HK1_A=self.NEW)
        [commands] = by_name(found)["hk1-r1"]["commands"]
        file = folder / "hk1-r1/etc/frr/frr.conf"
        line = next(n for n, text in enumerate(file.read_text().splitlines(), start=1) if self.OLD in text)
        assert commands["type"][2:3] == [" neighbor 192.0.2.1 password <environment:HK1_A>"]
        assert commands["undo"][2:3] == [f" neighbor 192.0.2.1 password <{file}:{line}>"]
        assert not [word for word in (self.OLD, self.NEW) if word in json.dumps(found)]

    def test_a_password_in_a_file_is_compared_by_what_is_in_it(self, tmp_path: Path) -> None:
        there = (WITH_PASSWORD[0], WITH_PASSWORD[1].replace("environment: HK1_A", "file: secret"))
        plans = []
        for name, secret in (("old", self.OLD), ("same", self.OLD), ("new", self.NEW)):
            (tmp_path / name).mkdir()
            (tmp_path / name / "secret").write_text(secret)
            plans.append(plan(tmp_path / name, there))
        old, same, new = plans
        assert by_name(compared(old, same))["hk1-r1"]["status"] == "unchanged"
        [commands] = by_name(compared(old, new))["hk1-r1"]["commands"]
        assert " neighbor 192.0.2.1 password <file:secret>" in commands["type"]
        assert f" neighbor 192.0.2.1 password <file:secret@{old}>" in commands["undo"]

    def test_a_secret_under_another_name_is_no_change_and_one_that_is_gone_is(self, tmp_path: Path) -> None:
        old = plan(tmp_path, WITH_PASSWORD, name="old")
        new = plan(tmp_path, (WITH_PASSWORD[0], WITH_PASSWORD[1].replace("HK1_A", "HK1_B")), name="new")
        assert by_name(compared(old, new, HK1_A=self.OLD, HK1_B=self.OLD))["hk1-r1"]["status"] == "unchanged"
        [commands] = by_name(compared(old, new, HK1_B=self.NEW))["hk1-r1"]["commands"]
        assert f" neighbor 192.0.2.1 password <environment:HK1_A@{old}>" in commands["undo"]

    def test_an_old_password_of_a_neighbour_that_is_gone_is_shown_to_nobody(self, tmp_path: Path) -> None:
        folder = rendered(plan(tmp_path, WITH_PASSWORD), tmp_path / "out", HK1_A=self.OLD)
        new = plan(tmp_path, ("link: 192.0.2.0/30", "link: 192.0.2.16/30"), name="new")
        result = invoke("--diff", folder, new)
        assert result.exit_code == 0, result.stderr
        assert f" neighbor 192.0.2.1 password <{folder}/hk1-r1/etc/frr/frr.conf:" in result.stdout
        assert self.OLD not in result.stdout + result.stderr

    def test_no_secret_word_that_is_a_command_too_spoils_commands(self, tmp_path: Path) -> None:
        found = compared(TWO_SITES, plan(tmp_path, WITH_PASSWORD), HK1_A="neighbor")
        [commands] = by_name(found)["hk1-r1"]["commands"]
        assert commands["type"][2] == " neighbor 192.0.2.1 password <environment:HK1_A>"

    @pytest.mark.parametrize("platform", Platform)
    def test_no_platforms_folder_or_plan_shows_one(self, platform: Platform, tmp_path: Path) -> None:
        plain, everything = tmp_path / "plain.yaml", tmp_path / "everything.yaml"
        plain.write_text(yaml.safe_dump(platform_plans.plain(platform), sort_keys=False))
        everything.write_text(yaml.safe_dump(platform_plans.everything(platform), sort_keys=False))
        folder = rendered(everything, tmp_path / "out", **platform_plans.SECRETS)
        for old, new, name in ((plain, everything, "<environment:CME_A>"), (folder, plain, f"<{folder}/hk1-r1/")):
            result = invoke("--diff", old, new, **platform_plans.SECRETS)
            assert result.exit_code == 0, result.stderr
            assert name in result.stdout
            assert not [value for value in platform_plans.SECRETS.values() if value in result.output]

    def test_a_key_of_a_file_of_keys_is_compared_and_shown_to_nobody(self, tmp_path: Path) -> None:
        document = platform_plans.everything(Platform.FRR)
        path = tmp_path / "plan.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        folder = rendered(path, tmp_path / "out", **{**platform_plans.SECRETS, "NTP_KEY": self.OLD})
        result = invoke("--diff", folder, path, "--json", **{**platform_plans.SECRETS, "NTP_KEY": self.NEW})
        [file] = by_name(json.loads(result.stdout))["hk1-r1"]["files"]
        assert file["diff"].splitlines()[-2:] == [
            f"-<{folder}/hk1-r1/etc/chrony/lanecast.keys:3>",
            "+3 MD5 ASCII:<environment:NTP_KEY>",
        ]
        assert self.OLD not in result.output

    def test_a_private_file_in_which_nothing_tells_where_the_secret_is_is_hidden(self, tmp_path: Path) -> None:
        folder = rendered(TWO_SITES, tmp_path / "out")
        file = folder / "hk1-r1/etc/frr/vtysh.conf"
        file.write_text(file.read_text() + f"motd {self.OLD}\n")
        assert self.OLD in invoke("--diff", folder, TWO_SITES).stdout
        file.chmod(0o600)
        result = invoke("--diff", folder, TWO_SITES)
        assert (self.OLD in result.output, f"-<{file}:" in result.stdout) == (False, True)

    @pytest.mark.parametrize(
        ("reference", "name"),
        [
            (SecretReference(environment="HK1_A"), "<environment:HK1_A>"),
            (SecretReference(file="secrets/hk1 a"), "<file:secrets/hk1_a>"),
            (SecretReference(pulumi="acme/prod/lanecast:hk1-a"), "<pulumi:acme/prod/lanecast:hk1-a>"),
        ],
    )
    def test_the_place_of_a_secret_is_its_name(self, reference: SecretReference, name: str) -> None:
        assert name_of(reference) == name

    @pytest.mark.parametrize(
        ("line", "shown"),
        [
            (" neighbor 192.0.2.1 password 7 word", " neighbor 192.0.2.1 password 7 <old:2>"),
            ('  authentication-key "word";', '  authentication-key "<old:2>";'),
            (
                "set protocols bgp neighbor 192.0.2.1 password 'word'",
                "set protocols bgp neighbor 192.0.2.1 password '<old:2>'",
            ),
            (" peer 192.0.2.1 password cipher word", " peer 192.0.2.1 password cipher <old:2>"),
            ("ip msdp password peer 192.0.2.1 0 word", "ip msdp password peer 192.0.2.1 0 <old:2>"),
            ("   session shared-secret profile one", "   session shared-secret profile one"),
            ("ntp authentication-key 1 md5 word", "ntp authentication-key 1 md5 <old:2>"),
            (" description no word of a key", " description no word of a key"),
        ],
    )
    def test_the_words_of_a_command_tell_where_its_secret_is(self, line: str, shown: str) -> None:
        assert old_file_text(f"head\n{line}\n", Path("old"), {}, "").splitlines()[1] == shown


NETDEV = "etc/systemd/network/10-lanecast-hk1-a.netdev"
MADE = "[NetDev]\nName=hk1-a\nKind=vlan\n\n[VLAN]\nId={}\n"


class TestHostFiles:
    def test_every_file_that_is_rendered_has_what_makes_it_count(self, tmp_path: Path) -> None:
        fabrics = [compile_plan(load_plan(path), {}) for path in sorted(ROOT.glob("examples/*-*.yaml"))]
        everything = platform_plans.compiled(platform_plans.everything(Platform.FRR), tmp_path)
        secrets = SecretResolver(platform_plans.SECRETS)
        files = [file for fabric in (*fabrics, everything) for file in render_fabric(fabric, secrets)]
        paths = {file.path for file in files if file.path.parts[0] not in (COUNTERPARTS, HAND_OVER)}
        below = {PurePosixPath(*path.parts[1:]) for path in paths if path.name != USER_DATA}
        assert {PurePosixPath("etc/chrony/lanecast.keys"), PurePosixPath("etc/keepalived/keepalived.conf")} <= below
        unknown = {str(path) for path in below if dialect_of(path) is None and host_file(path) is UNKNOWN}
        assert unknown == set()

    def test_a_bridge_that_changes_is_told_by_its_files_and_not_by_its_user_data(self, tmp_path: Path) -> None:
        new = tmp_path / "three-regions.yaml"
        new.write_text(THREE_REGIONS.read_text().replace("10.10.2.200:5140", "10.10.2.201:5140"))
        found = {name: device for name, device in by_name(compared(THREE_REGIONS, new)).items() if device["files"]}
        assert list(found) == ["hk-bj-bridge-1", "hk-bj-bridge-2"]
        for device in found.values():
            assert [file["file"] for file in device["files"]] == ["etc/nftables.conf"]

    def test_a_changed_vlan_takes_its_link_away_first_and_comes_before_what_stands_on_it(self, tmp_path: Path) -> None:
        files = by_name(compared(TWO_SITES, plan(tmp_path, ANOTHER_VLAN)))["hk1-r1"]["files"]
        reload: tuple[list[str], list[str]] = ([], ["networkctl reload"])
        assert [
            (
                file["file"].removeprefix("etc/systemd/network/10-lanecast-"),
                *(tuple(file[way].values()) for way in WAYS),
            )
            for file in files
        ] == [
            ("hk1-a.101.netdev", (["networkctl delete hk1-a.101"], []), reload),
            ("hk1-a.105.netdev", reload, (["networkctl delete hk1-a.105"], [])),
            *((f"{link}.network", reload, reload) for link in ("hk1-a.101", "hk1-a.105", "hk1-a")),
            ("etc/sysctl.d/60-lanecast.conf", *[([], ["sysctl --load=/etc/sysctl.d/60-lanecast.conf"])] * 2),
            ("etc/nftables.conf", *[([], ["nft -f /etc/nftables.conf"])] * 2),
        ]
        assert "-Id=101" in files[0]["diff"].splitlines()
        assert files[0]["diff"].splitlines()[:2] == [
            "--- old/hk1-r1/etc/systemd/network/10-lanecast-hk1-a.101.netdev",
            "+++ new/hk1-r1/etc/systemd/network/10-lanecast-hk1-a.101.netdev",
        ]

    def test_what_is_said_to_do_around_a_file(self, tmp_path: Path) -> None:
        lines = invoke("--diff", TWO_SITES, plan(tmp_path, ANOTHER_VLAN)).stdout.splitlines()
        removed = lines.index("  etc/systemd/network/10-lanecast-hk1-a.101.netdev is removed")
        start = next(number for number in range(removed, len(lines)) if lines[number] == "  run")
        assert lines[start : start + 5] == [
            "  run",
            "    networkctl delete hk1-a.101",
            "  then take it away",
            "  to undo, put the old one back, then run",
            "    networkctl reload",
        ]

    @pytest.mark.parametrize(
        ("file", "old", "new", "before", "after"),
        [
            (
                "etc/lanecast/relay.yaml",
                "a",
                "b",
                [],
                ["/usr/local/bin/lanecast-relay reload /etc/lanecast/relay.yaml"],
            ),
            (NETDEV, MADE.format(5), MADE.format(6), ["networkctl delete hk1-a"], ["networkctl reload"]),
            (NETDEV, f"# old\n{MADE.format(5)}", f"# new\n{MADE.format(5)}", [], ["networkctl reload"]),
            ("etc/systemd/network/10-lanecast-mc.network", "a", "b", [], ["networkctl reload"]),
            (
                "etc/systemd/networkd.conf.d/60-lanecast-routes.conf",
                None,
                "a",
                [],
                ["systemctl restart systemd-networkd.service"],
            ),
            ("etc/nftables.conf", "a", None, ["nft delete table inet lanecast"], []),
            (
                "etc/systemd/system/lanecast-ptp4l.service",
                None,
                "a",
                [],
                [
                    "systemctl daemon-reload",
                    "systemctl restart lanecast-ptp4l.service",
                    "systemctl enable lanecast-ptp4l.service",
                ],
            ),
            (
                "etc/systemd/system/lanecast-relay.service",
                "a",
                "b",
                [],
                ["systemctl daemon-reload", "systemctl restart lanecast-relay.service"],
            ),
            (
                "etc/systemd/system/lanecast-relay.service",
                "a",
                None,
                ["systemctl disable --now lanecast-relay.service"],
                ["systemctl daemon-reload"],
            ),
            ("etc/systemd/system/frr.service.d/60-lanecast-network.conf", "a", "b", [], ["systemctl daemon-reload"]),
            ("etc/chrony/chrony.conf", "a", "b", [], ["systemctl restart chrony.service"]),
            ("etc/chrony/chrony.conf", "a", None, ["systemctl disable --now chrony.service"], []),
            ("etc/chrony/lanecast.keys", "a", "b", [], ["systemctl restart chrony.service"]),
            ("etc/linuxptp/ptp4l.conf", "a", "b", [], ["systemctl restart lanecast-ptp4l.service"]),
            ("etc/rsyslog.d/60-lanecast-syslog.conf", "a", None, [], ["systemctl restart rsyslog.service"]),
            ("etc/frr/daemons", "a", "b", [], ["systemctl restart frr.service"]),
            ("etc/frr/vtysh.conf", "a", "b", [], []),
            ("etc/unheard-of.conf", "a", "b", [], []),
        ],
    )
    def test_what_makes_a_file_count(
        self, file: str, old: str | None, new: str | None, before: list[str], after: list[str]
    ) -> None:
        assert applying(PurePosixPath(file), old, new) == Applied(tuple(before), tuple(after))

    def test_a_file_that_nobody_declared_says_so(self) -> None:
        assert host_file(PurePosixPath("etc/unheard-of.conf")).note == "no command is declared for this file"


def test_each_platform_has_a_dialect_and_its_own_file() -> None:
    assert set(DIALECTS) == {platform.value for platform in Platform}
    for name in DIALECTS:
        file = "etc/frr/frr.conf" if name == "frr" else f"{name}.conf"
        found = dialect_of(PurePosixPath(file))
        assert found is not None
        assert found.platform == name


def test_the_documents_example_is_what_the_command_says(tmp_path: Path) -> None:
    text = (ROOT / "docs/change-windows.md").read_text()
    [(before, after)] = re.findall(r"^    \$ sed 's/(.+)/(.+)/' examples/two-sites.yaml > new.yaml$", text, re.M)
    [shown] = re.findall(
        r"^    \$ lanecast render --diff examples/two-sites.yaml new.yaml\n((?:    .*\n|\n)+)", text, re.M
    )
    new = tmp_path / "new.yaml"
    new.write_text(re.sub(before, after, TWO_SITES.read_text()))
    said = invoke("--diff", TWO_SITES, new, HK1_A="s3cret").stdout
    assert [line.removeprefix("    ") for line in shown.rstrip().splitlines()] == said.rstrip().splitlines()
