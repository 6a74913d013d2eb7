"""What is VRP's own: short names of lists, slots, kinds of keys, and what cannot be said there."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from time import process_time
from typing import Any

import pytest
from platform_plans import SECRETS, compiled, everything, plain, rendered, site_routers

from lanecast.plan.model import Platform
from lanecast_relay.config.document import DocumentError
from lanecast_templates import grammars
from lanecast_templates.errors import RenderError
from lanecast_templates.readers import huawei_vrp, read_back
from lanecast_templates.renderer import SecretResolver, render_fabric

VRP = Platform.HUAWEI_VRP
RSA_KEY = (
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDAlRXMbnRaYvlPh8yvi6TqE1NzVF0LMO1mrMNvdaijbpyMYZSuWlxCI9G9w+c1gAASdIqa"
    "qlzKLHrXqIxJ+gZQZkpVWMpCzMZjRZFpkPXbYNvZhYPTFnKXKYmzT0wLZTrrTC0qgv5R1wNHVzQ7VSHfgTOPvbHVFOQvLlFUh3GJ5Q== ops@example"
)


def text_of(document: dict[str, Any], folder: Path, router: str = "hk1-r1") -> str:
    """A router's text, which passes the grammar and is read back."""
    fabric = compiled(document, folder)
    text = rendered(fabric)[f"{router}/huawei-vrp.conf"].text
    [held] = [each for each in site_routers(fabric) if each.name == router]
    assert grammars.check_text(VRP.value, text) == []
    assert read_back(held, text) == []
    return text


def golden(router: str = "hk1-r2") -> str:
    return (Path(__file__).parent / f"golden_platforms/{VRP}/everything/{router}.conf").read_text()


def test_long_names_of_lists_are_cut_and_stay_apart(tmp_path: Path) -> None:
    document = everything(VRP)
    site = document["sites"]["hk1"]
    long = "hk1-of-a-name-that-is-rather-long-{}"
    for old, new in (("hk1-a", long.format("a")), ("hk1-b", long.format("b"))):
        site["circuits"][new] = site["circuits"].pop(old)
        for router in site["routers"].values():
            router["circuits"] = [new if each == old else each for each in router["circuits"]]
            router["ports"] = {new if each == old else each: port for each, port in router["ports"].items()}
    text = text_of(document, tmp_path) + text_of(document, tmp_path, "hk1-r2")
    names = set(re.findall(r"^acl name (in-hk1-of-\S+) ", text, re.MULTILINE))
    assert len(names) == 2
    assert {len(name) for name in names} == {31}


@pytest.mark.parametrize(("port", "slots"), [("GigabitEthernet3/0/{}", {3}), ("GigabitEthernet0/2/{}", {2})])
def test_the_policy_for_the_cpu_is_bound_to_the_slots_of_ports(port: str, slots: set[int], tmp_path: Path) -> None:
    document = everything(VRP)
    router = document["sites"]["hk1"]["routers"]["hk1-r1"]
    router["ports"] = {purpose: port.format(number) for number, purpose in enumerate(router["ports"], 1)}
    router["unused-ports"] = ["GigabitEthernet7/0/0"]
    found = re.findall(r"^slot (\d+)\n cpu-defend-policy 1$", text_of(document, tmp_path), re.MULTILINE)
    assert {int(slot) for slot in found} == {*slots, 7}


def test_an_rsa_key_is_cut_into_lines_and_read_back_whole(tmp_path: Path) -> None:
    document = everything(VRP)
    document["management"]["users"] = {"operations": {"ssh-key": RSA_KEY}}
    text = text_of(document, tmp_path)
    assert "ssh user operations assign rsa-key operations\n" in text
    block = re.search(r"^ public-key-code begin\n(.*?)^ public-key-code end$", text, re.MULTILINE | re.DOTALL)
    assert block is not None
    assert "".join(block[1].split()) == RSA_KEY.removesuffix(" ops@example").replace(" ", "")
    assert max(len(line) for line in block[1].splitlines()) < 90


def test_a_user_without_a_list_of_ssh_sources_still_has_a_key(tmp_path: Path) -> None:
    document = everything(VRP)
    del document["management"]["ssh-from"]
    text = text_of(document, tmp_path)
    assert "ssh user netops assign ecc-key netops" in text
    assert "stelnet" not in text.replace("service-type stelnet", "")


def test_queries_are_shortened_only_after_the_time_to_answer() -> None:
    """Pasted the other way round, queries every 5 s would stand beside VRP's own 10 s to answer them for a moment."""
    assert " igmp max-response-time 1\n igmp timer query 5\n" in golden("hk1-r1")


def test_a_second_address_is_a_secondary_one() -> None:
    text = golden().replace(
        " ip address 10.255.255.1 255.255.255.255\n",
        " ip address 10.255.255.1 255.255.255.255\n ip address 10.255.255.2 255.255.255.255 sub\n",
    )
    loopback = {address for name, address in huawei_vrp.read(text).addresses if name == "LoopBack0"}
    assert {address.ip for address in loopback} == {IPv4Address("10.255.255.1"), IPv4Address("10.255.255.2")}


def test_what_vrp_cannot_say_is_told_with_its_reason(tmp_path: Path) -> None:
    document = everything(VRP)
    document["management"]["aaa"]["servers"].append("10.0.0.12")
    with pytest.raises(RenderError, match=r"hk1-r1: VRP takes 2 TACACS\+ servers, not 3"):
        rendered(compiled(document, tmp_path))


@pytest.mark.parametrize("secret", ["what?", "two words", '"quoted"', ""])
def test_a_secret_that_is_no_word_of_a_command_is_refused_and_not_shown(secret: str, tmp_path: Path) -> None:
    fabric = compiled(everything(VRP), tmp_path)
    with pytest.raises(RenderError) as refused:
        render_fabric(fabric, SecretResolver({**SECRETS, "MSDP": secret}))
    assert not secret or secret not in str(refused.value)


def test_a_key_of_another_kind_is_a_mistake_of_the_plan(tmp_path: Path) -> None:
    document = everything(VRP)
    document["management"]["users"]["netops"]["ssh-key"] = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA== netops@example"
    with pytest.raises(DocumentError, match=r"users\.netops\.ssh-key: \S+ runs Huawei.* takes no ssh-ed25519 keys"):
        compiled(document, tmp_path)


def changed(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (changed(" pim silent\n", " pim passive\n"), "cannot read 'pim passive'"),
        (changed("password cipher msdp-secret", "passwort cipher msdp-secret"), "cannot read 'peer 198.51.100.250'"),
        (changed("undo telnet server enable\n", ""), "there is no 'undo telnet server enable'"),
        (changed("user-defined-flow blacklist", "blacklist user-defined-flow"), "comes before the classes"),
        (changed(" send-id 7 receive-id 7", " send-id 7 receive-id 8"), "different numbers"),
        (changed("pim vpn-instance market-data", "pim"), "is for the VRF None"),
        (changed(" pim hello-option holdtime 4\n", " pim hello-option holdtime 105\n"), "three and a half hellos"),
        (changed("hwtacacs-server administrators\n", "hwtacacs-server nobody\n"), "nothing is called"),
        (changed("sysname hk1-r2", "sysname"), "IndexError"),
        (changed("jGLn8oS65Qk=", "jGLn8oS6"), "the key netops is none"),
    ],
)
def test_the_reader_tells_what_it_cannot_read(change: Callable[[str], str], told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)) as refused:
        huawei_vrp.read(change(golden()))
    assert "msdp-secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (changed("igmp access-limit 4", "igmp access-limit 5"), "igmp: has"),
        (changed("car user-defined-flow 2 cir 1639", "car user-defined-flow 2 cir 2049"), "control_plane: has"),
        (changed("valid-ttl-hops 1\n", "valid-ttl-hops 2\n"), "neighbors: has"),
        (changed("inbound vlan 310", "inbound vlan 311"), "cannot be read"),
        (changed("rule 5 permit source 192.0.2.5 0", "rule 5 permit source 192.0.2.4 0.0.0.1"), "cannot be read"),
        (changed("^65010(_65010)*$", "^65011(_65011)*$"), "accept_paths_of 65011"),
        (changed("undo icmp name net-redirect receive\n", ""), "no_redirects: lacks"),
    ],
)
def test_a_text_that_says_something_else_is_told(change: Callable[[str], str], difference: str, tmp_path: Path) -> None:
    [router] = [each for each in site_routers(compiled(everything(VRP), tmp_path)) if each.name == "hk1-r2"]
    assert any(difference in told for told in read_back(router, change(golden())))


def test_reading_is_fast() -> None:
    text = golden()
    began = process_time()
    for _ in range(20):
        huawei_vrp.read(text)
    assert (process_time() - began) / 20 < 0.03


def test_without_management_nothing_of_it_is_said(tmp_path: Path) -> None:
    text = text_of(plain(VRP), tmp_path)
    assert not re.search(r"^(aaa|ssh|info-center|hwtacacs|ntp-service unicast)", text, re.MULTILINE)
