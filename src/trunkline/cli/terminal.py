"""Output encoding: what others wrote reaches a terminal as text, never as commands to it.

Control characters (ECMA-48 escape sequences, C1), format characters (UAX #9, zero-width ones), line and paragraph
separators and halves of surrogate pairs are shown as the escapes that Python and JSON write for them.
"""

import re
import unicodedata

import click

_UNUSUAL = re.compile(r"[^\x20-\x7e]")
_SHY = ("Cc", "Cf", "Cs", "Zl", "Zp")


def plain(text: str) -> str:
    """What somebody outside wrote, as one line of visible characters."""
    return _UNUSUAL.sub(_escape, text)


def say(*lines: str, err: bool = False) -> None:
    """Prints lines for a person."""
    click.echo("\n".join(map(plain, lines)), err=err)


def exact(json: str) -> str:
    """The same JSON, with escapes for what a terminal might obey: outside its strings JSON has no such character."""
    return _UNUSUAL.sub(_escape_json, json)


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    if unicodedata.category(character) not in _SHY or character == "\t":
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _escape_json(found: re.Match[str]) -> str:
    character = found[0]
    if unicodedata.category(character) not in _SHY or character in "\n\t":
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
