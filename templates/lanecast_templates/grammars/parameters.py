"""The kinds of parameters: what one word, or two that belong together, must be.

A kind reads words and gives their values: the value under ``""`` is the parameter's own, in one spelling (an address
with its mask becomes address/length), others are named parts of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Protocol

ALL_GROUPS = IPv4Network("224.0.0.0/4")
_NO_HOSTS = tuple(IPv4Network(each) for each in ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4"))
_SI = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


class KindError(ValueError):
    """No kind is spelt like this."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a text; ``quoted``: it stood in quotes; ``listed``: it stood in a bracketed list of values."""

    text: str
    quoted: bool = False
    listed: bool = False


class Kind(Protocol):
    """``width``: how many words it takes (0: all that are left). ``read`` gives None where the words are not of it."""

    @property
    def width(self) -> int: ...

    @property
    def expected(self) -> str: ...

    def read(self, words: tuple[Word, ...]) -> Mapping[str, str] | None: ...


@dataclass(frozen=True, slots=True)
class Function:
    """A kind that a function judges: it gives the value, or None."""

    expected: str
    value: Callable[..., str | None]
    width: int = 1

    def read(self, words: tuple[Word, ...]) -> Mapping[str, str] | None:
        found = self.value(*(word.text for word in words))
        return None if found is None else {"": found}


@dataclass(frozen=True, slots=True)
class Range:
    """An integer in one of the ranges; ``si``: 15k, 1m and 10g count as thousands, millions and billions."""

    ranges: tuple[tuple[int, int], ...]
    si: bool = False
    width: int = 1

    @property
    def expected(self) -> str:
        return " or ".join(f"{low}-{high}" if low != high else str(low) for low, high in self.ranges)

    def read(self, words: tuple[Word, ...]) -> Mapping[str, str] | None:
        match = re.fullmatch(r"(0|[1-9][0-9]*)([kmg]?)", words[0].text)
        if match is None or (match[2] and not self.si):
            return None
        number = int(match[1]) * _SI[match[2]]
        return {"": str(number)} if any(low <= number <= high for low, high in self.ranges) else None


@dataclass(frozen=True, slots=True)
class Characters:
    """One word without blanks; ``quoted``: it must stand in quotes; ``blanks``: in quotes it may hold blanks."""

    expected: str
    shortest: int = 1
    longest: int | None = None
    quoted: bool = False
    blanks: bool = False
    width: int = 1

    def read(self, words: tuple[Word, ...]) -> Mapping[str, str] | None:
        word = words[0]
        if self.quoted and not word.quoted:
            return None
        if not self.blanks and re.search(r"\s", word.text):
            return None
        if len(word.text) < self.shortest or (self.longest is not None and len(word.text) > self.longest):
            return None
        return {"": word.text}


@dataclass(frozen=True, slots=True)
class Rest:
    """All words that are left, at least one."""

    expected: str = "text"
    width: int = 0

    def read(self, words: tuple[Word, ...]) -> Mapping[str, str] | None:
        return {"": " ".join(word.text for word in words)} if words else None


@dataclass(frozen=True, slots=True)
class Pattern:
    """One word that a regular expression fits as a whole; its named groups become values too."""

    expected: str
    pattern: re.Pattern[str]
    width: int = 1

    def read(self, words: tuple[Word, ...]) -> Mapping[str, str] | None:
        match = self.pattern.fullmatch(words[0].text)
        if match is None:
            return None
        parts = {name.replace("_", "-"): text for name, text in match.groupdict().items() if text is not None}
        return {"": words[0].text, **parts}


@dataclass(frozen=True, slots=True)
class Narrowed:
    """A kind of address or prefix that must also lie in one of some ranges, or outside of them."""

    expected: str
    base: Kind
    within: tuple[IPv4Network, ...]
    outside: tuple[IPv4Network, ...]

    @property
    def width(self) -> int:
        return self.base.width

    def read(self, words: tuple[Word, ...]) -> Mapping[str, str] | None:
        found = self.base.read(words)
        if found is None:
            return None
        network = IPv4Network(found[""], strict=False)
        if self.within and not any(network.subnet_of(each) for each in self.within):
            return None
        return None if any(network.overlaps(each) for each in self.outside) else found


def _address(text: str) -> IPv4Address | None:
    try:
        return IPv4Address(text)
    except AddressValueError:
        return None


def _is_host(address: IPv4Address) -> bool:
    return not any(address in network for network in _NO_HOSTS)


def _length(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]|[12][0-9]|3[0-2]", text) else None


def _netmask(text: str) -> int | None:
    """The length of a mask whose ones stand on the left."""
    mask = _address(text)
    if mask is None:
        return None
    bits = f"{int(mask):032b}"
    return bits.count("1") if "01" not in bits else None


def _wildcard(text: str) -> int | None:
    """The length behind an inverted mask, whose ones stand on the right."""
    mask = _address(text)
    return None if mask is None else _netmask(str(IPv4Address(int(mask) ^ 0xFFFFFFFF)))


def _split(text: str) -> tuple[IPv4Address, int] | None:
    left, slash, right = text.partition("/")
    address, length = _address(left), _length(right)
    return (address, length) if slash and address is not None and length is not None else None


def _any_prefix(address: IPv4Address, length: int) -> bool:
    return True


def _is_network(address: IPv4Address, length: int) -> bool:
    return int(address) & (0xFFFFFFFF >> length if length < 32 else 0) == 0


def _is_group_range(address: IPv4Address, length: int) -> bool:
    return _is_network(address, length) and length >= ALL_GROUPS.prefixlen and address in ALL_GROUPS


def _is_host_in_network(address: IPv4Address, length: int) -> bool:
    """A host's address that is neither the first nor the last of its subnet (RFC 3021: a /31 has neither)."""
    network = IPv4Network((address, length), strict=False)
    taken = length < 31 and address in (network.network_address, network.broadcast_address)
    return _is_host(address) and not taken


Fits = Callable[[IPv4Address, int], bool]


def _slashed(fits: Fits) -> Callable[[str], str | None]:
    def value(text: str) -> str | None:
        found = _split(text)
        return text if found is not None and fits(*found) else None

    return value


def _in_two_words(fits: Fits, *masks: Callable[[str], int | None]) -> Callable[[str, str], str | None]:
    def value(left: str, right: str) -> str | None:
        address = _address(left)
        length = next((found for mask in masks if (found := mask(right)) is not None), None)
        return f"{address}/{length}" if address is not None and length is not None and fits(address, length) else None

    return value


def _text_if(fits: Callable[[IPv4Address], bool]) -> Callable[[str], str | None]:
    def value(text: str) -> str | None:
        address = _address(text)
        return text if address is not None and fits(address) else None

    return value


def _number_if(read: Callable[[str], int | None]) -> Callable[[str], str | None]:
    def value(text: str) -> str | None:
        return text if read(text) is not None else None

    return value


def _six(kind: Callable[[str], object]) -> Callable[[str], str | None]:
    def value(text: str) -> str | None:
        try:
            kind(text)
        except ValueError:
            return None
        return text

    return value


def _as_number(text: str) -> str | None:
    """Plain, or with a dot as in RFC 5396; the value is always plain."""
    match = re.fullmatch(r"(?:([1-9][0-9]*|0)\.)?([1-9][0-9]*|0)", text)
    if match is None:
        return None
    if match[1] is None:
        number = int(match[2])
    elif int(match[1]) <= 0xFFFF and int(match[2]) <= 0xFFFF:
        number = (int(match[1]) << 16) + int(match[2])
    else:
        return None
    return str(number) if 1 <= number <= 0xFFFFFFFF else None


def _pair(text: str) -> str | None:
    """A route distinguisher or target: AS number or address, a colon, a number (RFC 4364, 4.2)."""
    left, colon, right = text.rpartition(":")
    if not colon or not re.fullmatch(r"0|[1-9][0-9]*", right):
        return None
    if _address(left) is not None:
        return text if int(right) <= 0xFFFF else None
    number = _as_number(left)
    if number is None:
        return None
    return text if int(right) <= (0xFFFFFFFF if int(number) <= 0xFFFF else 0xFFFF) else None


def _community(text: str) -> str | None:
    halves = text.split(":")
    fits = len(halves) == 2 and all(re.fullmatch(r"0|[1-9][0-9]*", each) and int(each) <= 0xFFFF for each in halves)
    return text if fits else None


_KINDS: Mapping[str, Kind] = {
    "text": Rest(),
    "quoted": Characters("text in quotes", quoted=True, blanks=True),
    "string": Characters("one word, or text in quotes", blanks=True),
    "address": Function("an IPv4 address", _text_if(lambda _: True)),
    "host": Function("the IPv4 address of a host", _text_if(_is_host)),
    "group": Function("a multicast group", _text_if(lambda address: address in ALL_GROUPS)),
    "length": Function("a prefix length 0-32", _number_if(_length)),
    "netmask": Function("a netmask", _number_if(_netmask)),
    "wildcard": Function("a wildcard mask", _number_if(_wildcard)),
    "prefix": Function("network/length without host bits", _slashed(_is_network)),
    "prefix-host-bits": Function("address/length", _slashed(_any_prefix)),
    "host-prefix": Function("a host's address/length", _slashed(_is_host_in_network)),
    "group-prefix": Function("a range of groups as group/length", _slashed(_is_group_range)),
    "network-netmask": Function("network and netmask without host bits", _in_two_words(_is_network, _netmask), 2),
    "network-length": Function("network and length without host bits", _in_two_words(_is_network, _length), 2),
    "network-mask": Function("network and netmask or length", _in_two_words(_is_network, _netmask, _length), 2),
    "host-netmask": Function("a host's address and netmask", _in_two_words(_is_host_in_network, _netmask), 2),
    "host-mask": Function("a host and netmask or length", _in_two_words(_is_host_in_network, _netmask, _length), 2),
    "group-mask": Function("groups and netmask or length", _in_two_words(_is_group_range, _netmask, _length), 2),
    "address-wildcard": Function("address and wildcard mask", _in_two_words(_is_network, _wildcard), 2),
    "ipv6-address": Function("an IPv6 address", _six(IPv6Address)),
    "ipv6-prefix": Function("an IPv6 network/length", _six(IPv6Network)),
    "as": Function("an AS number 1-4294967295", _as_number),
    "rd": Function("AS:number or address:number", _pair),
    "community": Function("a community AS:number", _community),
}  # fmt: skip

_RANGE = re.compile(r"(?P<si>si )?(?P<ranges>[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*)")
_WORD = re.compile(r"(?P<base>word|string|quoted)(?: (?P<shortest>[0-9]+)-(?P<longest>[0-9]+))?")


def kind_of(spelling: str) -> Kind:
    """The kind that ``spelling`` means in braces: ``host``, ``1-4094``, ``si 8000-10000000``, ``word 1-32``."""
    if spelling in _KINDS:
        return _KINDS[spelling]
    if match := _RANGE.fullmatch(spelling):
        return Range(tuple(_bounds(each) for each in match["ranges"].split(",")), si=match["si"] is not None)
    if match := _WORD.fullmatch(spelling):
        base, shortest = match["base"], int(match["shortest"] or 1)
        longest = int(match["longest"]) if match["longest"] else None
        size = f" of {shortest} to {longest} characters" if longest else ""
        expected = {"word": "a word", "string": "one word, or text in quotes,", "quoted": "text in quotes"}[base]
        return Characters(f"{expected}{size}".rstrip(","), shortest, longest, base == "quoted", base != "word")
    raise KindError(f"no kind of parameter is called '{spelling}'")


def _bounds(text: str) -> tuple[int, int]:
    low, _, high = text.partition("-")
    bounds = int(low), int(high or low)
    if bounds[0] > bounds[1]:
        raise KindError(f"the range {text} is empty")
    return bounds
