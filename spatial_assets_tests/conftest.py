"""Fixtures of every test: servers, catalogues, sample data, and the report of omitted tests.

The fixtures live in modules of `spatial_assets_tests.servers` and `.fixtures`, loaded here as
pytest plugins. They are importable because pytest puts the checkout on sys.path (`pythonpath` in
pyproject.toml); test files themselves are imported by path (importmode=importlib) and import
nothing of each other. A fixture that serves one folder only belongs in that folder's conftest.py.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

SAMPLES_VARIABLE = "SPATIAL_ASSETS_SAMPLES"

pytest_plugins = (
    "spatial_assets_tests.servers.postgis",
    "spatial_assets_tests.servers.pgbouncer",
    "spatial_assets_tests.servers.pgstac",
    "spatial_assets_tests.servers.s3",
    "spatial_assets_tests.servers.chromium",
    "spatial_assets_tests.servers.dagster",
    "spatial_assets_tests.servers.dask",
    "spatial_assets_tests.fixtures.two_zone_catalogs",
)

# Properties are of results: how long an example takes is the machine's affair.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

left_out = pytest.StashKey[list[str]]()


LONG_FOLDERS = frozenset({"stories", "chaos", "house", "cli"})
"""Folders of files that take minutes: begun first, so that no process waits for another's last."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put long files first; deselect tests that need the sample data if its folder is not set."""
    items.sort(key=lambda item: LONG_FOLDERS.isdisjoint(item.path.parts))
    needing = [item for item in items if item.get_closest_marker("samples")]
    if os.environ.get(SAMPLES_VARIABLE) or not needing:
        return
    names = [item.nodeid for item in needing]
    config.stash[left_out] = names
    if hasattr(config, "workeroutput"):  # one of several processes: tell the one that reports
        config.workeroutput["left_out"] = names
    items[:] = [item for item in items if item not in needing]
    config.hook.pytest_deselected(items=needing)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:  # noqa: ANN401 - pytest-xdist's own
    """Take over the deselected tests of a worker process; they are the same in all workers."""
    del error
    names = getattr(node, "workeroutput", {}).get("left_out")
    if names:
        node.config.stash[left_out] = names


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """List the deselected tests and the reason."""
    names = config.stash.get(left_out, [])
    if not names:
        return
    terminalreporter.section(f"{len(names)} test{'s' if len(names) > 1 else ''} left out")
    terminalreporter.line(
        "They read real satellite scenes, which are not part of the project; "
        f"set {SAMPLES_VARIABLE} to the folder that holds them to run these too:"
    )
    for name in names:
        terminalreporter.line(f"  {name}")


@pytest.fixture(autouse=True)
def _closed_datasets() -> Iterator[None]:
    """Close the rasters that a test left open, if it loaded the module that opens them."""
    yield
    if gdal_datasets := sys.modules.get("spatial_assets.catalog.rasters.gdal_datasets"):
        gdal_datasets.close_all()


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of the sample data; only for tests marked `samples`."""
    folder = os.environ.get(SAMPLES_VARIABLE)
    if not folder:
        raise pytest.UsageError(
            "a test uses the fixture `samples` without @pytest.mark.samples; mark it, "
            "so that it is left out, and named, where there is no sample data"
        )
    path = Path(folder).resolve()
    if not (path / "scenes").is_dir():
        raise pytest.UsageError(f"{SAMPLES_VARIABLE}={folder}: no folder `scenes` in there")
    return path
