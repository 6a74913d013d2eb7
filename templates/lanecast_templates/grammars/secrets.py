"""What a finding may show of a command that holds a secret: its words up to the secret.

All that stands behind is hidden with it: where there are no quotes nobody can tell a secret's end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from lanecast_templates.grammars.parameters import Word

HIDDEN = "…"

_LAST_PARTS = frozenset({"cipher", "key", "passphrase", "passwd", "password", "psk", "secret"})
"""A word that is one of these, or ends in one behind a hyphen (``authentication-key``), has a secret behind it."""

_DIGEST = re.compile(r"(?:ah|cmac|hmac)-.+|md5|sha[-\d]*")
_PLAIN = frozenset({"plain", "simple", "text"})
"""One of these or a digest, anywhere behind a word of authentication, has a secret behind it."""

_FORMS = _PLAIN | {"cipher", "clear", "encrypted", "hash", "irreversible-cipher", "key-string", "type", "value"}
"""How a secret is written: stands between the word that introduces it and the secret itself."""

_WITH_PLAIN_AUTHENTICATION = frozenset({"glbp", "hsrp", "nhrp", "standby", "vrrp"})
"""Protocols in whose commands the secret may stand right behind ``authentication``."""


def secret_at(words: Sequence[Word], around: Sequence[Word] = ()) -> int:
    """The place in ``words`` from which on they may be secret, or their number; ``around``: the blocks' heads."""
    context = [word.text for word in around]
    for index, word in enumerate(words):
        if word.text.startswith("snmp-") or (word.text == "snmp" and index <= 1):
            return min(index + 2, len(words))  # communities and users stand anywhere behind the command's second word
        before = [*context, *(each.text for each in words[:index])]
        if _introduces(word.text, before, words[index + 1 :]) and not _is_algorithm(word.text, words[0].text):
            return _behind_forms(words, index + 1)
    return len(words)


def shown_up_to(visible: int, words: Sequence[Word]) -> str:
    """The words as a message shows them, of which only the first ``visible`` may be seen."""
    hidden = [HIDDEN] if visible < len(words) else []
    return " ".join([*(word.text for word in words[:visible]), *hidden])


def means_one_for_secret(text: str, keywords: Iterable[str]) -> bool:
    """Whether ``text`` is short for, or much like, one of ``keywords`` that has a secret behind it."""
    introducing = [each for each in keywords if _is_for_secret(each)]
    return any(each.startswith(text) for each in introducing) or bool(get_close_matches(text, introducing))


def _is_for_secret(text: str) -> bool:
    return (text.rpartition("-")[2] in _LAST_PARTS and not text.endswith("public-key")) or text == "key-string"


def _introduces(text: str, before: Sequence[str], behind: Sequence[Word]) -> bool:
    if _is_for_secret(text):
        return not _is_name_of_key(text, before, behind)
    if text == "simple":
        return True  # Comware's and VRP's word for a secret in clear, also where the word before it is forgotten
    if text == "authentication":
        return not _WITH_PLAIN_AUTHENTICATION.isdisjoint(before)
    return (text in _PLAIN or _is_digest(text)) and any("auth" in each for each in before)


def _is_name_of_key(text: str, before: Sequence[str], behind: Sequence[Word]) -> bool:
    """``key chain NAME``, or a key's number: behind ``trusted-key``, and behind ``key`` in NTP and in key chains."""
    if not behind or text not in ("key", "trusted-key"):
        return False
    numbered = text == "trusted-key" or "ntp" in before or "key-chain" in before
    return behind[0].text == "chain" or (numbered and _is_number(behind[0]))


def _is_algorithm(text: str, command: str) -> bool:
    """SSH's commands name keys and ciphers, and hold none."""
    return command.startswith("ssh") and text.rpartition("-")[2] in ("cipher", "key")


def _behind_forms(words: Sequence[Word], position: int) -> int:
    """The place of the secret behind the words and numbers that say what is to follow."""
    while position < len(words) and _is_form(words, position):
        position += 1
    return position


def _is_form(words: Sequence[Word], position: int) -> bool:
    """A number is one if it has a single digit and more follows, or as a key's number before a digest."""
    word, behind = words[position], words[position + 1 : position + 2]
    if _is_number(word) and behind:
        return len(word.text) == 1 or _is_digest(behind[0].text) or behind[0].text == "type"
    return not word.quoted and (word.text in _FORMS or _is_digest(word.text))


def _is_number(word: Word) -> bool:
    return word.text.isdecimal() and not word.quoted


def _is_digest(text: str) -> bool:
    return _DIGEST.fullmatch(text) is not None
