"""Client tokens: the same token with the same request gets the same answer, and nothing is done twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from lanecast_lab.cloud.api.calls import Context, JsonObject
from lanecast_lab.cloud.api.errors import ApiError, inappropriate

LONGEST_TOKEN = 64
"""[docs] A client token is at most 64 ASCII characters."""

KEPT_S = 24 * 3600.0
"""[docs: VPC, general description] How long a token is remembered after it came for the last time."""


def fingerprint(method: str, path: str, query: Mapping[str, str], body: JsonObject) -> str:
    """What makes two requests with one token the same one: everything but the token. [docs: the same page]"""
    rest = sorted((name, value) for name, value in query.items() if name != "clientToken")
    text = json.dumps([method, path, rest, body], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Token:
    """The client token of a request, with the request's fingerprint. An empty one counts as absent."""

    text: str
    fingerprint: str

    def earlier_reply(self, context: Context) -> tuple[bool, JsonObject | None]:
        """Whether it was answered before, and how. Call it inside the transaction of the write."""
        if not self.text:
            return False, None
        if len(self.text) > LONGEST_TOKEN or not self.text.isascii():
            raise inappropriate(f"clientToken: more than {LONGEST_TOKEN} characters, or not ASCII")
        context.store.forget_replies(context.now - KEPT_S)
        kept = context.store.kept_reply(context.scope, context.endpoint, self.text)
        if kept is None:
            return False, None
        if kept[0] != self.fingerprint:
            raise ApiError(403, "IdempotentParameterMismatch", "this client token came with another request before")
        context.store.renew_reply(context.scope, context.endpoint, self.text)
        reply: JsonObject | None = json.loads(kept[1])
        return True, reply

    def keep(self, context: Context, reply: JsonObject | None) -> None:
        """Remember the answer, in the transaction of the write. Refusals are not remembered."""
        if self.text:
            context.store.keep_reply(context.scope, context.endpoint, self.text, self.fingerprint, json.dumps(reply))
