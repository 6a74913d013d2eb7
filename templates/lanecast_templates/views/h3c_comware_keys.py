"""OpenSSH's public keys as Comware takes them: hexadecimal digits of a SubjectPublicKeyInfo (RFC 5280, section 4.1)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

INTEGER, BIT_STRING, SEQUENCE = 0x02, 0x03, 0x30
RSA = bytes.fromhex("06092a864886f70d010101" + "0500")
"""rsaEncryption and its empty parameters (RFC 3279, section 2.3.1)."""
ELLIPTIC = bytes.fromhex("06072a8648ce3d0201")
"""id-ecPublicKey (RFC 5480, section 2.1.1); behind it stands the curve."""
CURVES = {
    b"ecdsa-sha2-nistp256": bytes.fromhex("06082a8648ce3d030107"),
    b"ecdsa-sha2-nistp384": bytes.fromhex("06052b81040022"),
}


def hexadecimal_key(algorithm: str, encoded: str) -> str | None:
    """The digits of what OpenSSH writes behind ``algorithm``; None where that is no key that Comware takes."""
    try:
        name, *fields = _fields(base64.b64decode(encoded, validate=True))
    except (binascii.Error, ValueError):
        return None
    if name != algorithm.encode():
        return None
    if name == b"ssh-rsa" and len(fields) == 2:
        exponent, modulus = fields
        bits = _value(SEQUENCE, _value(INTEGER, modulus) + _value(INTEGER, exponent))
        return _key(RSA, bits)
    if name in CURVES and len(fields) == 2:
        return _key(ELLIPTIC + CURVES[name], fields[1])
    return None


def _fields(blob: bytes) -> Iterator[bytes]:
    """The strings of a key (RFC 4251, section 5)."""
    while blob:
        end = 4 + int.from_bytes(blob[:4])
        if len(blob) < end:
            raise ValueError("a key ends amid a field")
        yield blob[4:end]
        blob = blob[end:]


def _key(algorithm: bytes, bits: bytes) -> str:
    return _value(SEQUENCE, _value(SEQUENCE, algorithm) + _value(BIT_STRING, b"\0" + bits)).hex().upper()


def _value(tag: int, content: bytes) -> bytes:
    """A DER value (X.690): its tag, its length in as few bytes as can be, what it holds."""
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    size = (length.bit_length() + 7) // 8
    return bytes((tag, 0x80 | size)) + length.to_bytes(size) + content
