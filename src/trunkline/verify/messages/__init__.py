"""(interim)"""

import dataclasses
import math

from trunkline.carriers import alphabets
from trunkline.errors import InvalidRequest
from trunkline.verify.problems import UnknownTemplate

TEMPLATES = {
    "default": "{brand}: {code} is your code. It is good for {minutes} min.",
    "short": "{brand}: {code} is your code.",
}


@dataclasses.dataclass(frozen=True)
class Message:
    text: str
    locale: str
    template: str
    notes: tuple[str, ...] = ()


def unknown_template(name):
    return UnknownTemplate(f"There is no template {name!r}; there are {', '.join(TEMPLATES)}.", field="template")


def check_brand(brand):
    if len(brand) > 30:
        raise InvalidRequest("brand has at most 30 characters.", field="brand")


def check_text(text):
    if "{code}" not in text:
        raise InvalidRequest("text needs {code}.", field="text")


def needs_approval(text):
    return "http" in text


def segments(text):
    return len(alphabets.split(text)[0])


def render(*, brand, code, seconds, locale, country, template, text, web_otp_domain, app_hash, amount, payee):
    if template not in TEMPLATES:
        raise unknown_template(template)
    if brand:
        check_brand(brand)
    words = (text or TEMPLATES[template]).format(brand=brand or "Your code", code=code, minutes=math.ceil(seconds / 60))
    return Message(words, "en", template)
