"""Names the service that a text is from, by the catalog's names, aliases and domains."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from trunkline.activations.codes.cues import CODE, OTP, Cue
from trunkline.activations.codes.letters import fold, plain

_RUNNING = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3041-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_TOKEN = re.compile(r"[a-z0-9]+|[^\x00-\xbf\u2000-\u2bff\u3000-\u303f\uff00-\uffff]+")
_BRACKET = re.compile(r"[【\[［「(<]([^】\]］」)>]{1,40})[】\]］」)>]")
_DOMAIN = re.compile(r"[a-z0-9.-]{4,253}\Z")
_HOST = re.compile(r"(?:https?://)?(?:www\.)?([a-z0-9.-]{3,253})", re.IGNORECASE)
_BRACKETED = 3.5  # what a name in brackets is worth at least; a name of digits alone (1688) needs that much
_LONGEST = 5  # tokens of a name


class _Name(NamedTuple):
    tokens: tuple[str, ...]
    slug: str
    lower: bool  # written in lower case by its owner: "eBay", "talabat"

    def end_in(self, folded: str, first: re.Match[str]) -> int:
        """Where the name ends that may begin with ``first``, or 0; its words may be a space and a sign apart."""
        end = first.end()
        for token in self.tokens[1:]:
            following = _TOKEN.search(folded, end, end + 3 + len(token))
            if following is None or following[0] != token or folded[following.end() : following.end() + 1].isalnum():
                return 0
            end = following.end()
        return end


class Brands:
    """The catalog, indexed once: rows of ``(slug, name, domain, aliases)``. Safe to share between threads.

    An alias may be a name in any script or another domain. Of two services with one name the first row wins.
    """

    def __init__(self, rows: Iterable[tuple[str, str, str, Sequence[str]]]) -> None:
        self._by_domain: dict[str, str] = {}
        self._by_tokens: dict[str, list[_Name]] = {}
        self._by_char: dict[str, list[tuple[str, str]]] = {}
        for slug, name, domain, aliases in rows:
            for domain_name in (domain, *aliases):
                if "." in domain_name and _DOMAIN.match(domain_name.lower()):
                    self._by_domain.setdefault(domain_name.lower(), slug)
            for spelling in (name, re.sub(r"\s*\(.*?\)", "", name), *aliases):
                self._add(spelling, slug)
        for names in self._by_char.values():
            names.sort(key=lambda entry: -len(entry[0]))
        self._first_chars = re.compile("[" + re.escape("".join(self._by_char)) + "]" if self._by_char else r"(?!)")
        for entries in self._by_tokens.values():
            entries.sort(key=lambda name: -len(name.tokens))

    def _add(self, spelling: str, slug: str) -> None:
        folded = fold(plain(spelling))
        if _RUNNING.match(folded):
            self._by_char.setdefault(folded[0], []).append((folded, slug))
            return
        tokens = tuple(_TOKEN.findall(folded))
        if tokens and len(tokens) <= _LONGEST:
            entries = self._by_tokens.setdefault(tokens[0], [])
            if all(known.tokens != tokens for known in entries):
                entries.append(_Name(tokens, slug, spelling[0].islower()))

    def of_host(self, host: str) -> str | None:
        """The service of a host or of the nearest domain above it."""
        labels = host.lower().rstrip(".").split(".")
        for first in range(max(0, len(labels) - 6), len(labels) - 1):
            slug = self._by_domain.get(".".join(labels[first:]))
            if slug is not None:
                return slug
        return None

    def named_in(self, text: str, folded: str, cues: list[Cue], links: list[str]) -> str | None:
        """The service that a plain text names best; ``folded`` is the same text folded, ``links`` what it links to.

        Best to worst: a name in brackets, before a colon at the start, beside the word for the code, at the very end,
        a link's host, any other mention.
        """
        best, slug = 0.0, None
        mentions = self._mentions(text, folded)
        brackets = [match.span(1) for match in _BRACKET.finditer(text)] if mentions else []
        askers = [cue for cue in cues if cue.kinds & (OTP | CODE)]
        # A sender in brackets that is no brand of ours: a name further on is only spoken of.
        foreign = any(
            text[first - 1] in "【[" and text[: first - 1].strip() in {"", "[Web발신]"} and text[first].isalpha()
            for first, last in brackets
            if text[first:last] != "Web발신"
        )
        for start, end, found in mentions:
            worth = 1.0 + (end - start) / 40 - start / 4000
            if any(first <= start and end <= last for first, last in brackets):
                worth += 3.0
            elif start <= 6 and folded[end : end + 3].lstrip()[:1] in {":", "：", "|", "."}:
                worth += 2.5
            elif any(0 <= cue.start - end <= 3 or 0 <= start - cue.end <= 16 for cue in askers):
                worth += 2.0
            elif len(folded) - end <= 2 or start <= 2:
                worth += 1.0
            elif foreign or folded[max(0, start - 3) : start] == "at ":  # "a payment of $20 at Acme"
                continue
            if worth > best and (worth > _BRACKETED or not folded[start:end].isdigit()):
                best, slug = worth, found
        if best < 2.0:
            for link in links:
                host = _HOST.match(link)
                linked = self.of_host(host[1]) if host else None
                if linked is not None:
                    return linked
        return slug

    def _mentions(self, text: str, folded: str) -> list[tuple[int, int, str]]:
        mentions = []
        beyond = 0
        for match in _TOKEN.finditer(folded):
            names = self._by_tokens.get(match[0])
            if names is None or match.start() < beyond:
                continue
            start = match.start()
            shown_lower = text[start].islower() and text[start].isascii()
            for name in names:
                end = 0 if shown_lower and not name.lower else name.end_in(folded, match)
                if end:
                    mentions.append((start, end, name.slug))
                    beyond = end
                    break
        if not folded.isascii():
            beyond = 0
            for match in self._first_chars.finditer(folded):
                start = match.start()
                for spelling, slug in self._by_char[match[0]] if start >= beyond else ():
                    if folded.startswith(spelling, start):
                        beyond = start + len(spelling)
                        mentions.append((start, beyond, slug))
                        break
        return mentions
