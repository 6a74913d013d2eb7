"""The reader of EOS configurations, on a text written by hand, and on what may be wrong with one."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from lanecast_templates.readers.eos import read
from lanecast_templates.readers.facts import Facts

TEXT = """\
! by hand
hostname edge-1
!
ip routing vrf FEEDS
no ip icmp redirect
vrf instance FEEDS
!
vlan 20
   name hosts
!
no ip igmp snooping vlan 20
!
username ada privilege 15 role network-admin secret sha512 $6$salt$hash
username ada ssh-key ssh-ed25519 AAAA ada@desk
username bob privilege 15 role network-admin secret sha512 $6$salt$hash
!
logging vrf FEEDS host 10.0.0.8
ntp authentication-key 9 sha1 0 very-secret
ntp trusted-key 9
ntp authenticate
ntp server vrf FEEDS 10.0.0.5 iburst key 9
radius-server host 10.0.0.11 vrf FEEDS key 0 very-secret
radius-server host 10.0.0.10 vrf FEEDS key 0 very-secret
aaa authentication login default group radius local
!
interface Port-Channel1
   no switchport
!
interface Port-Channel1.7
   encapsulation dot1q vlan 7
   vrf FEEDS
   ip address 192.0.2.2/30
   ip address 192.0.2.66/30 secondary
   ip verify unicast source reachable-via rx
   bfd interval 100 min-rx 100 multiplier 5
   ip access-group in-7 in
   multicast ipv4 boundary none out
   pim ipv4 sparse-mode
   pim ipv4 neighbor filter peer
   pim ipv4 bfd
!
interface Ethernet3/1
   switchport access vlan 20
!
interface Ethernet4/1
   shutdown
!
interface Vlan20
   vrf FEEDS
   ip address 10.1.0.1/24
   ip verify unicast source reachable-via any
   multicast ipv4 boundary channels
   pim ipv4 sparse-mode
   pim ipv4 hello interval 2
   pim ipv4 dr-priority 7
   pim ipv4 neighbor filter none
   ip igmp
   ip igmp query-interval 20
   ip igmp query-max-response-time 35
   ip igmp static-group 232.1.1.1 198.51.100.1
!
ip access-list standard none
   10 deny any
!
ip access-list standard desks
   10 permit 10.0.0.0/24
!
ip access-list standard peer
   10 permit host 192.0.2.1
!
ip access-list standard channels
   20 permit host 239.1.1.1
   10 permit 232.1.1.0/24
   30 deny any
!
ip access-list in-7
   20 permit tcp host 192.0.2.1 eq 179 any
   10 remark the neighbour
   30 permit udp any host 232.1.1.1 eq 5000
   40 deny ip any any
!
ip access-list control
   5 deny pim any host 10.1.0.1
   10 permit pim host 192.0.2.1 any
   20 permit igmp 10.1.0.0/24 any
   30 deny ip any any
!
ip access-list only-pim
   10 permit pim host 192.0.2.1 any
!
ip access-list sources
   10 permit ip host 198.51.100.1 239.0.0.0/16
   20 permit ip host 198.51.100.2 239.0.0.0/16
!
ip access-list nothing
   10 deny ip any any
!
ip as-path regex-mode string
ip as-path access-list theirs permit ^65010(_65010)*$ any
ip prefix-list all-theirs
   seq 10 permit 198.51.100.0/24 le 32
!
ip prefix-list ours
   seq 10 deny 0.0.0.0/0 le 32
!
route-map in permit 10
   match ip address prefix-list all-theirs
   match as-path theirs
!
route-map out permit 10
   match ip address prefix-list ours
!
class-map type copp match-any pim
   match ip access-group only-pim
!
policy-map type copp copp-system-policy
   class pim
      shape pps 300
!
system control-plane
   ip access-group control vrf FEEDS in
!
ip route vrf FEEDS 10.9.0.0/16 Port-Channel1.7 192.0.2.1 5
!
router bgp 65101
   no bgp default ipv4-unicast
   vrf FEEDS
      router-id 192.0.2.2
      neighbor 192.0.2.1 remote-as 65010
      neighbor 192.0.2.1 ttl maximum-hops 1
      neighbor 192.0.2.1 route-map in in
      neighbor 192.0.2.1 route-map out out
      neighbor 192.0.2.1 password 0 very-secret
      address-family ipv4
         bgp missing-policy direction in action deny
         bgp missing-policy direction out action deny
         neighbor 192.0.2.1 activate
         network 10.1.0.0/24
!
router multicast
   vrf FEEDS
      ipv4
         routing
!
router pim sparse-mode
   vrf FEEDS
      ipv4
         ssm range channels
         rp address 10.1.0.1 access-list channels
!
router msdp
   vrf FEEDS
      peer 198.51.100.250
         local-interface Port-Channel1.7
         sa-filter in list sources
         sa-filter out list nothing
         sa-limit 9
!
management ssh
   ip access-group desks vrf FEEDS in
   vrf FEEDS
      no shutdown
"""


def hosts(*texts: str) -> frozenset[IPv4Address]:
    return frozenset(IPv4Address(each) for each in texts)


def networks(*texts: str) -> frozenset[IPv4Network]:
    return frozenset(IPv4Network(each) for each in texts)


@pytest.fixture(scope="module")
def facts() -> Facts:
    return read(TEXT)


def test_interfaces_and_vlans(facts: Facts) -> None:
    assert facts.name == "edge-1"
    own = ("192.0.2.2/30", "192.0.2.66/30")
    assert facts.addresses == {
        *(("Port-Channel1.7", IPv4Interface(each)) for each in own),
        ("Vlan20", IPv4Interface("10.1.0.1/24")),
    }
    assert facts.tags == {("Port-Channel1.7", 7)}
    assert facts.vrf_of == {("Port-Channel1.7", "FEEDS"), ("Vlan20", "FEEDS")}
    assert facts.shut == {"Ethernet4/1"}
    [vlan] = facts.vlans
    assert (vlan.id, vlan.interface, vlan.ports, vlan.snooping) == (20, "Vlan20", frozenset({"Ethernet3/1"}), False)
    assert facts.reverse_path == frozenset({("Port-Channel1.7", "strict"), ("Vlan20", "loose")})
    assert facts.no_redirects == frozenset({"Port-Channel1.7", "Vlan20"})
    assert facts.bfd == {("Port-Channel1.7", 100, 5)}
    assert facts.routes == {(IPv4Network("10.9.0.0/16"), IPv4Address("192.0.2.1"))}


def test_multicast(facts: Facts) -> None:
    channels = networks("232.1.1.0/24", "239.1.1.1/32")
    circuit, segment = sorted(facts.pim, key=lambda pim: pim.interface)
    assert (circuit.hello_s, circuit.neighbors, circuit.bfd) == (30, hosts("192.0.2.1"), True)
    assert (segment.hello_s, segment.neighbors, segment.dr_priority, segment.passive) == (2, frozenset(), 7, False)
    [igmp] = facts.igmp
    assert (igmp.version, igmp.query_interval_s, igmp.max_response_ds) == (3, 20, 35)
    assert igmp.static_joins == {(IPv4Address("232.1.1.1"), IPv4Address("198.51.100.1"))}
    assert facts.boundaries == frozenset({("Port-Channel1.7", frozenset()), ("Vlan20", channels)})
    assert facts.ssm_ranges == channels
    assert {point.address for point in facts.rendezvous_points} == hosts("10.1.0.1")
    [peer] = facts.msdp
    assert peer.sources == networks("198.51.100.1", "198.51.100.2")
    assert (peer.groups, peer.maximum_active_sources) == (networks("239.0.0.0/16"), 9)


def test_bgp(facts: Facts) -> None:
    [neighbor] = facts.neighbors
    assert (facts.asn, facts.router_id, neighbor.asn) == (65101, IPv4Address("192.0.2.2"), 65010)
    assert neighbor.accept == {(IPv4Network("198.51.100.0/24"), 32)}
    assert (neighbor.announce, neighbor.accept_paths_of) == (frozenset(), 65010)
    assert (neighbor.maximum_prefixes, neighbor.keepalive_s, neighbor.hold_s) == (12000, 60, 180)
    assert (neighbor.authentication, neighbor.gtsm, neighbor.first_as, neighbor.bfd) == ("md5", True, False, False)


def test_lists_count_by_their_numbers(facts: Facts) -> None:
    assert facts.access is not None
    rules = facts.access["Port-Channel1.7"]
    assert [(rule.permit, rule.protocol) for rule in rules] == [(True, "tcp"), (True, "udp"), (False, "ip")]
    assert facts.control_plane is not None
    rates = {rate: {rule.protocol for rule in rules} for rules, rate in facts.control_plane}
    assert rates == {300: {"pim"}, 0: {"igmp"}}, "what no class has is unbounded"


def test_management(facts: Facts) -> None:
    managed = facts.management
    assert managed is not None
    assert (managed.ntp_servers, managed.ntp_key_id) == (hosts("10.0.0.5"), 9)
    assert managed.aaa == ("radius", (IPv4Address("10.0.0.11"), IPv4Address("10.0.0.10")))
    assert (managed.users, managed.ssh_sources, managed.ptp_domain) == (
        frozenset({"ada"}),
        networks("10.0.0.0/24"),
        None,
    )


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        ("hostname edge-1\n", "hostnam edge-1\n", "no command that is known in the configuration"),
        ("   pim ipv4 bfd\n", "   pim ipv4 bdf\n", "no command that is known in an interface block"),
        ("   pim ipv4 bfd\n", "     pim ipv4 bfd\n", "it stands in no block"),
        ("vrf instance FEEDS\n", "", "there is no VRF FEEDS"),
        ("ip routing vrf FEEDS\n", "ip routing\n", "nothing is routed in FEEDS"),
        ("interface Vlan20\n   vrf FEEDS\n", "interface Vlan20\n", "in another VRF"),
        ("logging vrf FEEDS host", "logging host", "the interfaces are in FEEDS"),
        ("ip route vrf FEEDS", "ip route", "it is in the global table"),
        ("control vrf FEEDS in", "control in", "it is in the global table"),
        ("router pim sparse-mode\n   vrf FEEDS", "router pim sparse-mode\n   vrf OTHER", "PIM is told of VRF OTHER"),
        ("Port-Channel1\n   no switchport\n", "Port-Channel1\n", "Port-Channel1 is no routed port"),
        ("access vlan 20", "access vlan 21", "it is in VLAN 21"),
        ("min-rx 100", "min-rx 200", "another interval"),
        ("boundary none out", "boundary none", "keeps out what a neighbour sends"),
        ("neighbor filter peer", "neighbor filter pear", "there is no standard list pear"),
        ("permit host 192.0.2.1\n", "permit 192.0.2.0/30\n", "more than single neighbours"),
        ("   30 deny any\n", "   15 deny any\n", "denies some of what it permits"),
        ("   20 permit host 239.1.1.1", "   10 permit host 239.1.1.1", "10 is there twice"),
        ("ip access-group in-7 in", "ip access-group in-8 in", "there is no list in-8"),
        ("   5 deny pim any host 10.1.0.1\n", "", "denies other things than it has to"),
        ("   5 deny pim", "   15 deny tcp any any\n   5 deny pim", "denies other things than it has to"),
        ("10.1.0.0/24 any\n   30 deny ip any any\n", "10.1.0.0/24 any\n", "does not deny everything else"),
        (
            "   20 permit ip host 198.51.100.2 239.0.0.0/16",
            "   20 permit ip host 198.51.100.2 239.1.0.0/16",
            "every source",
        ),
        ("         sa-filter out list nothing\n", "", "it is told of sources"),
        ("         local-interface Port-Channel1.7\n", "", "from no interface"),
        ("match as-path theirs", "match as-path ours", "there is no AS-path list ours"),
        ("prefix-list all-theirs\n   match", "prefix-list their\n   match", "there is no prefix list their"),
        ("route-map in in", "route-map inn in", "there is no route map inn"),
        ("      neighbor 192.0.2.1 remote-as 65010\n", "", "the neighbour has no AS"),
        ("         neighbor 192.0.2.1 activate\n", "", "the neighbour is not activated"),
        ("direction out action deny", "direction in action deny", "everything passes"),
        ("password 0 very-secret", "password shared-secret profile x algorithm hmac-sha1-96", "no shared secret x"),
        ("access-group only-pim", "access-group only-igmp", "there is no list only-igmp"),
        ("   class pim\n", "   class pom\n", "there is no class pom"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(before: str, after: str, what: str) -> None:
    assert TEXT.count(before) == 1
    with pytest.raises(ValueError, match=r"^line \d+: ") as told:
        read(TEXT.replace(before, after))
    assert what in str(told.value)


def test_a_line_that_is_not_understood_keeps_its_secret() -> None:
    for line in ("neighbor 192.0.2.1 passwort 0 very-secret", "neighbor 192.0.2.1 password 5 very-secret"):
        with pytest.raises(ValueError, match="no command") as told:
            read(TEXT.replace("neighbor 192.0.2.1 password 0 very-secret", line))
        assert "very-secret" not in str(told.value)


def with_ssh(*rules: str) -> str:
    """Without the list of SSH itself, and with rules in the control plane's before the last."""
    numbered = "".join(f"   {number} {rule}\n" for number, rule in enumerate(rules, start=21))
    text = TEXT.replace("   ip access-group desks vrf FEEDS in\n", "")
    return text.replace("any\n   30 deny ip any any\n", f"any\n{numbered}   30 deny ip any any\n")


NOT_BY_ITS_OWN = [f"deny tcp any host {own} eq 22" for own in ("10.1.0.1", "192.0.2.2", "192.0.2.66")]


def test_ssh_is_answered_where_the_control_planes_list_lets_it() -> None:
    named = read(with_ssh("permit tcp 10.7.0.0/16 any eq 22")).management
    assert named is not None
    assert named.ssh_sources == networks("10.7.0.0/16")
    elsewhere = read(with_ssh(*NOT_BY_ITS_OWN, "permit tcp any any eq 22")).management
    assert elsewhere is not None
    assert elsewhere.ssh_sources == frozenset()


@pytest.mark.parametrize(
    "rules",
    [
        ["permit tcp any any eq 22"],
        [*NOT_BY_ITS_OWN[1:], "permit tcp any any eq 22"],
        ["permit tcp any any eq 22", *NOT_BY_ITS_OWN],
        NOT_BY_ITS_OWN,
    ],
)
def test_ssh_to_its_own_addresses_is_denied_before_it_is_let_elsewhere(rules: list[str]) -> None:
    with pytest.raises(ValueError, match=r"^line \d+: .* control denies other things than it has to"):
        read(with_ssh(*rules))


@pytest.mark.parametrize(
    ("before", "after", "fact"),
    [
        ("ntp authenticate\n", "", "ntp_key_id=None"),
        ("no ip icmp redirect\n", "", "no_redirects=frozenset()"),
        ("ip as-path regex-mode string\n", "", "accept_paths_of=None"),
        ("         routing\n", "", "igmp=frozenset()"),
        ("   ip access-group desks vrf FEEDS in\n", "", "ssh_sources=frozenset()"),
        ("   ip access-group control vrf FEEDS in\n", "", "(frozenset(), 300)"),
        ("   vrf FEEDS\n      no shutdown\n", "", "ssh_sources=frozenset()"),
    ],
)
def test_what_is_missing_is_no_fact(before: str, after: str, fact: str) -> None:
    assert TEXT.count(before) == 1
    assert fact in repr(read(TEXT.replace(before, after)))
