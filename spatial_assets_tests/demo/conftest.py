from pathlib import Path

import pytest

from spatial_assets.demo import make_demo_inputs


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the demo's inputs, made once; read it only."""
    folder = tmp_path_factory.mktemp("demo")
    make_demo_inputs(folder)
    return folder
