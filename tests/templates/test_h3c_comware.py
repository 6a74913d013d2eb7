"""What is Comware's own: numbers of lists, planes of slots, keys in DER, rules of a VPN instance, what it cannot say."""

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
from lanecast_templates.readers import h3c_comware, read_back
from lanecast_templates.renderer import SecretResolver, render_fabric

COMWARE = Platform.H3C_COMWARE
RSA_KEY = (
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDZ/pN+kBtZbSPu9pcvEfq8ia+H20faILndQ4m3xATKdR/BdQvk0XGa4A+ZmxHG4O7Kj0vgRMcwAsad"
    "+/jQRywurCRZ3KQ47sGDQ7dS5SBGwdp1jtcWbTPKL7NmjRAzWyuNAAxD2YWytr/Ewwir71NseaDxhW+L96+hK8vxzDWOGlk/zLDef5Jm9eiFSqTSy5lZ"
    "Yp1gon3WthetLl8GStxFzIZj+KdgO9Z0CWl6vzUprSm631ZSz/isGakBBSBtbk+q0BAKkX7LTXXjwbGou5jZHY+nzdiw80xzQ4KmSQH9k4OoFV1FmnFA"
    "ErMVnwQNDGoJbY1onFr5+p7ZH/r4dMpJ"
)
RSA_DIGITS = (
    "30820122300D06092A864886F70D01010105000382010F003082010A0282010100D9FE937E901B596D23EEF6972F11FABC89AF87DB47DA20B9DD4389"
    "B7C404CA751FC1750BE4D1719AE00F999B11C6E0EECA8F4BE044C73002C69DFBF8D0472C2EAC2459DCA438EEC18343B752E52046C1DA758ED7166D33"
    "CA2FB3668D10335B2B8D000C43D985B2B6BFC4C308ABEF536C79A0F1856F8BF7AFA12BCBF1CC358E1A593FCCB0DE7F9266F5E8854AA4D2CB9959629D"
    "60A27DD6B617AD2E5F064ADC45CC8663F8A7603BD67409697ABF3529AD29BADF5652CFF8AC19A90105206D6E4FAAD0100A917ECB4D75E3C1B1A8BB98"
    "D91D8FA7CDD8B0F34C734382A64901FD9383A8155D459A714012B3159F040D0C6A096D8D689C5AF9FA9ED91FFAF874CA490203010001"
)
P384_KEY = (
    "ecdsa-sha2-nistp384 AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBEU3Yg1d8wPUDBYHMuNlFY393tm553ivjjI8TottKfAq"
    "s1m9P33lXGOitwwOK5g5teYofPq6Wh9KaPYTR9ToWL0gXdcOcBQBKVCBT8daLLe3rQeAz2YQhe2GR4SvR53BRw=="
)
P384_DIGITS = (
    "3076301006072A8648CE3D020106052B81040022036200044537620D5DF303D40C160732E365158DFDDED9B9E778AF8E323C4E8B6D29F02AB359BD3F"
    "7DE55C63A2B70C0E2B9839B5E6287CFABA5A1F4A68F61347D4E858BD205DD70E7014012950814FC75A2CB7B7AD0780CF661085ED864784AF479DC147"
)
"""The same keys as OpenSSH itself exports them in PKCS #8."""


def text_of(document: dict[str, Any], folder: Path, router: str = "hk1-r1") -> str:
    """A router's text, which passes the grammar and is read back."""
    fabric = compiled(document, folder)
    text = rendered(fabric)[f"{router}/h3c-comware.conf"].text
    [held] = [each for each in site_routers(fabric) if each.name == router]
    assert grammars.check_text(COMWARE.value, text) == []
    assert read_back(held, text) == []
    return text


def golden(router: str = "hk1-r2") -> str:
    return (Path(__file__).parent / f"golden_platforms/{COMWARE}/everything/{router}.conf").read_text()


@pytest.mark.parametrize(
    ("port", "planes"),
    [
        ("GigabitEthernet3/0/{}", {"control-plane slot 3", "control-plane slot 7"}),
        ("GigabitEthernet0/{}", {"control-plane"}),
    ],
)
def test_the_control_plane_is_guarded_in_each_slot_with_a_port(port: str, planes: set[str], tmp_path: Path) -> None:
    document = everything(COMWARE)
    router = document["sites"]["hk1"]["routers"]["hk1-r1"]
    router["ports"] = {purpose: port.format(number) for number, purpose in enumerate(router["ports"], 1)}
    router["unused-ports"] = ["GigabitEthernet7/0/0" if len(planes) > 1 else "GigabitEthernet7/0"]
    found = re.findall(
        r"^(control-plane.*)\n qos apply policy control-plane inbound$", text_of(document, tmp_path), re.M
    )
    assert set(found) == planes
    assert len(found) == len(planes)


def test_ports_with_and_without_slots_are_not_of_one_router(tmp_path: Path) -> None:
    document = everything(COMWARE)
    document["sites"]["hk1"]["routers"]["hk1-r1"]["unused-ports"] = ["GigabitEthernet0/5"]
    with pytest.raises(RenderError, match="hk1-r1: some ports have a slot in their numbers"):
        rendered(compiled(document, tmp_path))


@pytest.mark.parametrize(("key", "digits"), [(RSA_KEY, RSA_DIGITS), (P384_KEY, P384_DIGITS)], ids=["rsa", "ecdsa"])
def test_a_public_key_stands_there_as_openssh_exports_it(key: str, digits: str, tmp_path: Path) -> None:
    document = everything(COMWARE)
    document["management"]["users"] = {"operations": {"ssh-key": f"{key} ops@example"}}
    text = text_of(document, tmp_path)
    block = re.search(r"^public-key peer operations\n(.*?)^ peer-public-key end$", text, re.M | re.S)
    assert block is not None
    assert "".join(block[1].split()) == digits
    assert max(len(line) for line in block[1].splitlines()) < 80
    assert "publickey assign publickey operations\n" in text


@pytest.mark.parametrize(
    "key", ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==", "ecdsa-sha2-nistp521 AAAAE2VjZHNhLXNoYTItbmlzdHA1MjE="]
)
def test_a_key_of_another_kind_is_a_mistake_of_the_plan(key: str, tmp_path: Path) -> None:
    document = everything(COMWARE)
    document["management"]["users"]["netops"]["ssh-key"] = f"{key} netops@example"
    kind = key.partition(" ")[0]
    with pytest.raises(DocumentError, match=rf"users\.netops\.ssh-key: \S+ runs H3C.* takes no {kind} keys"):
        compiled(document, tmp_path)


def test_a_key_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    document = everything(COMWARE)
    document["management"]["users"]["netops"]["ssh-key"] = f"{RSA_KEY[:-8]} netops@example"
    with pytest.raises(RenderError, match="Comware cannot take the ssh-rsa key of netops"):
        rendered(compiled(document, tmp_path))


def test_lists_that_multicast_takes_by_number_have_one_and_their_name_for_people() -> None:
    text = golden("hk1-r1")
    numbers = dict(re.findall(r"^acl (?:basic|advanced) (\d+)\n description (\S+)$", text, re.M))
    assert numbers["2001"] == "ssm-ranges"
    assert len(numbers) == len(set(numbers.values())) == 7
    for command in (
        "ssm-policy",
        "register-policy",
        "pim neighbor-policy",
        "igmp group-policy",
        "sa-policy import acl",
    ):
        [number] = re.findall(rf"{command} (\S+)$", text, re.M)
        assert number in numbers, command


def test_what_packets_are_held_against_is_of_the_vpn_instance_and_what_protocols_are_is_not() -> None:
    lists = re.findall(r"^acl \S+ (?:name )?(\S+)\n(.*?)^#$", golden(), re.M | re.S)
    assert len(lists) > 15
    for name, body in lists:
        rules = re.findall(r"^ rule \d+ (?:permit|deny).*$", body, re.M)
        of_packets = name.startswith(("in-", "only-", "cpu-")) or "ssh-sources" in body
        assert {"vpn-instance market-data" in rule for rule in rules} == {of_packets}, name


def test_nothing_but_carried_groups_leaves_towards_hosts_and_nothing_towards_the_exchange(tmp_path: Path) -> None:
    facts = h3c_comware.read(text_of(everything(COMWARE), tmp_path))
    assert facts.boundaries is not None
    groups = {name: {str(group) for group in held} for name, held in facts.boundaries}
    assert groups == {
        "GigabitEthernet1/0/1.101": set(),
        "GigabitEthernet1/0/3": {"224.0.31.1/32", "224.0.31.2/32"},
    }


@pytest.mark.parametrize(("plan", "where"), [(plain, ""), (everything, "vpn-instance market-data ")])
def test_static_routes_are_those_of_the_vpn_instance(
    plan: Callable[[Platform], dict[str, Any]], where: str, tmp_path: Path
) -> None:
    document = plan(COMWARE)
    document["sites"]["hk1"]["uplinks"]["hk1-up2"]["routing"] = "static"
    routes = [line for line in text_of(document, tmp_path, "hk1-r2").splitlines() if line.startswith("ip route-static")]
    assert len(routes) == 3
    line = (
        rf"ip route-static {where}10\.\d+\.0\.0 255\.255\.0\.0 GigabitEthernet1/0/2\.202 192\.0\.2\.133 preference 100"
    )
    assert all(re.fullmatch(line, route) for route in routes)


def test_a_user_without_a_list_of_ssh_sources_still_has_a_key(tmp_path: Path) -> None:
    document = everything(COMWARE)
    del document["management"]["ssh-from"]
    text = text_of(document, tmp_path)
    assert "assign publickey netops" in text
    assert "ssh server" not in text


def test_without_bgp_passwords_or_management_nothing_of_it_is_said(tmp_path: Path) -> None:
    text = text_of(plain(COMWARE), tmp_path)
    assert not re.search(r"^(ssh|ssh2|info-center|hwtacacs|radius|domain|ntp-service|local-user)|simple", text, re.M)


def test_a_second_address_is_a_secondary_one() -> None:
    own = " ip address 10.255.255.1 255.255.255.255\n"
    text = golden().replace(own, f"{own} ip address 10.255.255.2 255.255.255.255 sub\n")
    loopback = {address.ip for name, address in h3c_comware.read(text).addresses if name == "LoopBack0"}
    assert loopback == {IPv4Address("10.255.255.1"), IPv4Address("10.255.255.2")}


@pytest.mark.parametrize(
    ("secret", "reason"),
    [("what?", "question mark"), ("two words", "blank"), ('"quoted"', "quote"), ("", "empty")],
)
def test_a_secret_that_is_no_word_of_a_command_is_refused_and_not_shown(
    secret: str, reason: str, tmp_path: Path
) -> None:
    fabric = compiled(everything(COMWARE), tmp_path)
    with pytest.raises(RenderError, match=reason) as refused:
        render_fabric(fabric, SecretResolver({**SECRETS, "MSDP": secret}))
    assert not secret or secret not in str(refused.value)


def test_a_secret_that_is_longer_than_comware_takes_is_refused(tmp_path: Path) -> None:
    fabric = compiled(everything(COMWARE), tmp_path)
    with pytest.raises(RenderError, match="the NTP key is longer than the 32 characters"):
        render_fabric(fabric, SecretResolver({**SECRETS, "NTP_KEY": "k" * 33}))


def changed(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (changed(" pim passive\n", " pim silent\n"), "cannot read 'pim silent'"),
        (changed("password simple msdp-secret", "passwort simple msdp-secret"), "cannot read 'peer 198.51.100.250'"),
        (changed("undo telnet server enable\n", ""), "there is no 'undo telnet server enable'"),
        (changed("pim vpn-instance market-data", "pim"), "is for the VPN instance None"),
        (changed(" pim hello-option holdtime 4\n", " pim hello-option holdtime 105\n"), "three and a half hellos"),
        (changed("hwtacacs-scheme administrators local", "hwtacacs-scheme nobody local"), "does not authorize"),
        (changed("sysname hk1-r2", "sysname"), "IndexError"),
        (changed("BAE509", "BAE5"), "the key netops is not whole"),
        (changed("2A8648CE3D030107", "2A8648CE3D030101"), "of no kind that Comware takes"),
        (changed("vpn-instance market-data counting\n", "vpn-instance market-data\n"), "does not count what it drops"),
        (changed(" permit icmp vpn-instance market-data\n", " permit icmp\n"), "is not for packets of"),
        (changed(" rule 10 permit igmp", " rule 3 permit igmp"), "is asked before it"),
        (changed("aes256-gcm ", "aes256-cbc "), "SSH takes ['aes256-cbc']"),
        (changed("group-limit 4 vlan 310", "group-limit 4 vlan 311"), "does not limit the groups of VLAN 310"),
        (changed(" classifier cpu-remainder behavior cpu-remainder\n", ""), "belongs to no class"),
        (changed("secondary authorization 10.0.0.11", "secondary authorization 10.0.0.12"), "different servers"),
    ],
)
def test_the_reader_tells_what_it_cannot_read(change: Callable[[str], str], told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)) as refused:
        h3c_comware.read(change(golden()))
    assert "msdp-secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (changed("igmp query-interval 5", "igmp query-interval 6"), "igmp: has"),
        (changed("behavior cpu-icmp\n car cir 1639", "behavior cpu-icmp\n car cir 2049"), "control_plane: has"),
        (changed("ttl-security hops 1\n", "ttl-security hops 2\n"), "neighbors: has"),
        (changed("as-path-acl 2 import", "as-path-acl 1 import"), "accept_paths_of 45085"),
        (changed("destination 224.0.32.2 0 vpn", "destination 224.0.32.3 0 vpn"), "boundaries: has"),
        (changed(" undo proxy-arp enable\n", ""), "no_redirects: lacks"),
        (changed("port access vlan 311", "port access vlan 310"), "cannot be read"),
    ],
)
def test_a_text_that_says_something_else_is_told(change: Callable[[str], str], difference: str, tmp_path: Path) -> None:
    [router] = [each for each in site_routers(compiled(everything(COMWARE), tmp_path)) if each.name == "hk1-r2"]
    assert any(difference in told for told in read_back(router, change(golden())))


def test_reading_is_fast() -> None:
    text = golden()
    began = process_time()
    for _ in range(20):
        h3c_comware.read(text)
    assert (process_time() - began) / 20 < 0.03


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (changed("assign publickey netops", "assign publickey nobody"), "public key"),
        (changed("default enable administrators", "default enable operators"), "domain"),
        (changed("port access vlan 310", "port access vlan 312"), "VLAN"),
        (changed(" port link-mode bridge\n", ""), "port-link-mode-bridge"),
        (changed(" nas-ip 10.200.0.65", " nas-ip 10.200.0.66"), "address of the router"),
        (changed(" primary authorization", " primary authorisation"), "authorisation"),
        (changed("3059301306", "3059301306A"), "hexadecimal"),
    ],
)
def test_the_grammar_tells_what_hangs_together_no_more(change: Callable[[str], str], told: str) -> None:
    found = grammars.check_text(COMWARE.value, change(golden()))
    assert any(told in str(finding) for finding in found), found
