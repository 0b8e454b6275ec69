"""Names the service that a text is from, by the catalog's names, aliases and domains."""

import re
from collections.abc import Iterable, Sequence

from trunkline.activations.codes.cues import CODE, OTP, Cue
from trunkline.activations.codes.letters import fold, plain

_RUNNING = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3041-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_TOKEN = re.compile(r"[a-z0-9]+|[^\x00-\xbf\u2000-\u2bff\u3000-\u303f\uff00-\uffff]+")
_BRACKET = re.compile(r"[【\[［「(<]([^】\]］」)>]{1,40})[】\]］」)>]")
_DOMAIN = re.compile(r"[a-z0-9.-]{4,253}\Z")
_HOST = re.compile(r"(?:https?://)?(?:www\.)?([a-z0-9.-]{3,253})", re.IGNORECASE)
_LONGEST = 5  # tokens of a name


class Brands:
    """The catalog, indexed once: rows of ``(slug, name, domain, aliases)``. Safe to share between threads.

    An alias may be a name in any script or another domain. Of two services with one name the first row wins.
    """

    def __init__(self, rows: Iterable[tuple[str, str, str, Sequence[str]]]) -> None:
        self._by_domain: dict[str, str] = {}
        self._by_tokens: dict[str, list[tuple[tuple[str, ...], str, bool]]] = {}
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
            entries.sort(key=lambda entry: -len(entry[0]))

    def _add(self, spelling: str, slug: str) -> None:
        folded = fold(plain(spelling))
        if _RUNNING.match(folded):
            self._by_char.setdefault(folded[0], []).append((folded, slug))
            return
        tokens = tuple(_TOKEN.findall(folded))
        if tokens and len(tokens) <= _LONGEST:
            entries = self._by_tokens.setdefault(tokens[0], [])
            if all(known != tokens for known, _, _ in entries):
                entries.append((tokens, slug, spelling[0].islower()))

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
            if worth > best:
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
        if not self._by_tokens.keys().isdisjoint(_TOKEN.findall(folded)):
            tokens = [(match[0], match.start(), match.end()) for match in _TOKEN.finditer(folded)]
            for position, (token, start, _) in enumerate(tokens):
                for name, slug, lower in self._by_tokens.get(token, ()):
                    last = position + len(name) - 1
                    if last >= len(tokens) or any(tokens[position + step][0] != word for step, word in enumerate(name)):
                        continue
                    if tokens[last][2] - start > sum(map(len, name)) + 3 * (len(name) - 1):
                        continue
                    if lower or not text[start].islower() or not text[start].isascii():
                        mentions.append((start, tokens[last][2], slug))
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
