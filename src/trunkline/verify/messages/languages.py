"""Language negotiation (RFC 4647 §3.4): a locale (BCP 47) or a country becomes a language that there are texts in."""

import functools
import importlib.resources
import tomllib
from collections.abc import Mapping

FALLBACK = "en"

# What most people of a country expect a text in, where it is not English.
_OF_COUNTRIES = {
    "ar": "ae bh dj dz eg eh iq jo kw lb ly ma mr om ps qa sa sd so sy td tn ye",
    "es": "ar bo cl co cr cu do ec es gq gt hn mx ni pa pe pr py sv uy ve",
    "fr": "bf bi bj cd cf cg ci cm fr ga gf gn gp km lu mc mg ml mq nc ne pf pm re sn tg yt",
    "pt": "ao cv gw mz pt st tl", "pt-BR": "br", "de": "at ch de li", "it": "it sm va", "nl": "be nl sr aw cw",
    "ru": "kg ru tj tm", "zh-Hans": "cn", "zh-Hant": "hk mo tw", "el": "cy gr", "ro": "md ro", "sq": "al xk",
    "sr": "me rs", "ms": "bn my", "fa": "af ir", "sw": "ke tz ug", "af": "za na", "bn": "bd", "da": "dk gl fo",
}  # fmt: skip
_OF_ONE_COUNTRY = {
    "am": "et", "az": "az", "be": "by", "bg": "bg", "bs": "ba", "ca": "ad", "cs": "cz", "et": "ee", "fi": "fi",
    "fil": "ph", "he": "il", "hi": "in", "hr": "hr", "hu": "hu", "hy": "am", "id": "id", "is": "is", "ja": "jp",
    "ka": "ge", "kk": "kz", "km": "kh", "ko": "kr", "lo": "la", "lt": "lt", "lv": "lv", "mk": "mk", "mn": "mn",
    "my": "mm", "nb": "no", "ne": "np", "pl": "pl", "si": "lk", "sk": "sk", "sl": "si", "sv": "se", "th": "th",
    "tr": "tr", "uk": "ua", "ur": "pk", "uz": "uz", "vi": "vn",
}  # fmt: skip
OF_COUNTRY: Mapping[str, str] = {
    country: language
    for language, countries in (*_OF_COUNTRIES.items(), *_OF_ONE_COUNTRY.items())
    for country in countries.split()
}
_SAME_AS = {"no": "nb", "nn": "nb", "tl": "fil", "iw": "he", "in": "id", "zh": "zh-Hans", "sh": "sr", "yue": "zh-Hant"}
_CHINESE = {"tw": "zh-Hant", "hk": "zh-Hant", "mo": "zh-Hant", "hant": "zh-Hant"}


@functools.cache
def templates() -> Mapping[str, Mapping[str, str]]:
    """The sentences of every language, by name."""
    text = importlib.resources.files(__package__).joinpath("templates.toml").read_text("utf-8")
    return tomllib.loads(text)


@functools.cache
def _by_tag() -> Mapping[str, str]:
    return {language.lower(): language for language in templates()}


def choose(locale: str | None, country: str) -> tuple[str, bool]:
    """The language for a locale, else for a number's country; and whether the locale itself was found.

    Of ``pt-AO`` the language is tried, then the country's, then English.
    """
    if locale is not None:
        found = _of_locale(locale)
        if found is not None:
            return found, True
    return OF_COUNTRY.get(country, FALLBACK), locale is None


def _of_locale(locale: str) -> str | None:
    parts = locale.replace("_", "-").lower().split("-")
    if parts[0] == "zh":
        return next((_CHINESE[part] for part in parts[1:] if part in _CHINESE), "zh-Hans")
    for length in range(len(parts), 0, -1):  # the lookup of RFC 4647: from the end, a subtag less each time
        tag = "-".join(parts[:length])
        found = _by_tag().get(_SAME_AS.get(tag, tag).lower())
        if found is not None:
            return found
    return None
