"""The reference at /docs: whole without a script, and nothing on it that the document did not say."""

import copy
import html.parser
import json
import shlex
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from tests.surfaces.api.documented import DOCUMENT

from trunkline.surfaces.web import reference

OPERATIONS = [
    (path, method, operation) for path, item in DOCUMENT["paths"].items() for method, operation in item.items()
]
VOID = {"meta", "link", "wbr"}


class Page(html.parser.HTMLParser):
    """What a reader, a browser and a screen reader find on a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[int] = []
        self.samples: list[tuple[str, str, str]] = []  # the operation or error, the caption, the code
        self.text = ""
        self._open: list[str] = []
        self._section = self._caption = self._code = ""
        self.feed(text)
        assert self._open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "section":
            self._section = attributes.get("id") or ""
        if tag == "figure":
            self._caption = self._code = ""
        if len(tag) == 2 and tag[0] == "h" and tag[1].isdigit() and "nav" not in self._open:
            self.headings.append(int(tag[1]))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        if tag == "figure":
            self.samples.append((self._section, self._caption.split()[0], self._code))

    def handle_data(self, data: str) -> None:
        self.text += data
        if "figcaption" in self._open:
            self._caption += data
        elif "figure" in self._open:
            self._code += data

    def values(self, name: str) -> list[str]:
        return [value for _, attributes in self.tags if (value := attributes.get(name)) is not None]


FILES = reference.pages(DOCUMENT)
PAGE = Page(FILES["/docs"][1].decode())


def sample(operation: dict[str, Any], caption: str) -> str:
    return next(code for where, name, code in PAGE.samples if (where, name) == (operation["operationId"], caption))


def test_the_page_and_what_it_loads_are_served_beside_each_other() -> None:
    assert {path: kind.split(b";")[0] for path, (kind, _) in FILES.items()} == {
        "/docs": b"text/html",
        "/docs/style.css": b"text/css",
        "/docs/reference.js": b"text/javascript",
    }
    loaded = PAGE.values("src") + [
        attributes["href"] for tag, attributes in PAGE.tags if tag == "link" and attributes["rel"] == "stylesheet"
    ]
    assert set(loaded) == set(FILES) - {"/docs"}


def test_nothing_is_asked_of_another_host() -> None:
    for address in PAGE.values("href") + PAGE.values("src"):
        assert address.startswith(("#", "/docs/", "/api/v1/openapi.json", "data:image/")), address
    assert b"url(" not in FILES["/docs/style.css"][1]
    assert b"@import" not in FILES["/docs/style.css"][1]
    assert b"//" not in FILES["/docs/reference.js"][1].replace(b"\n// ", b"").removeprefix(b"// ")


def test_the_page_keeps_the_content_security_policy() -> None:
    for tag, attributes in PAGE.tags:
        assert tag != "style"
        assert not [name for name in attributes if name == "style" or name.startswith("on")]
        assert tag != "script" or attributes["src"]


def test_every_operation_is_on_the_page_with_its_path_and_its_request() -> None:
    ids = PAGE.values("id")
    for path, _method, operation in OPERATIONS:
        assert operation["operationId"] in ids
        assert path in PAGE.text
        command = shlex.split(sample(operation, "Request").replace("\\\n", " "))
        assert command[0] == "curl"
        address = next(word for word in command if word.startswith("http"))
        named = [each for each in operation.get("parameters", ()) if each.get("in") == "path"]
        filled = path.format_map({each["name"]: each["example"] for each in named})
        assert address.split("?")[0] == "http://127.0.0.1:8600" + filled
        assert ("-d" in command) == ("requestBody" in operation)
        assert ("Authorization: Bearer $TRUNKLINE_API_KEY" in command) == bool(operation["security"])


def test_every_link_within_the_page_leads_somewhere_and_no_anchor_stands_twice() -> None:
    ids = PAGE.values("id")
    assert len(ids) == len(set(ids))
    assert {address[1:] for address in PAGE.values("href") if address.startswith("#")} <= set(ids)


def test_every_error_code_has_an_anchor_and_an_example() -> None:
    for code, example in DOCUMENT["components"]["examples"].items():
        [shown] = [json.loads(text) for where, _, text in PAGE.samples if where == f"error-{code}"]
        assert shown == example["value"]


def test_every_type_of_event_is_on_the_page_with_its_body() -> None:
    for item in DOCUMENT["webhooks"].values():
        operation = item["post"]
        [shown] = [json.loads(text) for where, _, text in PAGE.samples if where == operation["operationId"]]
        assert shown == json.loads(
            json.dumps(operation["requestBody"]["content"]["application/json"]["example"], default=float)
        )


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS, ids=lambda value: str(value)[:40])
def test_the_examples_fit_the_document(path: str, method: str, operation: dict[str, Any]) -> None:
    def check(text: str, holder: dict[str, Any]) -> None:
        schema = holder["content"]["application/json"]["schema"] | {"components": DOCUMENT["components"]}
        jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(json.loads(text))

    if "application/json" in operation["responses"]["200"]["content"]:
        check(sample(operation, "Answer"), operation["responses"]["200"])
    if "requestBody" in operation:
        check(sample(operation, "Body"), operation["requestBody"])


def test_money_is_shown_as_the_server_writes_it() -> None:
    assert '"cost": 0.80' in sample(DOCUMENT["paths"]["/api/v1/numbers/purchase"]["post"], "Answer")


def test_headings_begin_with_one_title_and_skip_no_level() -> None:
    assert PAGE.headings.count(1) == 1
    assert PAGE.headings[0] == 1
    for before, after in zip(PAGE.headings, PAGE.headings[1:], strict=False):
        assert after <= before + 1


def test_the_page_has_landmarks_and_a_way_past_the_navigation() -> None:
    tags = [tag for tag, _ in PAGE.tags]
    assert [tags.count(tag) for tag in ("header", "nav", "main")] == [1, 1, 1]
    first = next(attributes for tag, attributes in PAGE.tags if tag == "a")
    assert first["href"] == "#content"


def test_whatever_the_document_says_is_text_on_the_page() -> None:
    hostile = copy.deepcopy(DOCUMENT)
    attack = "<script>alert(1)</script>\"' onload=x `<b>`"
    hostile["info"] |= {"title": attack, "summary": attack, "version": attack}
    hostile["tags"][0]["description"] = attack
    operation = hostile["paths"]["/api/v1/numbers/purchase"]["post"]
    operation |= {"summary": attack, "description": attack}
    operation["parameters"].append({"name": attack, "in": "query", "schema": {"type": "string"}, "example": attack})
    schema = hostile["components"]["schemas"]["Purchase"]
    schema["properties"][attack] = {"type": attack, "description": attack, "enum": [attack], "default": attack}
    schema["required"].append(attack)
    hostile["components"]["examples"]["invalid_key"] |= {"summary": attack}
    hostile["components"]["examples"]["invalid_key"]["value"] |= {"title": attack, "detail": attack, "other": attack}
    page = Page(reference.pages(hostile)["/docs"][1].decode())
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert "b" not in [tag for tag, _ in page.tags]
    assert "<script>alert(1)</script>" in page.text
