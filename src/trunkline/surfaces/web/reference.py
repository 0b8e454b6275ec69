"""The API reference at /docs, rendered once from the OpenAPI document: no script needed, no other host."""

import html
import importlib.resources
import re
import shlex
import string
import urllib.parse
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import msgspec

from trunkline.surfaces import BASE

Schema = dict[str, Any]

HOST = "http://127.0.0.1:8600"
JSON = "application/json"
DEEPEST = 3  # levels of fields in one table
INTRODUCTION = {
    "quick-start": "Quick start",
    "authentication": "Authentication",
    "answers": "Answers and errors",
    "idempotency": "Idempotency",
    "rate-limits": "Rate limits",
    "pagination": "Pagination",
    "formats": "Money, times and names",
}
FIELD_HEADS = ("Name", "Type", "Required", "Description")
ANSWER_HEADS = ("Name", "Type", "Description")

_FILES = importlib.resources.files(__package__)
_TOKEN = re.compile(
    r'(?P<key>"(?:\\.|[^"\\])*")(?=\s*:)|(?P<string>"(?:\\.|[^"\\])*")|(?P<other>-?\d[\d.eE+-]*|true|false|null)'
)
_CODE = re.compile(r"`([^`]+)`")
_encode = msgspec.json.Encoder(decimal_format="number").encode


def pages(document: Schema) -> dict[str, tuple[bytes, bytes]]:
    """Path → content type and body, of the page and what it loads. Every text of the document is escaped."""
    return {
        "/docs": (b"text/html; charset=utf-8", _Reference(document).page().encode()),
        "/docs/style.css": (b"text/css; charset=utf-8", _FILES.joinpath("static/style.css").read_bytes()),
        "/docs/reference.js": (b"text/javascript; charset=utf-8", _FILES.joinpath("static/reference.js").read_bytes()),
    }


def _fill(template: str, **values: str) -> str:
    """A template with its ``$names`` replaced; the values are HTML already."""
    return string.Template(_FILES.joinpath(f"templates/{template}.html").read_text("utf-8")).substitute(values)


def _text(plain: str) -> str:
    """Escaped, with `code` as the descriptions write it."""
    return _CODE.sub(r"<code>\1</code>", html.escape(plain))


def _json(value: Any) -> str:
    """Indented JSON with its tokens marked for the style sheet."""
    pretty = html.escape(msgspec.json.format(_encode(value), indent=2).decode(), quote=False)
    return _TOKEN.sub(lambda found: f'<span class="{found.lastgroup}">{found[0]}</span>', pretty)


def _panel(caption: str, code: str) -> str:
    """A sample; ``caption`` and ``code`` are HTML. It can be scrolled, so the keyboard must be able to reach it."""
    return (
        f'<figure class="panel"><figcaption>{caption}</figcaption><pre tabindex="0"><code>{code}</code></pre></figure>'
    )


def _table(heads: tuple[str, ...], rows: list[str]) -> str:
    cells = "".join(f'<th scope="col">{head}</th>' for head in heads)
    return f'<table class="fields"><thead><tr>{cells}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def _field(name: str, kind: str, words: str, required: bool | None) -> str:
    """A row of a table; ``words`` are HTML, ``required`` is None in an answer, where it means nothing."""
    breakable = re.sub(r"([._])(?=\w)", r"\1<wbr>", html.escape(name))
    given = {None: "", True: '<td class="required">required</td>', False: '<td class="optional">optional</td>'}[
        required
    ]
    return (
        f'<tr><th scope="row"><code>{breakable}</code></th><td class="kind">{html.escape(kind)}</td>'
        f"{given}<td>{words}</td></tr>"
    )


class _Reference:
    def __init__(self, document: Schema) -> None:
        self._document = document
        self._operations: list[tuple[str, str, Schema]] = [
            (path, method, operation) for path, item in document["paths"].items() for method, operation in item.items()
        ]
        self._examples: Schema = document["components"]["examples"]
        codes = [set(self._codes(operation)) for _, _, operation in self._operations if operation["security"]]
        self._usual = set.intersection(*codes) if codes else set()  # what any call with a key may answer

    def page(self) -> str:
        info = self._document["info"]
        operations = []
        for tag in self._document["tags"]:
            name, place = html.escape(tag["name"]), _anchor(tag["name"])
            operations.append(
                f'<section class="part tag" id="{place}"><h2><a class="anchor" href="#{place}">{name}</a></h2>'
            )
            operations.append(f"<p>{_text(tag.get('description', ''))}</p></section>")
            operations += [self._operation(*each) for each in self._operations if each[2]["tags"] == [tag["name"]]]
        operations.append(
            '<section class="part tag" id="events-by-type">'
            '<h2><a class="anchor" href="#events-by-type">Events by type</a></h2>'
            "<p>What is posted to your webhooks (Standard Webhooks 1.0) and told on streams.</p></section>"
        )
        operations += [self._event(item["post"]) for item in self._document.get("webhooks", {}).values()]
        return _fill(
            "page",
            title=html.escape(info["title"]),
            version=html.escape(info["version"]),
            summary=html.escape(info["summary"]),
            navigation=self._navigation(),
            introduction=self._introduction(),
            operations="\n".join(operations),
            errors="\n".join(self._error(code) for code in self._by_status(self._examples)),
        )

    def _resolve(self, thing: Schema) -> Schema:
        """What a ``$ref`` names, under the words that stand beside it."""
        if "$ref" not in thing:
            return thing
        found: Any = self._document
        for step in thing["$ref"].split("/")[1:]:
            found = found[step]
        resolved: Schema = found | {name: value for name, value in thing.items() if name not in ("$ref", "properties")}
        return resolved

    def _navigation(self) -> str:
        groups = [("Introduction", [f'<a href="#{place}">{name}</a>' for place, name in INTRODUCTION.items()])]
        for tag in self._document["tags"]:
            links = [
                f'<a href="#{operation["operationId"]}">{_badge(method)}{html.escape(operation["summary"])}</a>'
                for _, method, operation in self._operations
                if operation["tags"] == [tag["name"]]
            ]
            groups.append((tag["name"], links))
        types = [item["post"] for item in self._document.get("webhooks", {}).values()]
        links = [
            f'<a href="#{each["operationId"]}">{_badge("post")}{html.escape(each["summary"])}</a>' for each in types
        ]
        groups.append(("Events by type", links))
        groups.append(("Errors", ['<a href="#errors-by-code">Errors by code</a>']))
        return "\n".join(
            f"<section><h2>{html.escape(name)}</h2><ul>{''.join(f'<li>{link}</li>' for link in links)}</ul></section>"
            for name, links in groups
        )

    def _introduction(self) -> str:
        _, _, first = self._operations[0]
        return _fill(
            "introduction",
            base=html.escape(HOST + BASE),
            success=_json(self._sample(_json_schema(first["responses"]["200"]))),
            problem=_json(self._examples["invalid_request"]["value"]),
        )

    def _operation(self, path: str, method: str, operation: Schema) -> str:
        parameters = [self._resolve(each) for each in operation.get("parameters", ())]
        fields = []
        samples = [_panel("Request", _curl(path, method, operation, parameters, self._body(operation)))]
        for title, where in (("Path", "path"), ("Query", "query"), ("Body", "body"), ("Headers", "header")):
            rows = [self._parameter(each) for each in parameters if each["in"] == where]
            if where == "body" and "requestBody" in operation:
                rows = list(self._rows(_json_schema(operation["requestBody"])))
                samples.append(_panel("Body", _json(self._body(operation))))
            if rows:
                fields.append(f"<h4>{title}</h4>" + _table(FIELD_HEADS, rows))
        if JSON in operation["responses"]["200"]["content"]:
            answer = _json_schema(operation["responses"]["200"])
            inside = self._resolve(answer)["properties"].get("data", answer)  # some answers stand without the envelope
            fields.append(
                "<details><summary>Fields of the answer</summary>"
                + _table(ANSWER_HEADS, list(self._rows(inside, answer=True)))
                + "</details>"
            )
            samples.append(_panel('Answer <span class="status">200</span>', _json(self._sample(answer))))
        return _fill(
            "operation",
            id=html.escape(operation["operationId"]),
            summary=html.escape(operation["summary"]),
            method=_badge(method),
            path=html.escape(path),
            description=_text(operation["description"]),
            fields="\n".join([*fields, self._errors_of(operation)]),
            samples="\n".join(samples),
        )

    def _event(self, operation: Schema) -> str:
        """A type of event: what its data holds, and an example of the whole body."""
        body = operation["requestBody"]["content"][JSON]
        held = self._resolve(body["schema"])["properties"]["data"]
        return _fill(
            "operation",
            id=html.escape(operation["operationId"]),
            summary=html.escape(operation["summary"]),
            method=_badge("post"),
            path="your URL",
            description=_text(operation["description"]),
            fields="<h4>Data</h4>" + _table(ANSWER_HEADS, list(self._rows(held, answer=True))),
            samples=_panel("Body", _json(body["example"])),
        )

    def _parameter(self, parameter: Schema) -> str:
        described = parameter["schema"] | {"description": parameter.get("description", "")}
        return _field(
            parameter["name"], self._kind(described), self._words(described), parameter.get("required", False)
        )

    def _rows(self, schema: Schema, prefix: str = "", depth: int = 0, *, answer: bool = False) -> Iterator[str]:
        """A row for each field of an object, those of the objects within it after their own."""
        schema = self._resolve(schema)
        for inner in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
            yield from self._rows(inner, prefix, depth, answer=answer)
        if "items" in schema:
            yield from self._rows(schema["items"], f"{prefix}[].".replace(".[]", "[]"), depth, answer=answer)
        if isinstance(schema.get("additionalProperties"), dict):
            yield from self._rows(schema["additionalProperties"], f"{prefix}{{id}}.", depth, answer=answer)
        if depth >= DEEPEST:
            return
        for name, each in schema.get("properties", {}).items():
            kind, required = self._kind(each), None
            if not answer:  # that a field may be left out says enough there
                kind, required = kind.removesuffix(" or null"), name in schema.get("required", ())
            yield _field(prefix + name, kind, self._words(each), required)
            yield from self._rows(each, f"{prefix}{name}.", depth + 1, answer=answer)

    def _kind(self, schema: Schema) -> str:
        schema = self._resolve(schema)
        variants = schema.get("anyOf") or schema.get("oneOf")
        if variants:
            return " or ".join(dict.fromkeys(self._kind(each) for each in variants))
        if schema.get("type") == "array":
            return f"array of {self._kind(schema['items'])}s"
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        return " or ".join(
            "time" if kind == "string" and schema.get("format") == "date-time" else kind for kind in kinds
        )

    def _words(self, schema: Schema) -> str:
        """The description, and the rules that a value must keep."""
        schema = self._resolve(schema)
        parts = [schema.get("description", "")]
        choices = [f"`{choice}`" for choice in schema.get("enum", ()) if choice is not None]
        if choices:
            parts.append(f"One of {', '.join(choices)}.")
        if "const" in schema:
            parts.append(f"Always `{_encode(schema['const']).decode()}`.")
        for least, most, unit in (
            ("minimum", "maximum", ""), ("minLength", "maxLength", " characters"), ("minItems", "maxItems", " items")
        ):  # fmt: skip
            if least in schema and most in schema:
                parts.append(f"{schema[least]:,} to {schema[most]:,}{unit}.")
            elif most in schema:
                parts.append(f"At most {schema[most]:,}{unit}.")
        if schema.get("default", {}) != {}:
            parts.append(f"Default `{_encode(schema['default']).decode()}`.")
        return _text(" ".join(part for part in parts if part))

    def _sample(self, schema: Schema, *, brief: bool = False) -> Any:
        """A value that fits a schema; ``brief``: of an object only what must be given, if anything must."""
        schema = self._resolve(schema)
        kinds = schema["type"] if isinstance(schema.get("type"), list) else [schema.get("type")]
        for variants in (schema.get("anyOf"), schema.get("oneOf")):
            if variants:
                return self._sample(variants[0], brief=brief)
        if "examples" in schema:
            example = schema["examples"][0]
            return _money(example) if schema.get("format") == "decimal" else example
        if "const" in schema:
            return schema["const"]
        if "null" in kinds:
            return None
        if "enum" in schema:
            return schema["enum"][0]
        match kinds[0]:
            case "object" if isinstance(schema.get("additionalProperties"), dict):
                return {"10000001": self._sample(schema["additionalProperties"], brief=brief)}
            case "object":
                properties = schema.get("properties", {})
                names = (brief and schema.get("required")) or properties
                return {name: self._sample(properties[name], brief=brief) for name in names}
            case "array":
                return [self._sample(each, brief=brief) for each in schema["items"].get("oneOf", [schema["items"]])]
            case "boolean":
                return True
            case "integer" | "number":
                return 1
        return "string"

    def _body(self, operation: Schema) -> Any:
        return self._sample(_json_schema(operation["requestBody"]), brief=True) if "requestBody" in operation else None

    def _codes(self, operation: Schema) -> Iterator[str]:
        for response in operation["responses"].values():
            yield from (
                self._resolve(response).get("content", {}).get("application/problem+json", {}).get("examples", ())
            )

    def _by_status(self, codes: Iterable[str]) -> list[str]:
        return sorted(codes, key=lambda code: (self._examples[code]["value"]["status"], code))

    def _errors_of(self, operation: Schema) -> str:
        codes = self._by_status(self._codes(operation))
        rows = [
            f'<tr><td>{self._examples[code]["value"]["status"]}</td><th scope="row">{_error_link(code)}</th>'
            f"<td>{html.escape(self._examples[code]['summary'])}</td></tr>"
            for code in codes
            if code not in self._usual
        ]
        usual = ", ".join(
            f"{self._examples[code]['value']['status']} {_error_link(code)}" for code in codes if code in self._usual
        )
        table = _table(("Status", "Code", "Title"), rows) if rows else ""
        return f'<h4>Errors</h4>{table}<p class="usual">As any call: {usual}.</p>'

    def _error(self, code: str) -> str:
        value = self._examples[code]["value"]
        return (
            f'<section class="error" id="error-{html.escape(code)}"><div class="prose">'
            f'<h3><span class="status">{value["status"]}</span> {_error_link(code)}</h3>'
            f"<p>{html.escape(value['title'])}. {html.escape(value['detail'])}</p></div>"
            f'<div class="samples">{_panel("Example", _json(value))}</div></section>'
        )


def _anchor(name: str) -> str:
    return re.sub(r"\W+", "-", name.lower())


def _badge(method: str) -> str:
    return f'<span class="method {html.escape(method)}">{html.escape(method.upper())}</span>'


def _error_link(code: str) -> str:
    return f'<a href="#error-{html.escape(code)}"><code>{html.escape(code)}</code></a>'


def _json_schema(holder: Schema) -> Schema:
    schema: Schema = holder["content"][JSON]["schema"]
    return schema


def _money(amount: float) -> Decimal:
    """As the API writes it: with two decimals, or as many as it needs."""
    exact = Decimal(str(amount))
    return max(exact, exact.quantize(Decimal("0.01")), key=lambda each: len(each.as_tuple().digits))


def _curl(path: str, method: str, operation: Schema, parameters: list[Schema], body: Any) -> str:
    known = {each["name"]: each["example"] for each in parameters if "example" in each}
    path = re.sub(r"{(\w+)}", lambda found: urllib.parse.quote(str(known.get(found[1], found[0])), safe="{}"), path)
    query = urllib.parse.urlencode(
        {each["name"]: known[each["name"]] for each in parameters if each["in"] == "query" and each["name"] in known}
    )
    lines = [f"curl {shlex.quote(HOST + path + ('?' + query if query else ''))}"]
    if method != ("get" if body is None else "post"):
        lines[0] = lines[0].replace("curl ", f"curl -X {method.upper()} ", 1)
    if operation["security"]:
        lines.append('-H "Authorization: Bearer $TRUNKLINE_API_KEY"')
    if "Idempotency-Key" in known:
        lines.append(f'-H "Idempotency-Key: {known["Idempotency-Key"]}"')
    if body is not None:
        lines += [
            '-H "Content-Type: application/json"',
            "-d " + shlex.quote(msgspec.json.format(_encode(body), indent=0).decode()),
        ]
    return html.escape(" \\\n  ".join(lines), quote=False)
