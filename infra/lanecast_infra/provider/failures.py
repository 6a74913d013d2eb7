"""What can go wrong with the cloud, and the words for it: resource, field, request, and what to do."""

from __future__ import annotations

from dataclasses import dataclass

from baidubce.exception import BceHttpClientError, BceServerError

from lanecast_infra.provider.model import Advice, Resource

THROTTLED = frozenset({"RequestLimitExceeded", "RequestRateLimitExceeded", "TooManyRequests", "Throttling"})
PASSING_STATUSES = frozenset({429, 500, 502, 503, 504})

GENERAL = {
    "InvalidAccessKeyId": Advice(None, "check the access key: baiducloud:accessKey, or BAIDUCLOUD_ACCESS_KEY"),
    "SignatureDoesNotMatch": Advice(None, "check the secret key: baiducloud:secretKey, or BAIDUCLOUD_SECRET_KEY"),
    "AccessDenied": Advice(None, "check the keys, and give their user the right to this call"),
    "RequestExpired": Advice(None, "set this machine's clock: it is off by more than half an hour"),
    "LimitExceeded": Advice(None, "ask for a higher quota, or remove what is not needed"),
    "CidrConflict": Advice("cidr", "choose a range that overlaps no other"),
    "ResourceNeedRelease": Advice(None, "remove what still uses it"),
    "OperationDenied": Advice(None, "look at its state in the console: it does not allow this now"),
    "LastOperationNotFinished": Advice(None, "it is busy with another change: run it again in a while"),
    "NoSuchObject": Advice(None, "what it refers to is gone: run `pulumi refresh`, then `pulumi up`"),
    "IdempotentParameterMismatch": Advice(None, "report this: one client token was used for two requests"),
}


@dataclass(slots=True)
class CloudError(Exception):
    """The API refused a request, or could not be reached."""

    call: str
    status: int | None
    code: str
    message: str
    request_id: str | None
    unanswered: bool = False
    """The request may have been carried out all the same."""
    unsent: bool = False
    """Nothing listened: the request was certainly not carried out."""

    @property
    def passes(self) -> bool:
        """Whether the same request may succeed a little later."""
        return self.unanswered or self.unsent or self.throttled or self.status in PASSING_STATUSES

    @property
    def throttled(self) -> bool:
        """Whether the account asks too often."""
        return self.status == 429 or self.code in THROTTLED

    @property
    def ambiguous(self) -> bool:
        """Whether it is open if the request was carried out."""
        return self.unanswered or (self.status in PASSING_STATUSES and not self.throttled)

    @property
    def field(self) -> str | None:
        """What the message begins with, if it names a field as the API does: ``cidr: 10.8.0.0/33 is no CIDR``."""
        name, colon, _ = self.message.partition(":")
        return name if colon and name.isalnum() else None

    def __str__(self) -> str:
        where = f"request {self.request_id}" if self.request_id else "no request id"
        return f"{self.call}: {self.code}: {self.message} ({where})"


class CancelledError(Exception):
    """The engine asked to stop."""


class NotSettledError(Exception):
    """A resource came into a state that it does not leave by itself, or not in time."""


def from_sdk(call: str, error: BceHttpClientError) -> CloudError:
    """The SDK's exception as ours."""
    inner = error.last_error
    if isinstance(inner, BceServerError):
        code = _text(inner.code) or f"HTTP {inner.status_code}"
        return CloudError(call, inner.status_code, code, _text(inner.args[0]) or "no message", _text(inner.request_id))
    if isinstance(inner, ConnectionRefusedError):
        return CloudError(call, None, "Unreachable", str(inner), None, unsent=True)
    # A broken connection, a time-out, or an answer that was cut off or is not what an API answers.
    return CloudError(call, None, "NoAnswer", f"{type(inner).__name__}: {inner}", None, unanswered=True)


def explain(resource: Resource, name: str, doing: str, error: Exception) -> str:
    """The sentence for the person: what, where, why, and what to do."""
    head = f'{resource.name} "{name}" could not be {doing}'
    if isinstance(error, CloudError):
        advice = dict(resource.advice).get(error.code) or GENERAL.get(error.code)
        named = (error.field, advice.field if advice else None)
        field = next((f": {one}" for one in named if one and resource.field(one)), "")
        what = advice.what_to_do if advice else _fallback(error)
        return f"{head}{field}: {error}. What to do: {what}."
    return f"{head}: {error}"


def advised(error: Exception) -> str:
    """Why a question got no answer, and what to do."""
    if not isinstance(error, CloudError):
        return str(error)
    advice = GENERAL.get(error.code)
    return f"{error}. What to do: {advice.what_to_do if advice else _fallback(error)}."


def _fallback(error: CloudError) -> str:
    if error.throttled:
        return "run it again with a smaller --parallel: the account asks too often"
    if error.unsent or error.unanswered:
        return "check baiducloud:endpoint and the network, then run it again: nothing is made twice"
    if error.passes:
        return "run it again in a while: the fault is the service's, and nothing is made twice"
    return "correct the program and run it again"


def _text(value: object) -> str | None:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return None if value is None else str(value)


STOPS = (CloudError, CancelledError, NotSettledError)
"""What ends an operation with a sentence for the person; anything else is a mistake of the provider's own."""
