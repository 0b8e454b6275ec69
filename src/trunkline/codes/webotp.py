"""The last line of a text that binds its code to a site: ``@example.com #123456``.

WICG, Origin-bound one-time codes delivered via SMS (https://wicg.github.io/sms-one-time-codes/). Like Chromium's
parser, it also takes a later host on the line, a line that is not the last, and what follows the code.
"""

import re
from typing import NamedTuple

_LINE = re.compile(
    r"^(?:@[^\s@#%/:<>?\[\\\]^]{1,253} ){0,3}@([^\s@#%/:<>?\[\\\]^\x00]{1,253}) #([^#\s]{1,64})(?=[#\s]|$)",
    re.MULTILINE,
)
_BROKEN = re.compile(r"@[\w.-]{1,253}[^\n]{0,40}?#(?=\w)")
_GROUPS = re.compile(r"\d{2,4}(?:-\d{2,4}){1,3}")


class Bound(NamedTuple):
    host: str
    code: str


def bound_code(text: str) -> Bound | None:
    """The site and the code it is bound to, the host in lower case; None where no line has the format."""
    lines = _LINE.findall(text)
    if not lines:
        return None
    host, code = lines[-1]
    return Bound(host.lower(), code.replace("-", "") if _GROUPS.fullmatch(code) else code)


def without_broken_lines(plain: str) -> str:
    """The text with the ``#code`` of lines that only resemble the format left out: the standard says to ignore them."""
    if "@" not in plain or "#" not in plain:
        return plain
    return _BROKEN.sub(lambda match: " " * len(match[0]), plain)
