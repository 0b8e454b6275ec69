"""What the catalog does not know, and proofs of ownership that fail."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from trunkline.errors import Conflict, NotFound, members


class UnknownCountry(NotFound):
    code, title = "unknown_country", "Unknown country"
    example = {"detail": "There is no country 'uk'.", "field": "country"}


class UnknownService(NotFound):
    code, title = "unknown_service", "Unknown service"
    example = {"detail": "There is no service 'watsapp'.", "field": "service"}


@members
class ControlNotProved(Conflict):
    code, title = "control_not_proved", "Control not proved"
    example = {"detail": "The record has other texts.", "found": ["v=spf1 -all"]}
    found: Annotated[list[str], Meta(description="What was there instead of the token.")] | UnsetType = UNSET
