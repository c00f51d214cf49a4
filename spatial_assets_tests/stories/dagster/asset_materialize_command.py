"""The command `dagster asset materialize`, as users or CI run it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg

from spatial_assets.project import Project


@dataclass(frozen=True)
class Command:
    """A finished command."""

    code: int
    output: str


@dataclass(frozen=True)
class DagsterProject:
    """A project, and the instance that stores its runs."""

    project: Project
    home: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def dagster(self, *arguments: str, module: str = "spatial_assets.definitions") -> Command:
        """Run `dagster asset materialize -m <module> ...`."""
        program = Path(sys.executable).with_name("dagster")
        done = subprocess.run(
            [program, "asset", "materialize", "-m", module, *arguments],
            env={
                **os.environ,
                "DAGSTER_HOME": str(self.home),
                "SPATIAL_ASSETS_PROJECT": str(self.project.root),
                **self.environment,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        return Command(done.returncode, done.stdout + done.stderr)

    def materialize(self, assets: Sequence[str], *tiles: str) -> Command:
        """Materialize assets for a tile, or from the first tile to the last."""
        which = ["--partition", *tiles] if len(tiles) == 1 else []
        if len(tiles) > 1:
            which = ["--partition-range", f"{tiles[0]}...{tiles[-1]}"]
        return self.dagster("--select", ",".join(assets), *which)

    def instance(self) -> dg.DagsterInstance:
        """Dagster instance of the project; the caller closes it."""
        return dg.DagsterInstance.from_config(str(self.home))

    def pixels(self, index: str = "ndvi") -> dict[str, bytes]:
        """Path -> bytes of every stored shard of an index."""
        root = Path(self.project.storage_url) / f"{index}.zarr" / index / "c"
        return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}
