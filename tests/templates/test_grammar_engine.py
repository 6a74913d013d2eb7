"""The engine behind the grammars, on small grammars: each kind of check fails when it should, and only then."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import pytest
import yaml

from lanecast_templates.grammars import Finding, Grammar, GrammarError, check_against, check_text, load
from lanecast_templates.grammars.matching import Attempt, fits
from lanecast_templates.grammars.notation import NotationError, Vocabulary, read_notation
from lanecast_templates.grammars.parameters import Pattern, Word

INDENTED = "shape: indented, comment: '!'"
HASHES = "shape: indented, separator: '#', indented_top: true"
BRACES = "shape: braces"
SET = "shape: set"


def grammar(folder: Path, layout: str, rules: str, **tables: str) -> Grammar:
    parts = [f"platform: box\nrelease: '1'\nlayout: {{{layout}}}\nsources: {{book: The Book}}\n"]
    parts += [f"{table}: {{{content}}}\n" for table, content in tables.items()]
    entries = yaml.safe_load(dedent(rules))
    parts.append(yaml.safe_dump({"rules": [{"source": "book: page 1", **each} for each in entries]}))
    (folder / "box.yaml").write_text("".join(parts), encoding="utf-8")
    return load(folder, "box")


def lines(checked: Grammar, text: str) -> list[int]:
    return [finding.line for finding in check_against(checked, text)]


# ---------------------------------------------------------------- notation and parameters


NOTATIONS = [
    ("ip pim passive", ["ip pim passive"], ["ip pim", "ip pim passive now", "ip pim pass"]),
    ("ip ( ssh | scp ) on", ["ip ssh on", "ip scp on"], ["ip on", "ip ssh scp on"]),
    ("log [ trap ] on", ["log on", "log trap on"], ["log trap trap on"]),
    ("ports {1-10}...", ["ports 1", "ports 1 10 3"], ["ports", "ports 11", "ports 1 x", "ports 01"]),
    ("rule < a {1-2} | b | c >", ["rule", "rule b a 2", "rule c b a 1"], ["rule b b", "rule a", "rule a 3"]),
    ("'[' {word} ']'", ["[ x ]"], ["[ x", "x"]),
    ("name {word 2-4}", ["name ab", "name abcd"], ["name a", "name abcde"]),
    ("text {text}", ["text a b c"], ["text"]),
    ("rate {si 8000-1000000}", ["rate 8k", "rate 1m", "rate 8000"], ["rate 7k", "rate 2m", "rate 8g", "rate k"]),
    ("id {1-99,1300-1999}", ["id 99", "id 1300"], ["id 100", "id 2000"]),
    ("to {host}", ["to 192.0.2.1"], ["to 232.1.1.1", "to 127.0.0.1", "to 0.0.0.0", "to 192.0.2.256", "to x"]),
    ("to {group}", ["to 232.1.1.1"], ["to 192.0.2.1"]),
    ("to {prefix}", ["to 192.0.2.0/24", "to 0.0.0.0/0"], ["to 192.0.2.1/24", "to 192.0.2.0/33", "to 192.0.2.0"]),
    ("to {host-prefix}", ["to 192.0.2.1/30", "to 192.0.2.0/31"], ["to 192.0.2.0/30", "to 192.0.2.3/30"]),
    ("to {group-prefix}", ["to 232.0.0.0/8"], ["to 192.0.2.0/24", "to 224.0.0.0/3", "to 232.0.0.1/8"]),
    ("to {network-netmask}", ["to 192.0.2.0 255.255.255.0"], ["to 192.0.2.1 255.255.255.0", "to 192.0.2.0 0.0.0.255"]),
    ("to {network-mask}", ["to 192.0.2.0 24", "to 192.0.2.0 255.255.255.0"], ["to 192.0.2.0 33", "to 192.0.2.0"]),
    ("to {host-netmask}", ["to 192.0.2.1 255.255.255.252"], ["to 192.0.2.0 255.255.255.252", "to 192.0.2.1 30"]),
    ("to {address-wildcard}", ["to 192.0.2.0 0.0.0.255"], ["to 192.0.2.0 255.255.255.0", "to 192.0.2.1 0.0.0.255"]),
    ("to {group-mask}", ["to 239.0.0.0 8"], ["to 192.0.2.0 24", "to 224.0.0.0 3"]),
    ("as {as}", ["as 1", "as 4294967295", "as 1.5"], ["as 0", "as 4294967296", "as 65536.1"]),
    ("rd {rd}", ["rd 64496:10", "rd 192.0.2.1:5", "rd 65536:9"], ["rd 64496", "rd 65536:65536", "rd x:1"]),
    ("to {community}", ["to 64496:100"], ["to 64496", "to 65536:1"]),
]


def whole(notation: str, text: str) -> bool:
    attempt = Attempt(tuple(Word(word) for word in text.split()))
    part = read_notation(notation, Vocabulary({}, {}))
    return any(end == len(attempt.words) for end, _ in fits(part, attempt, 0, {}))


@pytest.mark.parametrize(("notation", "right", "wrong"), NOTATIONS)
def test_notation(notation: str, right: list[str], wrong: list[str]) -> None:
    assert [text for text in right if not whole(notation, text)] == []
    assert [text for text in wrong if whole(notation, text)] == []


@pytest.mark.parametrize(
    "notation", ["( a | b", "a )", "{no-such-kind}", "{5-1}", "[ ]", "a | | b", "@nothing", "... a", ""]
)
def test_notation_that_cannot_be_read(notation: str) -> None:
    with pytest.raises(NotationError):
        read_notation(notation, Vocabulary({}, {}))


def test_a_shorthand_cannot_contain_itself() -> None:
    with pytest.raises(NotationError, match="contains itself"):
        read_notation("@a", Vocabulary({}, {"a": "x @b", "b": "@a"}))


def test_quoted_words() -> None:
    quoted = read_notation("key {quoted}", Vocabulary({}, {}))
    for word, expected in ((Word("a b", quoted=True), True), (Word("ab"), False)):
        attempt = Attempt((Word("key"), word))
        assert any(fits(quoted, attempt, 0, {})) is expected


def test_named_groups_of_a_pattern_become_values() -> None:
    kinds = {"port": Pattern("a port", re.compile(r"eth(?P<number>\d+)(\.(?P<tag>\d+))?"))}
    part = read_notation("on {where:port}", Vocabulary(kinds, {}))
    attempt = Attempt((Word("on"), Word("eth1")))
    assert [values for _, values in fits(part, attempt, 0, {})] == [{"where": ("eth1",), "number": ("1",)}]


# ---------------------------------------------------------------- layouts


BLOCKS = """
- {rule: port, words: "port {name:word}", opens: port}
- {rule: up, in: port, words: up}
- {rule: unit, in: port, words: "unit {0-9}", opens: unit}
- {rule: tag, in: unit, words: "tag {1-4094}"}
- {rule: tags, in: unit, words: "tags {1-4094}..."}
- {rule: note, in: port, words: "note {string}"}
- {rule: name, words: "name {word}"}
"""
CONTEXTS = "port: {title: a port}, unit: {title: a unit}"


@pytest.mark.parametrize(
    ("layout", "text", "expected"),
    [
        (INDENTED, "port a\n up\n unit 1\n  tag 5\n!\nname x\n", []),
        (INDENTED, "port a\nup\n", [2]),
        (INDENTED, " name x\n", [1]),
        (INDENTED, "port a\n  up\n", [2]),
        (INDENTED, "name x\n up\n", [2]),
        (INDENTED, "port a\n\tup\n", [2]),
        (INDENTED, "port a\n unit 1\n  tag 9999\n up\n", [3]),
        (HASHES, "#\n name x\n#\nport a\n up\n#\n name y\n", []),
        (HASHES, "port a\n unit 1\n  tag 5\n #\n up\n#\n up\n", [7]),
        (
            BRACES,
            'port a {\n  up;\n  note "a b"; ## SECRET-DATA\n  unit 1 {\n    tags [ 5 6 ];\n  }\n}\nname x; /* why\n */\n',
            [],
        ),
        (BRACES, "port a {\n  unit 1 {\n    tags 5 6;\n  }\n}\n", [3]),
        (BRACES, "port a {\n  unit 1 {\n    tag [ 5 6 ];\n  }\n}\n", [3]),
        (BRACES, "port a {\n  unit 1 {\n    tags [ 5 6;\n  }\n}\n", [3]),
        (BRACES, "port a {\n  note a b;\n}\n", [2]),
        (BRACES, "port a {\n  up\n  unit 1 {\n    tag 5;\n  }\n}\n", [2]),
        (BRACES, "port a {\n  up;\n}\n}\n", [4]),
        (BRACES, "port a {\n  up;\n", [1]),
        (BRACES, "port a {\n  up {\n  }\n}\n", [2]),
        (BRACES, "name x", [1]),
        (BRACES, ";\n", [1]),
        (BRACES, 'name "x;\n', [1]),
        (BRACES, 'port a {\n  note "a;b;  # why\n  up;\n  note "c {\n  }\n}\n', [2, 4, 4]),
        (BRACES, "name\fx;\n", [1]),
        (SET, "set port a up\nset port a unit 1 tag '5'\nset port a note 'a b'\n", []),
        (SET, "set port a unit 1 tag '5' '6'\n", [1]),
        (SET, "set port a up 'yes'\nset port a note\n", [1, 2]),
        (SET, "port a up\n", [1]),
        (SET, "set name 'x\n", [1]),
    ],
)
def test_layouts(tmp_path: Path, layout: str, text: str, expected: list[int]) -> None:
    assert lines(grammar(tmp_path, layout, BLOCKS, contexts=CONTEXTS), text) == expected


def test_a_one_line_container_only_where_the_rule_says_so(tmp_path: Path) -> None:
    rules = """
    - {rule: from, words: from, opens: conditions, inline: true}
    - {rule: then, words: then, opens: actions}
    - {rule: protocol, in: conditions, words: "protocol {word}"}
    - {rule: accept, in: actions, words: accept}
    """
    checked = grammar(tmp_path, BRACES, rules, contexts="conditions: {title: from}, actions: {title: then}")
    assert lines(checked, "from protocol bgp;\nthen {\n  accept;\n}\n") == []
    assert lines(checked, "from {\n  protocol bgp;\n}\nthen accept;\n") == [4]


def test_texts_over_several_lines(tmp_path: Path) -> None:
    rules = '[{rule: banner, words: "banner login {quoted}"}, {rule: name, words: "name {word}"}]'
    checked = grammar(tmp_path, f"{INDENTED}, several_lines: [banner login]", rules)
    assert lines(checked, "banner login ^C\nname a stranger\n ^C\nname x\n") == []
    assert lines(checked, "banner login #keep out#\nname x\n") == []
    assert 1 in lines(checked, "banner login #\nkeep out\n")


def test_what_was_expected_is_said_with_the_place_and_the_source(tmp_path: Path) -> None:
    checked = grammar(tmp_path, INDENTED, BLOCKS, contexts=CONTEXTS)
    assert check_against(checked, "port a\n unit 1\n  tag 5000\n") == [
        Finding(3, "'tag 5000': in a unit expected 1-4094, found '5000'")
    ]
    (finding,) = check_against(checked, "up\n")
    assert "it belongs in a port" in finding.message
    (finding,) = check_against(checked, "port\n")
    assert "expected a word, found the end of the command" in finding.message


def test_a_context_takes_the_rules_of_the_one_it_is_like_behind_its_own(tmp_path: Path) -> None:
    rules = """
    - {rule: port, words: "port {word}", opens: port}
    - {rule: lag, words: "lag {word}", opens: lag}
    - {rule: speed, in: port, words: "speed {1-100}"}
    - {rule: up, in: port, words: up}
    - {rule: lag-up, in: lag, words: up, requires: lag-member in block}
    - {rule: lag-member, in: lag, words: "member {word}"}
    """
    checked = grammar(tmp_path, INDENTED, rules, contexts="port: {title: a port}, lag: {title: a lag, like: port}")
    assert lines(checked, "port a\n up\nlag b\n speed 5\n member a\n up\n") == []
    assert lines(checked, "port a\n member b\nlag b\n up\n") == [2, 4]


# ---------------------------------------------------------------- relations


NAMES = """
- {rule: list, words: "list {list:word}", defines: {list: list}}
- {rule: use, words: "use {list:word}", refers: {list: list}}
- {rule: use-later, words: "first {list:word}", refers: {made-before: list}, defines: {}}
- {rule: make, words: "make {list:word}", defines: {made-before: list}}
- {rule: site, words: "site {site:word}", opens: site}
- {rule: peer, in: site, words: "peer {peer:host}", defines: {peer: ["site?", peer]}}
- {rule: limit, words: "limit [ {site:word} ] {peer:host}", refers: {peer: ["site?", peer]}}
- {rule: global-peer, words: "peer {peer:host}", defines: {peer: ["site?", peer]}}
- {rule: own, words: "own {own:host-prefix}", defines: {own: own.host, net: own.network}, unique: {subnet: own.network}}
- {rule: far, words: "far {peer:host}", forbids: {own: peer}}
- {rule: near, words: "near {peer:host}", refers: {net: peer}}
"""
NAMINGS = """
    list: {title: the list, predefined: [any]}, made-before: {title: the thing, before: true}, peer: {title: the peer},
    own: {title: own address}, net: {title: a subnet around it, match: subnet}, subnet: {title: subnet, match: overlap}
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("use a\nlist a\nuse any\n", []),
        ("use b\nlist a\n", [1]),
        ("make a\nfirst a\n", []),
        ("first a\nmake a\n", [1]),
        ("site s\n peer 192.0.2.1\nlimit s 192.0.2.1\n", []),
        ("site s\n peer 192.0.2.1\nlimit 192.0.2.1\n", [3]),
        ("peer 192.0.2.1\nlimit 192.0.2.1\nlimit s 192.0.2.1\n", [3]),
        ("own 192.0.2.1/30\nfar 192.0.2.2\nnear 192.0.2.2\n", []),
        ("own 192.0.2.1/30\nfar 192.0.2.1\nnear 192.0.2.5\n", [2, 3]),
        ("own 192.0.2.1/30\nown 192.0.2.5/30\n", []),
        ("own 192.0.2.1/24\nown 192.0.2.5/30\n", [2]),
    ],
)
def test_names(tmp_path: Path, text: str, expected: list[int]) -> None:
    contexts = "site: {title: a site}"
    assert lines(grammar(tmp_path, INDENTED, NAMES, names=NAMINGS, contexts=contexts), text) == expected


RELATIONS = """
- {rule: feature, words: feature pim}
- {rule: port, words: "port {port:word}", opens: port}
- {rule: pim, in: port, words: pim, requires: feature before, conflicts: quiet in block}
- {rule: quiet, in: port, words: quiet}
- {rule: vrf, in: port, words: "vrf {vrf:word}", shares: vrf, precedes: address in block}
- {rule: address, in: port, words: "address {address:host-prefix}", once: true, unique: {subnet: ["vrf?", address.network]}}
- {rule: unit, in: port, words: "unit {unit:0-9}", opens: unit, requires: tag inside or untagged in port}
- {rule: tag, in: unit, words: "tag {tag:1-4094}", unique: {tag: [port, tag]}}
- {rule: untagged, in: port, words: untagged}
- {rule: deep, in: unit, words: deep, requires: key around}
- {rule: key, in: [top, port, unit], words: key}
- {rule: group, words: group, opens: group, requires: leader below, once: true}
- {rule: team, in: group, words: "team {word}", opens: team}
- {rule: leader, in: team, words: leader}
- {rule: peer, words: "peer {peer:host} as {1-9}"}
- {rule: hops, words: "peer {peer:host} hops {1-9}", requires: peer same peer before, conflicts: ttl same peer}
- {rule: ttl, words: "peer {peer:host} ttl {1-9}"}
- {rule: range, words: "range {prefix} [ ge {ge:1-32} ] [ le {le:1-32} ]", compare: [prefix.length < ge, ge <= le, le != 31]}
- {rule: same, words: "same {left:word} {right:word}", compare: [left = right]}
"""
RELATION_CONTEXTS = "port: {title: a port}, unit: {title: a unit}, group: {title: a group}, team: {title: a team}"
RELATION_NAMES = "subnet: {title: subnet, match: overlap}, tag: {title: tag}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("feature pim\nport a\n pim\n", []),
        ("port a\n pim\n", [2]),
        ("port a\n pim\nfeature pim\n", [2]),
        ("feature pim\nport a\n quiet\n pim\n", [4]),
        ("feature pim\nport a\n pim\n quiet\n", [4]),
        ("feature pim\nport a\n quiet\nport b\n pim\n", []),
        ("port a\n vrf x\n address 192.0.2.1/30\n", []),
        ("port a\n address 192.0.2.1/30\n vrf x\n", [3]),
        ("port a\n address 192.0.2.1/30\n address 198.51.100.1/30\n", [3]),
        ("port a\n vrf x\n address 192.0.2.1/30\nport b\n address 192.0.2.2/30\n", []),
        ("port a\n vrf x\n address 192.0.2.1/30\nport b\n vrf x\n address 192.0.2.2/30\n", [6]),
        ("port a\n unit 1\n  tag 5\n unit 2\n  tag 6\nport b\n unit 1\n  tag 5\n", []),
        ("port a\n unit 1\n  tag 5\n unit 2\n  tag 5\n", [5]),
        ("port a\n unit 1\n", [2]),
        ("port a\n untagged\n unit 1\n", []),
        ("port a\n unit 1\n  tag 5\n  deep\n", [4]),
        ("port a\n key\n unit 1\n  tag 5\n  deep\n", []),
        ("key\nport a\n unit 1\n  tag 5\n  deep\n", []),
        ("group\n team a\n  leader\n team b\n", []),
        ("group\n team a\n", [1]),
        ("peer 192.0.2.1 as 1\npeer 192.0.2.1 hops 1\npeer 192.0.2.2 ttl 1\n", []),
        ("peer 192.0.2.1 as 1\npeer 192.0.2.2 hops 1\n", [2]),
        ("peer 192.0.2.1 hops 1\npeer 192.0.2.1 as 1\n", [1]),
        ("peer 192.0.2.1 as 1\npeer 192.0.2.1 hops 1\npeer 192.0.2.1 ttl 1\n", [3]),
        ("range 192.0.2.0/24 ge 25 le 26\nrange 192.0.2.0/24\n", []),
        ("range 192.0.2.0/24 ge 24\nrange 192.0.2.0/24 ge 28 le 26\nrange 192.0.2.0/24 le 31\n", [1, 2, 3]),
        ("same a a\nsame a b\n", [2]),
    ],
)
def test_relations(tmp_path: Path, text: str, expected: list[int]) -> None:
    checked = grammar(tmp_path, INDENTED, RELATIONS, contexts=RELATION_CONTEXTS, names=RELATION_NAMES)
    assert lines(checked, text) == expected


def test_a_secret_is_no_value_to_be_shown(tmp_path: Path) -> None:
    rules = '[{rule: login, words: "login {user:word} secret {it:word}", compare: [it = user], refers: {known: it}}]'
    checked = grammar(tmp_path, INDENTED, rules, names="known: {title: the word, predefined: [none]}")
    messages = [finding.message for finding in check_against(checked, "login ops secret hunter22\n")]
    assert messages == [
        "'login ops secret …': expected it the same as user, found … and ops (The Book, page 1)",
        "'login ops secret …': expected the word '…', which is defined nowhere (The Book, page 1)",
    ]


def test_paths_of_one_container_are_one_block(tmp_path: Path) -> None:
    rules = """
    - {rule: port, words: "port {port:word}", opens: port, requires: address inside}
    - {rule: address, in: port, words: "address {host-prefix}"}
    - {rule: mtu, in: port, words: "mtu {mtu:68-9000}", shares: mtu}
    - {rule: vif, in: port, words: "vif {0-4094}", opens: vif}
    - {rule: vif-mtu, in: vif, words: "mtu {vif-mtu:68-9000}", compare: [vif-mtu <= mtu]}
    """
    checked = grammar(tmp_path, SET, rules, contexts="port: {title: a port}, vif: {title: a vif}")
    assert lines(checked, "set port a mtu '1500'\nset port a address '192.0.2.1/30'\nset port a vif 5 mtu 1400\n") == []
    assert lines(checked, "set port a mtu '1500'\nset port a vif 5 mtu '1600'\n") == [1, 2]
    (finding,) = check_against(checked, "set port a vif 5 mtu '9'\n")
    assert finding.message == "'port a vif 5 mtu 9': in a vif expected 68-9000, found '9'"


# ---------------------------------------------------------------- grammars that are wrong


HEAD = "platform: box\nrelease: '1'\nlayout: {shape: indented}\nsources: {book: The Book}\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEAD + "rulez: []\n", "box.yaml:5: rulez: Extra inputs"),
        (HEAD + "rules:\n  - rule: a\n    words: a\n    source: 'book: 1'\n    requirez: b\n", "box.yaml:9: rules.0.requirez"),
        (HEAD + "rules:\n  - {rule: a, words: a}\n", "box.yaml:6: rules.0.source: Field required"),
        (HEAD + "rules:\n  - {rule: a, words: a, source: book}\n", "source is 'ID: chapter'"),
        (HEAD + "rules:\n  - {rule: a, words: a, source: 'other: 1'}\n", "source is 'ID: chapter'"),
        (HEAD + "rules:\n  - {rule: a, words: '( a', source: 'book: 1'}\n", "box.yaml:6: a: '(' is not closed"),
        (HEAD + "rules:\n  - {rule: a, in: nowhere, words: a, source: 'book: 1'}\n", "no context 'nowhere'"),
        (HEAD + "rules:\n  - {rule: a, words: a, requires: b, source: 'book: 1'}\n", "there is no rule 'b'"),
        (HEAD + "rules:\n  - {rule: a, words: a, requires: a on b, source: 'book: 1'}\n", "cannot read 'a on b'"),
        (HEAD + "rules:\n  - {rule: a, words: a, compare: [x ~ y], source: 'book: 1'}\n", "cannot read 'x ~ y'"),
        (HEAD + "rules:\n  - {rule: a, words: a, compare: [x < y], source: 'book: 1'}\n", "no command gives a value 'x'"),
        (HEAD + "rules:\n  - {rule: a, words: a, defines: {n: x}, source: 'book: 1'}\n", "no sort of names 'n'"),
        (HEAD + "rules:\n  - {rule: a, words: a, shares: x, source: 'book: 1'}\n", "shares 'x'"),
        (HEAD + "names: {n: {title: n}}\nrules:\n  - {rule: a, words: a, source: 'book: 1'}\n", "no command refers to 'n'"),
        (HEAD + "contexts: {c: {title: c}}\nrules:\n  - {rule: a, words: a, source: 'book: 1'}\n", "no command opens"),
        (HEAD + "contexts: {c: {title: c, like: c}}\n", "'c' is like 'c'"),
        (HEAD + "types: {t: {expected: t, pattern: '('}}\n", "box.yaml:5: "),
        (HEAD + "types: {t: {expected: t}}\n", "either 'pattern' or 'base'"),
        (HEAD + "shorthand: {s: '@s'}\n", "contains itself"),
        (HEAD + "release: '2'\n", "box.yaml:5: the key 'release' stands here twice"),
        (HEAD + "rules: [\n", "is no YAML"),
        ("sources: {}\n", "expected 'platform', 'release' and 'layout' in one file"),
        (HEAD.replace("box", "bex"), "platform is 'bex'"),
        (
            HEAD + "rules:\n" + "  - {rule: a, words: a, source: 'book: 1'}\n" * 2,
            "box.yaml:7: the rule 'a' also stands at",
        ),
    ],
)  # fmt: skip
def test_a_wrong_grammar_is_told_with_file_and_line(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "box.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(GrammarError) as caught:
        load(tmp_path, "box")
    assert message in str(caught.value)


def test_a_folder_of_files_is_one_grammar(tmp_path: Path) -> None:
    (tmp_path / "box").mkdir()
    (tmp_path / "box/head.yaml").write_text(HEAD, encoding="utf-8")
    (tmp_path / "box/rules.yaml").write_text("rules: [{rule: a, words: a, source: 'book: 1'}]\n", encoding="utf-8")
    assert lines(load(tmp_path, "box"), "a\nb\n") == [2]
    (tmp_path / "box/more.yaml").write_text("sources: {book: Another}\n", encoding="utf-8")
    with pytest.raises(
        GrammarError,
        match=r"box/more\.yaml:1: sources\.book also stands at|box/head\.yaml:4: sources\.book also stands at",
    ):
        load(tmp_path, "box")


def test_a_platform_without_grammar_is_said() -> None:
    with pytest.raises(GrammarError, match="no grammar for the platform 'abacus'"):
        check_text("abacus", "")
