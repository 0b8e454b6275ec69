"""Localised message templates: what a text with a code says, in 70 languages, and how it ends for browsers and apps.

A text begins with the brand, then come the sentences of its template. Its last line may bind the code to a site
(WebOTP, https://wicg.github.io/sms-one-time-codes/) or to an Android app (SMS Retriever), never to both.
"""

import math
import re
import unicodedata
from typing import NamedTuple

from trunkline.errors import InvalidRequest
from trunkline.verify.messages import languages
from trunkline.verify.problems import UnknownTemplate

TEMPLATES = {  # the sentences of each
    "default": ("code", "payment", "minutes"),
    "short": ("code", "payment"),
    "warning": ("code", "payment", "minutes", "warning"),
}
LONGEST_BRAND = 30
LONGEST_TEXT = 300
RETRIEVER_OCTETS = 140  # that Google's SMS Retriever reads

_PLACEHOLDERS = frozenset({"brand", "code", "minutes"})
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}|[{}]")
_LINK = re.compile(r"(?i)\bhttps?:|\bwww\.|[a-z0-9-]+\.[a-z]{2,}(?:/|\b)(?!\})|[^\W\d_]\.[^\W\d_]{2,}/")
_PHONE = re.compile(r"\+?\d[\d\s().-]{6,}\d")
_DOMAIN = re.compile(r"(?i)(?=.{4,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])")
_HASH = re.compile(r"[A-Za-z0-9+/]{11}")
_LOCALE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,3}")
_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")  # controls, bidi marks, lone surrogates, line separators


class Message(NamedTuple):
    """A text as it is sent, the language and template that it is in, and what was decided for the caller."""

    text: str
    locale: str
    template: str
    notes: tuple[str, ...] = ()


def render(
    *,
    brand: str,
    code: str,
    seconds: int,
    locale: str | None,
    country: str,
    template: str,
    text: str | None = None,
    web_otp_domain: str | None = None,
    app_hash: str | None = None,
    amount: str | None = None,
    payee: str | None = None,
) -> Message:
    """The text for a code that is good for ``seconds``; ``text``: an app's own words in place of a template.

    Raises UnknownTemplate, and InvalidRequest with the field.
    """
    if template not in TEMPLATES:
        raise unknown_template(template)
    if brand:
        check_brand(brand)
    if locale is not None and not _LOCALE.fullmatch(locale):
        raise InvalidRequest("locale is a language as in BCP 47: de, pt-BR.", field="locale")
    language, is_found = languages.choose(locale, country)
    notes = () if is_found else (f"There are no texts in {locale!r}: it is sent in {language!r}.",)
    values = {
        "brand": brand,
        "code": code,
        "minutes": str(math.ceil(seconds / 60)),
        "amount": amount or "",
        "payee": payee or "",
    }
    if text is not None:
        words = _filled(text, values)
        if amount is not None:
            words = f"{words} {_filled(languages.templates()[language]['payment'], values)}"
    else:
        sentences = languages.templates()[language]
        wanted = [name for name in TEMPLATES[template] if name != "payment" or amount is not None]
        words = " ".join(_filled(sentences[name], values) for name in wanted).rstrip("，")
        words = f"{brand}: {words}" if brand else words
    return Message(words + _last_line(words, code, web_otp_domain, app_hash), language, template, notes)


def _filled(words: str, values: dict[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found: values[found[1]], words)


def _last_line(words: str, code: str, domain: str | None, app_hash: str | None) -> str:
    if domain is not None and app_hash is not None:
        raise InvalidRequest(
            "web_otp_domain and app_hash exclude each other: each wants the last line.", field="app_hash"
        )
    if domain is not None:
        if not _DOMAIN.fullmatch(domain):
            raise InvalidRequest("web_otp_domain is a host's name: example.com.", field="web_otp_domain")
        return f"\n\n@{domain.lower()} #{code}"
    if app_hash is None:
        return ""
    if not _HASH.fullmatch(app_hash):
        raise InvalidRequest("app_hash is the 11 characters that the SMS Retriever API gives an app.", field="app_hash")
    line = f"\n\n{app_hash}"
    if len((words + line).encode()) > RETRIEVER_OCTETS:
        raise InvalidRequest(f"With app_hash a text has at most {RETRIEVER_OCTETS} octets.", field="app_hash")
    return line


def unknown_template(name: str) -> UnknownTemplate:
    return UnknownTemplate(f"There is no template {name[:40]!r}; there are {', '.join(TEMPLATES)}.", field="template")


def check_brand(brand: str) -> None:
    """Raises InvalidRequest for a brand that is long, leads somewhere, or has what nobody sees."""
    if len(brand) > LONGEST_BRAND or not brand.strip():
        raise InvalidRequest(f"brand has 1 to {LONGEST_BRAND} characters.", field="brand")
    if _has_unseen(brand) or "{" in brand or "}" in brand:
        raise InvalidRequest("brand has characters that cannot be shown in a text, or a brace.", field="brand")
    if leads_somewhere(brand):
        raise InvalidRequest("brand is a name, and no link or phone number.", field="brand")


def check_text(text: str) -> None:
    """Raises InvalidRequest for words that are no text for a code."""
    if not 1 <= len(text) <= LONGEST_TEXT or _has_unseen(text.replace("\n", "")):
        raise InvalidRequest(f"text has 1 to {LONGEST_TEXT} characters that can be shown.", field="text")
    names = [found[1] for found in _PLACEHOLDER.finditer(text)]
    for name in names:
        if name not in _PLACEHOLDERS:
            raise InvalidRequest(
                f"text: there are {{brand}}, {{code}} and {{minutes}}, not {{{name or ''}}}.", field="text"
            )
    if names.count("code") != 1:
        raise InvalidRequest("text holds {code} once.", field="text")


def needs_approval(text: str) -> bool:
    """Whether an app's own words lead somewhere, so that the operator is to read them first."""
    return leads_somewhere(_PLACEHOLDER.sub(" ", text))


def leads_somewhere(text: str) -> bool:
    """Whether there is a link in it, with or without a scheme, or a phone number."""
    plain = unicodedata.normalize("NFKC", text)
    return bool(_LINK.search(plain) or _PHONE.search(plain))


def _has_unseen(text: str) -> bool:
    return any(unicodedata.category(character) in _UNSEEN for character in text)
