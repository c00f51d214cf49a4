"""STAC APIs from the field: without next pages, without POST, without item search."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from spatial_assets_tests.fixtures.field_cases import field_case, run_command
from spatial_assets_tests.servers.process import ServerCommand, free_port, running

pytestmark = pytest.mark.samples


@contextmanager
def serving(case: Path, how: str, *, port_in_project: int) -> Iterator[Path]:
    """Start the case's server on a free port, and yield the project that names it."""
    port, settings = free_port(), case / "p" / "project.toml"
    settings.write_text(settings.read_text().replace(str(port_in_project), str(port)))
    command = ServerCommand(
        name=case.name, arguments=(sys.executable, case / "api.py", str(port), how)
    )

    def is_ready() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    with running(command, is_ready, timeout=30):
        yield case / "p"


def test_an_api_that_ends_before_its_count_is_an_error(tmp_path: Path) -> None:
    with serving(
        field_case("api-without-next", tmp_path), "nonext", port_in_project=4372
    ) as project:
        plan = run_command(project, "plan")
        check = run_command(project, "check")

    assert plan.exit_code == 1
    assert "found 130 items, but its pages end after 100" in plan.output
    assert "found 130 items, but its pages end after 100" in check.output


def test_an_api_that_only_answers_get_is_searched(tmp_path: Path) -> None:
    with serving(field_case("api-get-only", tmp_path), "get", port_in_project=4373) as project:
        plan = run_command(project, "plan")

    assert plan.exit_code == 0
    assert "130 scenes" in plan.output


@pytest.mark.parametrize("command", ["plan", "check", "materialize"])
def test_an_api_without_item_search_is_refused_in_one_line(tmp_path: Path, command: str) -> None:
    case = field_case("api-without-conformance", tmp_path)
    with serving(case, "noconf", port_in_project=4374) as project:
        result = run_command(project, command)

    assert result.exit_code == 1
    lines = [line for line in result.output.splitlines() if "no STAC API with item search" in line]
    assert len(lines) == 1
    assert "Traceback" not in result.output
