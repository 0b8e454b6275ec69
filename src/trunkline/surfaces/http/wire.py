"""Bytes in and out: JSON bodies, query strings, the success envelope, and the one rendering of every error."""

import json
import re
import urllib.parse
from typing import Any

import msgspec

from trunkline.errors import InvalidRequest, MalformedBody, TrunklineError

PROBLEM = b"application/problem+json"
JSON = b"application/json"
SUCCESS = b'{"success":true,"data":'  # what every success begins with

_GROUPS = {"label": "labels", "metadata": "metadata"}  # parameters with a dot in their names, by what they become

_encoder = msgspec.json.Encoder(decimal_format="number")
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}

_WHERE = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<path>[^`]*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<field>.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<field>.*)`", re.DOTALL)


def encode(data: Any) -> bytes:
    """JSON, with decimals as numbers."""
    return _encoder.encode(data)


def success(data: Any) -> bytes:
    return wrapped(encode(data))


def wrapped(data: bytes) -> bytes:
    """The success of data that is JSON already."""
    return SUCCESS + data + b"}"


def page(data: list[Any], next_cursor: str | None) -> bytes:
    return SUCCESS + encode(data) + b',"next_cursor":' + encode(next_cursor) + b"}"


def problem(error: TrunklineError, request_id: str) -> bytes:
    """RFC 9457, with what every error of this API has besides: ``success``, ``code`` and ``request_id``."""
    return encode(problem_members(error) | {"request_id": request_id})


def problem_members(error: TrunklineError) -> dict[str, Any]:
    return {
        "success": False,
        "type": f"urn:trunkline:error:{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
        **error.members(),
    }


def read_body(raw: bytes, shape: Any) -> Any:
    """The struct that a body holds. Raises MalformedBody for what is no JSON, InvalidRequest naming the field."""
    if rb"\u0000" in raw:  # the one character that PostgreSQL cannot keep
        raise InvalidRequest("The body holds a NUL character.")
    decoder = _decoders.get(shape)
    if decoder is None:
        decoder = _decoders[shape] = msgspec.json.Decoder(shape)
    try:
        read = decoder.decode(raw)
        _names.decode(raw.decode())
    except msgspec.ValidationError as error:
        raise _invalid(error) from None
    except (msgspec.DecodeError, json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedBody(f"The body is not JSON: {error}.") from None
    return read


def _once(members: list[tuple[str, object]]) -> None:
    """An object of JSON in which each name stands once: readers differ in which of two they take (RFC 8259 §4)."""
    names = [name for name, _ in members]
    if len(set(names)) != len(names):
        name = next(name for at, name in enumerate(names) if name in names[:at])
        raise InvalidRequest(f"The field {name!r} is given twice.", field=name)


_names = json.JSONDecoder(object_pairs_hook=_once, parse_int=len, parse_float=len)


def check_escapes(raw: bytes) -> None:
    """For JSON that others read: no string of it is one that PostgreSQL cannot keep. Raises MalformedBody."""
    if b"\\u" not in raw:
        return
    try:
        msgspec.json.decode(raw)  # refuses halves of surrogate pairs
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedBody(f"The body is not JSON: {error}.") from None
    if rb"\u0000" in raw:
        raise MalformedBody("The body holds a NUL character.")


def read_query(raw: bytes, shape: Any) -> Any:
    """The struct that a query string holds; ``label.NAME=`` parameters become its ``labels``, ``metadata.NAME=`` its
    ``metadata``."""
    if not raw and shape is None:
        return None
    try:
        pairs = urllib.parse.parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=50)
    except (UnicodeDecodeError, ValueError):
        raise InvalidRequest("The query string is not UTF-8, percent-encoded.") from None
    values: dict[str, Any] = {}
    for name, value in pairs:
        if "\0" in value or "\0" in name:
            raise InvalidRequest("A parameter holds a NUL character.", field=name)
        if value == "null":  # msgspec would take it for "not given"
            raise InvalidRequest(f"{name}: not a value.", field=name)
        target, name = _place(values, name)
        if name in target:
            raise InvalidRequest(f"The parameter {name!r} is given twice.", field=name)
        target[name] = value
    if shape is None:
        if values:
            name = next(iter(values))
            raise InvalidRequest(f"There is no parameter {name!r} here.", field=name)
        return None
    try:
        return msgspec.convert(values, shape, strict=False)
    except msgspec.ValidationError as error:
        raise _invalid(error) from None


def _place(values: dict[str, Any], name: str) -> tuple[dict[str, Any], str]:
    """Where a parameter goes, and under which name."""
    group, dot, inner = name.partition(".")
    if dot and group in _GROUPS:
        return values.setdefault(_GROUPS[group], {}), inner
    return values, name


def _invalid(error: msgspec.ValidationError) -> InvalidRequest:
    found = _WHERE.match(str(error))
    assert found is not None
    path = (found["path"] or "").lstrip(".")
    what = found["what"]
    unknown, missing = _UNKNOWN.match(what), _MISSING.match(what)
    for named in (unknown, missing):
        if named:
            path = f"{path}.{named['field']}" if path else named["field"]
    if unknown:
        return InvalidRequest(f"There is no field {path!r}.", field=path)
    if missing:
        return InvalidRequest(f"The field {path!r} is missing.", field=path)
    detail = f"{what}." if not path else f"{path}: {what}."
    return InvalidRequest(detail, field=path) if path else InvalidRequest(detail)


def clean(text: str | None, field: str, *, longest: int) -> str | None:
    """A string for the database. Raises InvalidRequest where it is empty, too long, or has control characters."""
    if text is None:
        return None
    if not text or len(text) > longest or any(character < " " or character == "\x7f" for character in text):
        raise InvalidRequest(f"{field} is 1 to {longest} characters, none of them a control character.", field=field)
    return text
