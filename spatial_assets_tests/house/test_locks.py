"""The locks: every package is pinned once, by version and hashes, independent of an index."""

from __future__ import annotations

import re

import pytest

from spatial_assets_tests.servers.process import REPOSITORY

LOCKS = sorted(path.name for path in REPOSITORY.glob("requirements*.lock"))
PIN = re.compile(r"([A-Za-z0-9][\w.\-]*(?:\[[\w,\-]+\])?)==([\w.!+\-]+)(?: ;[^\\]*)?")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def entries(name: str) -> list[str]:
    """One text a package, its continued lines joined and its comments left out."""
    lines = (REPOSITORY / name).read_text().splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    return [" ".join(each.split()) for each in re.sub(r"\\\n\s*", " ", text).split("\n") if each]


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_is_pinned_with_hashes_and_comes_from_no_url(name: str) -> None:
    assert len(entries(name)) > 3
    for entry in entries(name):
        pin, *hashes = re.split(r"\s(?=--hash)", entry)
        assert PIN.fullmatch(pin.strip()), entry[:100]
        assert hashes, f"{pin} has no hash"
        assert all(HASH.fullmatch(each) for each in hashes), pin
        assert "://" not in entry
        assert "@ " not in entry


@pytest.mark.parametrize("name", LOCKS)
def test_a_package_is_pinned_twice_only_for_different_pythons(name: str) -> None:
    pins: dict[str, list[str]] = {}
    for entry in entries(name):
        pin, _, condition = entry.partition(" --hash")[0].partition(" ; ")
        pins.setdefault(pin.split("==")[0].lower().replace("_", "-"), []).append(condition.strip())

    for package, conditions in pins.items():
        if len(conditions) > 1:
            assert all("python_full_version" in each for each in conditions), package
            assert len(set(conditions)) == len(conditions), package


def test_what_is_developed_with_is_what_is_run() -> None:
    runtime = set(entries("requirements.lock"))

    assert runtime <= set(entries("requirements-dev.lock"))
