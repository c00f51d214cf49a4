"""[compute]: the workers of a run, and their limits of memory and threads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import AfterValidator, Field

from spatial_assets.project.base import Table, Tuple, refusal

Count = Annotated[int, Field(ge=1)]

_SCHEDULER = re.compile(r"(tcp|tls)://([^\s/:@\[\]]+|\[[0-9a-fA-F:.]+\]):\d{1,5}")


def _check_scheduler(address: str) -> str:
    """Refuse text that is not the address of a Dask scheduler; empty: no cluster."""
    if address and not _SCHEDULER.fullmatch(address):
        remedy = 'give "tcp://host:8786" (or tls://), or "" for processes on this machine'
        raise refusal("is not the address of a Dask scheduler", remedy)
    return address


SchedulerAddress = Annotated[str, AfterValidator(_check_scheduler)]


@dataclass(frozen=True, kw_only=True)
class TileCompute:
    """Limits of one worker while it computes one tile."""

    memory_mb: int
    gdal_cache_mb: int
    threads: int
    profile: str | None
    """Name of the profile that applies; None: [compute] itself."""


class ComputeProfile(Table):
    """Other limits for some tiles; absent ones are those of [compute]."""

    tiles: Tuple[str] = Field(
        min_length=1, description="the tiles it applies to, as patterns", examples=[["12022*"]]
    )
    memory_mb: Count | None = Field(
        default=None, description="megabytes a worker may use", examples=[6144]
    )
    gdal_cache_mb: Count | None = Field(
        default=None, description="megabytes of GDAL block cache per process", examples=[64]
    )
    threads: Count | None = Field(
        default=None, description="threads GDAL may use in a worker", examples=[1]
    )


class ComputeSettings(Table):
    """Workers and their limits."""

    workers: Count = Field(default=2, description="processes that compute tiles", examples=[2])
    dask: SchedulerAddress = Field(
        default="",
        description="address of a Dask scheduler whose workers compute the tiles; "
        "empty: processes on this machine",
        examples=["tcp://scheduler:8786"],
    )
    threads: Count = Field(default=1, description="threads GDAL may use in a worker", examples=[1])
    gdal_cache_mb: Count = Field(
        default=64, description="megabytes of GDAL block cache per process", examples=[64]
    )
    memory_mb: Count = Field(
        default=2048, description="megabytes a worker may use", examples=[2048]
    )
    max_tiles_per_run: Count = Field(
        default=2000,  # planned in seconds; 6 hours at 10 s a tile, and a dead run repeats few
        description="maximum tiles of a run; a larger backfill becomes several runs",
        examples=[2000],
    )
    profiles: Mapping[str, ComputeProfile] = Field(
        default_factory=dict, description="other limits for some tiles, by name"
    )

    def for_tile(self, tile: str) -> TileCompute:
        """Return the limits of `tile`: of the first profile in file order that matches it."""
        for name, profile in self.profiles.items():
            if any(fnmatchcase(tile, pattern) for pattern in profile.tiles):
                return TileCompute(
                    memory_mb=profile.memory_mb or self.memory_mb,
                    gdal_cache_mb=profile.gdal_cache_mb or self.gdal_cache_mb,
                    threads=profile.threads or self.threads,
                    profile=name,
                )
        return TileCompute(
            memory_mb=self.memory_mb,
            gdal_cache_mb=self.gdal_cache_mb,
            threads=self.threads,
            profile=None,
        )
