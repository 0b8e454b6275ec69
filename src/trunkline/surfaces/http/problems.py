"""Requests that HTTP itself refuses: what no handler sees (RFC 9110 §15.5)."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from trunkline.errors import Field, MalformedBody, RateLimited, TrunklineError, members


class BodyTooSlow(TrunklineError):
    code, status, title = "body_too_slow", 408, "Body too slow"


class PathTooLong(TrunklineError):
    code, status, title = "path_too_long", 414, "Path too long"


class PayloadTooLarge(TrunklineError):
    code, status, title = "payload_too_large", 413, "Body too large"


class UnsupportedMediaType(TrunklineError):
    code, status, title = "unsupported_media_type", 415, "Unsupported media type"


class ContentCodingUnknown(UnsupportedMediaType):
    """RFC 9110 §15.5.16: the answer says which coding there is."""


@members
class MethodNotAllowed(TrunklineError):
    code, status, title = "method_not_allowed", 405, "Method not allowed"
    example = {"detail": "This path takes POST.", "allow": "POST"}
    allow: Annotated[str, Meta(description="The methods that the path takes.")]


class MalformedRequest(MalformedBody):
    code, title = "malformed_request", "Malformed request"


class HeaderTooLarge(TrunklineError):
    code, status, title = "header_too_large", 431, "Header too large"


@members
class TransferCodingUnknown(TrunklineError):
    code, status, title = "transfer_coding_unknown", 501, "Transfer coding unknown"
    field: Field | UnsetType = UNSET


class VersionNotSupported(TrunklineError):
    code, status, title = "http_version_not_supported", 505, "HTTP version not supported"


class TooManyConnections(RateLimited):
    code, title = "too_many_connections", "Too many connections"
