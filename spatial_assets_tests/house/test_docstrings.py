"""Docstrings begin with a noun or a verb, so that a list of them can be read."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from spatial_assets_tests.servers.process import REPOSITORY

RELATIVE = re.compile(r"(What|Whether|How|Where|Of|As|When|Which|Who|Whose|By|That)\b")
PACKAGES = ("spatial_assets", "spatial_assets_tests", "chaos", "benchmarks", "deploy")


def docstrings(path: Path) -> list[tuple[int, str]]:
    """Line and text of the docstrings in a file, those of attributes among them."""
    bodies = [getattr(node, "body", []) for node in ast.walk(ast.parse(path.read_text()))]
    return [
        (statement.lineno, statement.value.value)
        for body in bodies
        if isinstance(body, list)
        for statement in body
        if isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_docstring_begins_with_a_relative_word(package: str) -> None:
    found = [
        f"{path.relative_to(REPOSITORY)}:{line}: {text.splitlines()[0]}"
        for path in sorted((REPOSITORY / package).rglob("*.py"))
        for line, text in docstrings(path)
        if RELATIVE.match(text)
    ]

    assert found == []
