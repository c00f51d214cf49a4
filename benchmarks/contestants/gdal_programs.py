"""Paths of GDAL's programs: the system's, else Debian packages unpacked into the tools folder."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.contestants.task import AbsentError
from spatial_assets_tests.servers.debs import (
    PackageSource,
    library_environment,
    one_at_a_time,
    prefix_folder,
)
from spatial_assets_tests.servers.process import ServerError

PACKAGES = ("gdal-bin", "python3-gdal")
CALC = "gdal_calc.py"
SYSTEM_PYTHON = Path("/usr/bin/python3")  # the version that Debian's python3-gdal is built for


@dataclass(frozen=True, kw_only=True)
class GdalPrograms:
    """Paths of the programs, and what they need to run."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    python: tuple[str, ...] = ()
    """Command that starts a program that is a Python script, if it cannot start itself."""

    def run(self, program: str, *arguments: str | Path) -> str:
        """Run a program and return its output.

        Raises:
            RuntimeError: it failed.
        """
        starter = self.python if program.endswith(".py") else ()
        done = subprocess.run(
            [*starter, self.folder / program, *arguments],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            message = f"{program} {' '.join(map(str, arguments))} failed:\n{done.stderr.strip()}"
            raise RuntimeError(message)
        return done.stdout


def fetch(prefix: Path) -> None:
    """Unpack Debian's packages.

    Raises:
        AbsentError: they could not be fetched.
    """
    try:
        source = PackageSource(prefix.parent / "apt")
        source.refresh()
        source.unpack(PACKAGES, prefix)
    except ServerError as error:
        raise AbsentError(f"no gdalwarp and {CALC} here, nor to be had: {error}") from error


@functools.cache
def gdal_programs() -> GdalPrograms:
    """Return the system's programs, else unpacked ones, which are fetched the first time.

    Raises:
        AbsentError: there are none, and none could be fetched.
    """
    found = shutil.which("gdalwarp")
    if found and shutil.which(CALC):
        return GdalPrograms(folder=Path(found).parent)
    prefix = prefix_folder("gdal")
    with one_at_a_time(prefix.parent):
        if not prefix.exists():
            fetch(prefix)
    python = SYSTEM_PYTHON if SYSTEM_PYTHON.exists() else prefix / "usr/bin/python3"
    data = {
        "GDAL_DATA": prefix / "usr/share/gdal",
        "PROJ_DATA": prefix / "usr/share/proj",
        "PYTHONPATH": prefix / "usr/lib/python3/dist-packages",
    }
    return GdalPrograms(
        folder=prefix / "usr/bin",
        environment={
            **library_environment(prefix),
            **{name: str(path) for name, path in data.items() if path.exists()},
        },
        python=(str(python),),
    )


def gdal_version() -> str:
    """Name and version, e.g. `GDAL 3.6.2`."""
    return gdal_programs().run("gdalinfo", "--version").split(",")[0]
