"""A linter for texts with a code: what makes them dear, cut in parts, or unreadable for phones that fill codes in."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from trunkline.codes import extract
from trunkline.codes.webotp import bound_code
from trunkline.errors import InvalidRequest
from trunkline.verify import messages
from trunkline.verify.messages.segments import segments

SAMPLE = {"code": "482913", "brand": "ACME", "minutes": "5"}
LONGEST = 2_000
_SHORTEST_SHOUTED = 12

Level = Literal["error", "warning", "note"]


class Finding(msgspec.Struct, frozen=True):
    """Something about a text."""

    level: Annotated[Level, Meta(description="`error`: it would be refused, or not work.", examples=["warning"])]
    code: Annotated[str, Meta(description="The stable name of the finding.", examples=["ucs2"])]
    message: Annotated[str, Meta(description="In a sentence.", examples=["’ is not in the GSM alphabet."])]
    position: Annotated[int, Meta(description="The character it is about, from 0; null: the whole.")] | None = None
    instead: Annotated[str, Meta(description="What could stand there.", examples=["'"])] | None = None


class Report(msgspec.Struct, frozen=True):
    """How a text is sent, and what there is to say of it."""

    text: Annotated[
        str, Meta(description="As it would be sent, with sample values.", examples=["482913 is your code."])
    ]
    encoding: Annotated[Literal["GSM-7", "UCS-2"], Meta(description="What it is sent in.", examples=["GSM-7"])]
    segments: Annotated[int, Meta(description="Into how many parts it is cut.", examples=[1])]
    units: Annotated[int, Meta(description="Septets, or UTF-16 units.", examples=[23])]
    left: Annotated[int, Meta(description="How many more fit into the last part.", examples=[137])]
    ok: Annotated[bool, Meta(description="Whether there is no error.", examples=[True])]
    findings: Annotated[list[Finding], Meta(description="The worst first.")]


def lint(
    text: str, *, brand: str = "", code: str = SAMPLE["code"], seconds: int = 300, web_otp_domain: str | None = None,
    app_hash: str | None = None,
) -> Report:  # fmt: skip
    """Of words with placeholders, or of a text as it is. Raises InvalidRequest for one that is endless."""
    if len(text) > LONGEST:
        raise InvalidRequest(f"text has at most {LONGEST} characters.", field="text")
    findings = []
    rendered = text
    if "{" in text:
        try:
            messages.check_text(text)
            rendered = messages.render(
                brand=brand or SAMPLE["brand"], code=code, seconds=seconds, locale="en", country="", template="default",
                text=text, web_otp_domain=web_otp_domain, app_hash=app_hash,
            ).text  # fmt: skip
        except InvalidRequest as error:
            findings.append(Finding("error", "refused", error.detail))
    elif web_otp_domain and app_hash:
        findings.append(Finding("error", "refused", "web_otp_domain and app_hash exclude each other."))
    findings += _about_size(rendered)
    findings += _about_words(rendered, code if "{" in text else None)
    order = {"error": 0, "warning": 1, "note": 2}
    findings.sort(key=lambda finding: order[finding.level])
    cut = segments(rendered)
    return Report(
        rendered, "GSM-7" if cut.encoding == "GSM-7" else "UCS-2", cut.parts, cut.units, cut.left,
        all(finding.level != "error" for finding in findings), findings,
    )  # fmt: skip


def _about_size(text: str) -> list[Finding]:
    cut = segments(text)
    findings = [
        Finding(
            "warning",
            "ucs2",
            f"{forced.character!r} is not in the GSM alphabet, so that a part holds 70 characters instead of 160.",
            forced.position,
            forced.instead,
        )
        for forced in cut.forced_by[:5]
    ]
    if cut.parts > 1:
        findings.append(Finding("warning", "parts", f"It is sent, and paid for, in {cut.parts} parts."))
    return findings


def _about_words(text: str, code: str | None) -> list[Finding]:
    findings = []
    read = extract(text).code
    if read is None:
        findings.append(Finding("warning", "unread", "No code is found in it: phones will not offer to fill it in."))
    elif code is not None and read != code:
        findings.append(Finding("warning", "unread", f"Another code is found in it: {read!r}."))
    if messages.leads_somewhere(text.replace(code or read or "\0", "")) and bound_code(text) is None:
        findings.append(
            Finding("warning", "link", "It leads somewhere: carriers filter such texts, and people fear them.")
        )
    letters = [character for character in text if character.upper() != character.lower()]
    if len(letters) > _SHORTEST_SHOUTED and all(character.isupper() for character in letters):
        findings.append(Finding("note", "capitals", "It is written in capitals, which filters take for spam."))
    last = text.rsplit("\n", 1)[-1]
    if "@" in last and "#" in last and bound_code(text) is None:
        findings.append(
            Finding("error", "web_otp", "Its last line is no @domain #code as browsers read it.", text.rfind("@"))
        )
    return findings
