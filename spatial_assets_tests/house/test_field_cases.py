"""Every small project from the field has a test."""

from __future__ import annotations

import re

import pytest

from spatial_assets_tests.fixtures.field_cases import case_names
from spatial_assets_tests.servers.process import REPOSITORY

CALL = re.compile(r"field_case\(\s*\"([a-z0-9-]+)\"")


@pytest.mark.samples
def test_every_case_has_a_test() -> None:
    tests = (REPOSITORY / "spatial_assets_tests").rglob("test_*.py")
    tested = {name for path in tests for name in CALL.findall(path.read_text(encoding="utf-8"))}

    assert tested == set(case_names())
