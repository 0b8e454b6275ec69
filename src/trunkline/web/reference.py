"""The API reference at /docs, rendered once from the OpenAPI document."""

from typing import Any


def pages(document: dict[str, Any]) -> dict[str, tuple[bytes, bytes]]:
    """Path → content type and body."""
    return {"/docs": (b"text/html; charset=utf-8", document["info"]["title"].encode())}
