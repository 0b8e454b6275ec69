"""Laws of the tests themselves."""

import ast
import pathlib

import tests

ROOT = pathlib.Path(tests.__file__).parent


def test_what_several_tests_share_stands_in_a_module_without_tests() -> None:
    borrowed = [
        f"{file.relative_to(ROOT)}:{node.lineno} takes {node.module}"
        for file in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").rpartition(".")[2].startswith("test_")
    ]
    assert borrowed == []
