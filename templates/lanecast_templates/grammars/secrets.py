"""What a finding may show of a command that holds a secret: everything but the secret."""

from __future__ import annotations

import re

HIDDEN = "…"

WORDS = (
    "authentication-key",
    "cipher",
    "encrypted-password",
    "hmac-md5",
    "hmac-sha-256",
    "irreversible-cipher",
    "key",
    "key-string",
    "md5",
    "password",
    "plaintext-password",
    "pre-shared-key",
    "secret",
    "sha1",
    "sha256",
    "simple",
    "value",
)
"""After one of these a secret may stand, on one platform or another."""

_LONGEST_NUMBER = 3
"""How many digits a number may have that is no secret: how it is encrypted, or a key's number."""

_AFTER = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, WORDS))})\s+(?:\d+\s+)?(?=([^\s;']+))")


def without_secrets(message: str) -> str:
    """``message`` with what may be a secret in its command hidden, also where it is named again."""
    found = {match[1] for match in _AFTER.finditer(message)}
    for secret in found - {*WORDS, "chain"}:
        if not (secret.isdigit() and len(secret) <= _LONGEST_NUMBER):
            message = message.replace(secret, HIDDEN)
    return message
