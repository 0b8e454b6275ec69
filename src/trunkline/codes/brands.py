"""Names the service that a text is from, by the catalog's names, aliases and domains."""

import re
from collections.abc import Container, Iterable, Sequence
from importlib.resources import files
from typing import NamedTuple

from trunkline.codes.cues import Cue, find_cues
from trunkline.codes.lexicon import CODE, OTP, VERIFY
from trunkline.codes.memory import Memory
from trunkline.codes.spelling import fold, in_one_script, plain

_RUNNING = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3041-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_TOKEN = re.compile(r"[a-z0-9]+|[^\x00-\xbf\u2000-\u2bff\u3000-\u303f\uff00-\uffff،؛؟۔।॥።፡፣፦]+")
_BRACKET = re.compile(r"[【\[［「(<]([^】\]］」)>]{1,40})[】\]］」)>]")
_DOMAIN = re.compile(r"[a-z0-9.-]{4,253}\Z")
_HOST = re.compile(r"(?:https?://)?(?:www\.)?([a-z0-9.-]{3,253})", re.IGNORECASE)
# A link that begins a chat with somebody is not the service's own: "wa.me/14155550123", "t.me/somebody".
_CHAT_LINK = re.compile(r"(?:https?://)?(?:wa\.me|t\.me|api\.whatsapp\.com|chat\.whatsapp\.com)/", re.IGNORECASE)
_CAMEL = re.compile("(?:[A-Z][a-z]{2,}){2,3}")  # "WhatsApp", which some write with a space
_PIECE = re.compile("[A-Z][a-z]+")
_SENDER_PIECE = re.compile(r"[a-z]{3,}")
# A business that signs first and is no service of ours: "Kranwick Water Co: …", "[Acme] …", "【云杉书店】…".
_SIGNATURE = re.compile(r"\W{0,3}([^\W\d_][^\n:：|]{1,40}?) ?[:：|](?=[ \n]|[^\x00-\u024f])")
_SIGN_BEFORE_END = re.compile(r"[-–—~(\n.!?] ?$")
_LONG_NUMBER = re.compile(r"\d{4}")
_SAID = OTP | CODE | VERIFY  # what no sender's name holds
_SOMEBODY = re.compile(r"[^\W\d_]{3}")
_LONGEST = 5  # tokens of a name
_ORDINARY = frozenset(
    files(__package__).joinpath("ordinary_names.txt").read_text(encoding="utf-8").split("\n\n")[1].split()
)
_SIGNED = 3.5  # what a name in brackets is worth at least; a name of digits alone (1688) needs that much
_OWN = 2.0  # what a name that the text gives as its sender's is worth at least


class Mention(NamedTuple):
    """A service that a text names."""

    slugs: tuple[str, ...]  # the service of that name, then others that send in it
    text: str
    linked: bool  # the text also links to its site
    place: str  # "bracket", "start", "beside" a word for a code, "end", "host" of the bound line, "link", "mention"

    @property
    def slug(self) -> str:
        return self.slugs[0]


class _Name(NamedTuple):
    tokens: tuple[str, ...]
    slugs: tuple[str, ...]
    lower: bool  # written in lower case by its owner: "eBay", "talabat"
    ordinary: bool  # also a word
    accented: bool  # written with accents: to others they are foreign, and "über" is no Uber

    def end_in(self, folded: str, first: re.Match[str]) -> int:
        """Where the name ends that may begin with ``first``, or 0; its words may be a space and a sign apart."""
        end = first.end()
        for token in self.tokens[1:]:
            following = _TOKEN.search(folded, end, end + 3 + len(token))
            if following is None or following[0] != token or folded[following.end() : following.end() + 1].isalnum():
                return 0
            end = following.end()
        return end


class _Found(NamedTuple):
    start: int
    end: int
    slugs: tuple[str, ...]
    doubtful: bool  # an ordinary word, or a name in lower case: it counts only where a sender signs


class Brands:
    """The catalog, indexed once: rows of ``(slug, name, domain, aliases)``. Safe to share between threads.

    An alias may be a name in any script or another domain. Several services may go by one name: the service whose own
    name it is comes first, then the others in the order of the rows.
    """

    def __init__(self, rows: Iterable[tuple[str, str, str, Sequence[str]]]) -> None:
        self.memory: Memory = {}  # what was found in texts, by their likeness
        self._by_domain: dict[str, str] = {}
        self._by_tokens: dict[str, list[_Name]] = {}
        self._by_char: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
        self._by_sender: dict[str, str] = {}
        table = list(rows)
        spellings: dict[str, tuple[list[str], str]] = {}
        for own in (True, False):
            for slug, name, domain, aliases in table:
                names = (name, re.sub(r"\s*\(.*?\)", "", name)) if own else aliases
                for spelling in names:
                    slugs, _ = spellings.setdefault(fold(plain(spelling)), ([], spelling))
                    if slug not in slugs:
                        slugs.append(slug)
                for host in (domain,) if own else aliases:
                    if "." in host and _DOMAIN.match(host.lower()):
                        self._by_domain.setdefault(host.lower(), slug)
        for folded, (slugs, spelling) in spellings.items():
            self._add(folded, spelling, tuple(slugs), spellings)
        for entries in self._by_char.values():
            entries.sort(key=lambda entry: -len(entry[0]))
        numbered = sorted({re.escape(spelling) for spelling in spellings if _LONG_NUMBER.search(spelling)})
        self._numbered = re.compile("|".join(numbered) or r"(?!)")
        self._firsts = frozenset(self._by_tokens)
        self._first_chars = re.compile("[" + re.escape("".join(self._by_char)) + "]" if self._by_char else r"(?!)")
        for alike in self._by_tokens.values():
            alike.sort(key=lambda name: -len(name.tokens))

    def _add(self, folded: str, spelling: str, slugs: tuple[str, ...], spelt: Container[str]) -> None:
        if _RUNNING.match(folded):
            self._by_char.setdefault(folded[0], []).append((folded, slugs))
            return
        tokens = tuple(_TOKEN.findall(folded))
        if tokens:
            self._by_sender.setdefault("".join(tokens), slugs[0])
            if len(tokens) <= _LONGEST:
                ordinary = folded in _ORDINARY or (len(folded) < 3 and folded.isascii())
                name = _Name(tokens, slugs, spelling[:1].islower(), ordinary, not spelling.isascii())
                self._by_tokens.setdefault(tokens[0], []).append(name)
            pieces = tuple(piece.lower() for piece in _PIECE.findall(spelling)) if _CAMEL.fullmatch(spelling) else ()
            if pieces and " ".join(pieces) not in spelt:  # "Whats App": words, so it counts where a sender signs
                self._by_tokens.setdefault(pieces[0], []).append(_Name(pieces, slugs, True, True, False))

    def has_digits_in(self, folded: str) -> bool:
        """Whether the text may hold a name with a long number in it, such as "1688", so that its digits matter."""
        return bool(self._numbered.search(folded))

    def of_host(self, host: str, place: str = "host") -> Mention | None:
        """The service of a host or of the nearest domain above it."""
        labels = host.lower().rstrip(".").split(".")
        for first in range(max(0, len(labels) - 6), len(labels) - 1):
            slug = self._by_domain.get(".".join(labels[first:]))
            if slug is not None:
                return Mention((slug,), host, True, place)
        return None

    def of_sender(self, sender: str) -> str | None:
        """The service whose name a sender ID is: "WELLSFARGO", "VM-PAYPAL-S"; None for all others."""
        folded = fold(in_one_script(plain(sender)))
        slug = self._by_sender.get("".join(_TOKEN.findall(folded)))
        if slug is None and "-" in sender:
            pieces = _SENDER_PIECE.findall(folded)
            slug = next((self._by_sender[piece] for piece in pieces if piece in self._by_sender), None)
        return slug

    def named_in(self, text: str, folded: str, cues: list[Cue], links: list[str]) -> Mention | None:
        """The service that a plain text names best; ``folded`` is the same text folded, ``links`` what it links to.

        Best to worst: a name in brackets, before a colon at the start, beside the word for the code, at the very end,
        a link's host, any other mention.
        """
        best, named = 0.0, None
        mentions = []
        if (spelt := in_one_script(text)) is not text and (mentions := self._mentions(spelt, fold(spelt))):
            text, folded = spelt, fold(spelt)
            cues = find_cues(folded)  # a word of two scripts had been two, the second beside what follows
        mentions = mentions or self._mentions(text, folded)
        if mentions:
            brackets = [match.span(1) for match in _BRACKET.finditer(text) if _encloses_a_sender(text, match)]
            askers = [cue for cue in cues if cue.kinds & (OTP | CODE)]
            foreign = _signs_for_another(text, brackets, mentions, cues)
            for found in mentions:
                worth, place = _worth(found, text, folded, brackets, askers)
                if place == "mention" and (found.doubtful or foreign):
                    continue
                if worth > best and (worth > _SIGNED or not folded[found.start : found.end].isdigit()):
                    best, named = worth, Mention(found.slugs, text[found.start : found.end], False, place)
        for link in links:
            host = _HOST.match(link) if not _CHAT_LINK.match(link) else None
            linked = self.of_host(host[1], "link") if host else None
            if linked is not None and best < _OWN:
                return linked
            if linked is not None and named is not None and linked.slug == named.slug:
                return named._replace(linked=True)
        return named

    def _mentions(self, text: str, folded: str) -> list[_Found]:
        mentions: list[_Found] = []
        words = set(_TOKEN.findall(folded))
        begun = words & self._firsts
        if begun:
            # Names begin with words such as "the" and "is": worth a closer look only where their second word is there.
            names = {
                first: near
                for first in begun
                if (near := [n for n in self._by_tokens[first] if len(n.tokens) == 1 or n.tokens[1] in words])
            }
            if names:
                mentions = self._of_words(text, folded, names)
        if not folded.isascii():
            beyond = 0
            for match in self._first_chars.finditer(folded):
                start = match.start()
                for spelling, slugs in self._by_char[match[0]] if start >= beyond else ():
                    if folded.startswith(spelling, start):
                        beyond = start + len(spelling)
                        mentions.append(_Found(start, beyond, slugs, False))
                        break
        return mentions

    def _of_words(self, text: str, folded: str, names: dict[str, list[_Name]]) -> list[_Found]:
        mentions = []
        beyond = 0
        for match in _TOKEN.finditer(folded):
            start = match.start()
            for name in names.get(match[0], ()) if start >= beyond else ():
                shown_lower = text[start].islower() and text[start].isascii()
                end = 0 if shown_lower and name.ordinary and not name.lower else name.end_in(folded, match)
                if end and (name.accented or text[start:end].isascii()):
                    doubtful = name.ordinary or (shown_lower and not name.lower)
                    mentions.append(_Found(start, end, name.slugs, doubtful))
                    beyond = end
                    break
        return mentions


def _encloses_a_sender(text: str, bracket: re.Match[str]) -> bool:
    """Round brackets hold asides as well, but for those at either end of a text."""
    return bracket[0][0] in "【[［「" or bracket.start() <= 2 or bracket.end() >= len(text.rstrip()) - 1


def _signs_for_another(text: str, brackets: list[tuple[int, int]], mentions: list[_Found], cues: list[Cue]) -> bool:
    """Whether the text begins with a sender that is no brand of ours, so that others are only spoken of."""
    spans = [(first, last) for first, last in brackets if text[first - 1] in "【[" and text[first:last] != "Web발신"]
    signed = next(
        ((first, last) for first, last in spans if text[: first - 1].strip() in {"", "[Web발신]"}),
        None,
    )
    if signed is None:
        signature = _SIGNATURE.match(text)
        if signature is None or any(cue.start < signature.end() for cue in cues if cue.kinds & _SAID):
            return False
        signed = signature.span(1)
    first, last = signed
    return text[first].isalpha() and not any(found.start < last for found in mentions)


def _is_beside(found: _Found, cue: Cue, text: str) -> bool:
    """Whether the name belongs to the word for the code: "Acme code", "code for Acme"; beside it in lower case."""
    if cue.start >= found.end:
        return cue.start - found.end <= 3 and "." not in text[found.end : cue.start]
    gap = found.start - cue.end
    return 0 <= gap <= (3 if text[found.start].islower() else 16) and ". " not in text[cue.end : found.start]


def _worth(
    found: _Found, text: str, folded: str, brackets: list[tuple[int, int]], askers: list[Cue]
) -> tuple[float, str]:
    start, end = found.start, found.end
    worth = 1.0 + (end - start) / 40 - start / 4000
    if any(first <= start and end <= last for first, last in brackets):
        return worth + 3.0, "bracket"
    if not _SOMEBODY.search(folded, 0, start) and folded[end : end + 3].lstrip()[:1] in {
        ":",
        "：",
        "|",
        ".",
        "-",
        "\n",
    }:
        return worth + 2.5, "start"
    if any(_is_beside(found, cue, text) for cue in askers):
        return worth + 2.0, "beside"
    if start <= 2 and not found.doubtful:
        return worth + 1.0, "start"
    if len(folded.rstrip()) - end <= 2 and (not found.doubtful or _SIGN_BEFORE_END.search(text, 0, start)):
        return worth + 1.0, "end"
    if folded[max(0, start - 3) : start] == "at ":  # "a payment of $20 at Acme"
        return 0.0, "mention"
    return worth, "mention"
