"""The two kinds of object store, for tests that must hold on both."""

from __future__ import annotations

from pathlib import Path

import pytest

from spatial_assets.stores.objects.store import ObjectStore, open_store


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.servers)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """An empty store: a folder, and a prefix of a bucket of a real S3 server."""
    if request.param == "folder":
        return open_store(str(tmp_path / "store"))
    request.getfixturevalue("s3_environment")
    return open_store(f"s3://{request.getfixturevalue('s3_bucket')}/some/prefix")


@pytest.fixture
def folder_store(tmp_path: Path) -> ObjectStore:
    """An empty store in a folder, for tests that do not depend on the type of store."""
    return open_store(str(tmp_path / "store"))
