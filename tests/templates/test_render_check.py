"""``lanecast render --check``: the oracles take what is rendered, and each refuses a mistake in its own file."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lanecast.cli import build_app
from lanecast.compiler import compile_plan
from lanecast.fabric import Fabric
from lanecast.plan.loader import load_plan
from lanecast_templates import command
from lanecast_templates.oracles.check import Finding, OracleMissing, check, require_oracles
from lanecast_templates.renderer import RenderedFile, SecretResolver, render_fabric

TWO_SITES = Path(__file__).parent.parent.parent / "examples/two-sites.yaml"
NEEDS_ORACLES = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root"),
    pytest.mark.skipif(not Path("/usr/lib/frr/pimd").exists(), reason="FRR is not on this machine"),
]
NOT_CHECKED = ("daemons", "vtysh.conf")
"""Files that are read by the ones that are: FRR starts what ``daemons`` names."""


@cache
def fabric() -> Fabric:
    return compile_plan(load_plan(TWO_SITES), {})


@cache
def rendered() -> tuple[RenderedFile, ...]:
    return render_fabric(fabric(), SecretResolver({}))


def only(name: str) -> Fabric:
    """The network's one node of that name."""
    routers = tuple(router for router in fabric().routers if router.name == name)
    return replace(fabric(), routers=routers, hosts=tuple(host for host in fabric().hosts if host.name == name))


def findings(name: str, edit: tuple[str, str, str] | None = None) -> list[Finding]:
    """What is said of one node's files, with a text in one of them replaced."""
    files = rendered()
    if edit is not None:
        path, before, after = edit
        [wrong] = [file for file in files if str(file.path) == f"{name}/etc/{path}"]
        assert before in wrong.text
        files = tuple(replace(f, text=f.text.replace(before, after, 1)) if f is wrong else f for f in files)
    return list(check(only(name), files, lambda node: None))


class TestOracles:
    pytestmark = NEEDS_ORACLES

    def test_everything_that_is_rendered_is_checked_and_taken(self) -> None:
        result = CliRunner().invoke(build_app(["render"]), ["render", str(TWO_SITES), "--check", "--json"])
        assert result.exit_code == 0, result.stderr
        checked = json.loads(result.stdout)["checked"]
        assert [finding for finding in checked if finding["problems"]] == []
        files = {str(f.path) for f in rendered() if f.path.parts[0] != "hand-over" and f.path.name not in NOT_CHECKED}
        # What an FRR router's text says is read as well, apart from what the daemons make of it.
        read = {name for name in files if name.endswith("frr.conf")}
        assert Counter(finding["file"] for finding in checked) == Counter([*files, *read])

    @pytest.mark.parametrize(
        ("node", "edit", "oracle", "said"),
        [
            ("hk1-r1", ("frr/frr.conf", "ip pim hello 1", "ip pim helo 1"), "FRR, show running-config", "helo"),
            # vtysh takes both and says nothing: only what runs shows that the first one is gone.
            (
                "hk1-r1",
                ("frr/frr.conf", " ip pim hello 1\n", " ip pim hello 1\n ip pim hello 2\n"),
                "FRR, show running-config",
                "does not run: interface hk1-a.101: ip pim hello 1",
            ),
            ("hk1-r1", ("nftables.conf", "iifname", "iifnam"), "nft -f", "nftables.conf:13:3-8: Error"),
            ("hk1-r1", ("sysctl.d/60-lanecast.conf", "rp_filter", "rp_filtre"), "sysctl -q -p", "rp_filtre"),
            (
                "hk1-relay-1",
                ("systemd/network/10-lanecast-lan-hk1-r1.network", "Gateway=", "Gatewya="),
                "systemd.network(5), ip -batch",
                "[Route] has no key Gatewya: there are Destination, Gateway, Metric",
            ),
            # The words are right; it is the kernel that cannot reach the gateway.
            (
                "hk1-relay-1",
                ("systemd/network/10-lanecast-lan-hk1-r1.network", "Gateway=10.", "Gateway=11."),
                "systemd.network(5), ip -batch",
                "Nexthop has invalid gateway",
            ),
            (
                "hk1-r1",
                ("systemd/networkd.conf.d/60-lanecast-routes.conf", "ForeignRoutes=no", "ForeignRoutes=never"),
                "networkd.conf(5)",
                "60-lanecast-routes.conf:4: ManageForeignRoutes: expected yes or no",
            ),
            (
                "hk1-r1",
                ("systemd/system/frr.service.d/60-lanecast-network.conf", "Wants=", "Wnats="),
                "systemd-analyze verify",
                "Wnats",
            ),
            (
                "hk1-relay-1",
                ("systemd/system/lanecast-relay.service", "Restart=always", "Restrat=always"),
                "systemd-analyze verify",
                "Restrat",
            ),
            ("hk1-relay-1", ("lanecast/relay.yaml", "hole-wait:", "hole-wiat:"), "lanecast relay check", "hole-wiat"),
            (
                "hk1-relay-1",
                ("sysctl.d/61-lanecast-machine.conf", "net/core", "nett/core"),
                "sysctl",
                "the kernel has no nett",
            ),
        ],
        ids=lambda value: value[0] if isinstance(value, tuple) else None,
    )
    def test_each_oracle_refuses_a_mistake_of_its_own(
        self, node: str, edit: tuple[str, str, str], oracle: str, said: str
    ) -> None:
        wrong = [f for f in findings(node, edit) if f.file == f"{node}/etc/{edit[0]}" and f.oracle != "reader"]
        assert [finding.oracle for finding in wrong] == [oracle]
        assert said in "\n".join(wrong[0].problems)

    def test_user_data_are_the_files_beside_them(self) -> None:
        found = findings("quotes-hk-1", ("lanecast/relay.yaml", "hole-wait:", "hole-wait :"))
        [told] = [finding for finding in found if finding.file == "quotes-hk-1/user-data.yaml"]
        assert told.problems == ("etc/lanecast/relay.yaml is another there",)

    def test_what_a_text_says_is_read_besides(self) -> None:
        """FRR takes another neighbour's address as well; only the reader knows that nobody meant it."""
        found = findings(
            "hk1-r1", ("frr/frr.conf", "neighbor 192.0.2.1 remote-as 65010", "neighbor 192.0.2.1 remote-as 65011")
        )
        said = {finding.oracle: finding.problems for finding in found if finding.file.endswith("frr.conf")}
        assert said["FRR, show running-config"] == ()
        assert any("65011" in problem for problem in said["reader"])

    def test_vlans_are_checked_where_the_kernel_has_them_and_else_said_not_to_be(self) -> None:
        [told] = [each for each in findings("hk1-r1") if each.file.endswith("hk1-a.101.netdev")]
        assert told.problems == ()
        assert told.unchecked in (None, "this kernel has no VLAN devices (8021q)")

    def test_a_file_that_networkd_refuses_leaves_the_others_unread_and_says_so(self) -> None:
        edit = ("systemd/network/10-lanecast-hk1-a.101.netdev", "Id=101", "Id=5000")
        of_networkd = [each for each in findings("hk1-r1", edit) if each.oracle.startswith("systemd.network(5)")]
        [wrong] = [each for each in of_networkd if each.problems]
        assert wrong.file.endswith("hk1-a.101.netdev")
        assert wrong.problems[0].endswith("10-lanecast-hk1-a.101.netdev:7: Id: expected a number from 1 to 4094")
        others = {each.unchecked for each in of_networkd if each is not wrong}
        assert others == {"etc/systemd/network/10-lanecast-hk1-a.101.netdev is refused"}

    def test_what_is_refused_is_told_and_not_written(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(command, "compile_or_exit", lambda plan: only("hk1-r1"))
        broken = tuple(replace(f, text=f.text.replace("router bgp", "ruoter bgp")) for f in rendered())
        monkeypatch.setattr(command, "render_fabric", lambda fabric, secrets, frr_version: broken)
        arguments = ["render", str(TWO_SITES), "--check", "-o", str(tmp_path / "out")]
        result = CliRunner().invoke(build_app(["render"]), arguments)
        assert result.exit_code == 1
        assert "hk1-r1/etc/frr/frr.conf: FRR, show running-config: " in result.stderr
        assert "FRR, show running-config: 0 of 1 files taken" in result.stdout
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("lack", "message"),
    [
        (lambda patch: patch.setattr(shutil, "which", lambda name: None), r"nft \(package nftables\)"),
        (lambda patch: patch.setattr(os, "geteuid", lambda: 1000), "needs root: use sudo"),
    ],
)
def test_a_machine_that_cannot_check_says_what_it_lacks(
    monkeypatch: pytest.MonkeyPatch, lack: Callable[[pytest.MonkeyPatch], None], message: str
) -> None:
    if message.startswith("needs"):
        monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    lack(monkeypatch)
    with pytest.raises(OracleMissing, match=message):
        require_oracles()


@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")
@pytest.mark.skipif(not Path("/usr/lib/frr/pimd").exists(), reason="FRR is not on this machine")
def test_files_for_another_frr_are_not_judged_by_this_one() -> None:
    with pytest.raises(OracleMissing, match=r"the files are for FRR 99\.9 and this machine has FRR \d"):
        require_oracles("99.9")


def test_where_to_write_or_to_check_has_to_be_said() -> None:
    result = CliRunner().invoke(build_app(["render"]), ["render", str(TWO_SITES)])
    assert result.exit_code == 2
    assert "say where to write (-o DIR), or --check" in result.stderr
