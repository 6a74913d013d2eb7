"""What the API answers when it refuses. Codes and statuses are the vendor's: docs/emulated-cloud.md has the sources."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class ApiError(Exception):
    """A refusal: HTTP status, error code, and a message that names what was wrong."""

    status: int
    code: str
    message: str

    def body(self, request_id: str) -> dict[str, str]:
        """The JSON of the reply. The SDK needs all three keys."""
        return {"code": self.code, "message": self.message, "requestId": request_id}


def access_denied(message: str) -> ApiError:
    """The request is not signed, or names something of another account. [docs: common error codes]"""
    return ApiError(403, "AccessDenied", message)


def malformed_json(message: str) -> ApiError:
    """The body is no JSON. [docs: common error codes]"""
    return ApiError(400, "MalformedJSON", message)


def inappropriate(message: str) -> ApiError:
    """A field is missing, of another type, or outside its range. [docs: common error codes]"""
    return ApiError(400, "InappropriateJSON", message)


def invalid_uri(message: str) -> ApiError:
    """No call has this path, method and flag. [docs: common error codes]"""
    return ApiError(400, "InvalidURI", message)


def no_such(kind: str, name: str, code: str = "NoSuchObject") -> ApiError:
    """What is asked for is not there. [docs: VPC error codes]"""
    return ApiError(404, code, f"no {kind} {name!r} in this region")


def denied(message: str) -> ApiError:
    """The state of things forbids it. [docs: VPC error codes]"""
    return ApiError(409, "OperationDenied", message)


def cidr_conflict(message: str) -> ApiError:
    """Two address ranges overlap, or one is where it must not be. [docs: VPC error codes]"""
    return ApiError(409, "CidrConflict", message)


def in_use(message: str, code: str = "ResourceNeedRelease") -> ApiError:
    """Something else still needs it. [docs: VPC error codes]; some services have a code of their own [tf]"""
    return ApiError(409, code, message)


def over_quota(message: str) -> ApiError:
    """The account has as many as it may. [docs: VPC error codes]"""
    return ApiError(413, "LimitExceeded", message)
