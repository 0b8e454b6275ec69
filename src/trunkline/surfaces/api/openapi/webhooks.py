"""The ``webhooks`` of OpenAPI 3.1: what is posted to a customer's URL, one operation for each type of event."""

from decimal import Decimal

import msgspec

from trunkline.events.told import DATA
from trunkline.events.types import TYPES
from trunkline.events.webhooks import samples
from trunkline.surfaces.api.openapi.schemas import REF, Shapes, pascal
from trunkline.surfaces.api.openapi.words import Schema

_AT = "2026-04-19T14:35:22Z"
_PARAMETERS = ("WebhookId", "WebhookTimestamp", "WebhookSignature")


def operations(shapes: Shapes) -> Schema:
    """By type; the schema of each body gets a name in ``shapes``."""
    return {type_: {"post": _operation(type_, about, shapes)} for type_, about in TYPES.items()}


def _operation(type_: str, about: str, shapes: Shapes) -> Schema:
    name = pascal(type_.replace(".", "_")) + "Event"
    shapes.schemas[name] = {
        "type": "object",
        "description": about,
        "properties": {
            "type": {"type": "string", "const": type_, "description": "What happened."},
            "timestamp": {
                "type": "string",
                "format": "date-time",
                "description": "When it happened.",
                "examples": [_AT],
            },
            "data": shapes.of(DATA[type_]),
        },
        "required": ["type", "timestamp", "data"],
    }
    return {
        "operationId": f"event_{type_.replace('.', '_')}",
        "tags": ["Webhooks"],
        "summary": type_,
        "description": about,
        "security": [],
        "parameters": [{"$ref": f"#/components/parameters/{each}"} for each in _PARAMETERS],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": REF + name}, "example": example(type_)}},
        },
        "responses": {
            "2XX": {"description": "Taken."},
            "410": {"description": "Gone: the webhook is disabled, and nothing more is sent to it."},
            "default": {"description": "Not taken: it is sent again later."},
        },
    }


def example(type_: str) -> Schema:
    data = samples.sample(type_, webhook_id="1001", at=_AT)
    return {"type": type_, "timestamp": _AT, "data": msgspec.to_builtins(data, builtin_types=(Decimal,))}
