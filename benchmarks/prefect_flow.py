"""Tiles that do nothing as a Prefect `.map`; run by a separate Python that has Prefect.

Prints the seconds of the mapping, and the seconds until its server has recorded each tile as done.
Server and flow are started before; Dagster has recorded its tiles when its run ends.
"""

from __future__ import annotations

import sys
import time

from prefect import flow, task  # type: ignore[import-not-found, unused-ignore]
from prefect.client.orchestration import (  # type: ignore[import-not-found, unused-ignore]
    get_client,
)

TIMEOUT_SECONDS = 120.0
"""Seconds within which the server must have recorded all tiles."""

DONE = {"task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}


@task  # type: ignore[untyped-decorator, unused-ignore]
def nothing(tile: str) -> str:
    """Do nothing with a tile."""
    return tile


@flow  # type: ignore[untyped-decorator, unused-ignore]
def all_tiles(count: int) -> tuple[float, float]:
    """Map over the tiles; return the seconds until all are done, and until all are recorded."""
    started = time.perf_counter()
    nothing.map([str(number) for number in range(count)]).result()
    mapped = time.perf_counter() - started
    with get_client(sync_client=True) as client:
        while noted(client) < count and time.perf_counter() - started < TIMEOUT_SECONDS:
            time.sleep(0.05)
    return mapped, time.perf_counter() - started


def noted(client: object) -> int:
    """Number of tiles that the server has recorded as done."""
    answer = client._client.post("/task_runs/count", json=DONE)  # type: ignore[attr-defined]  # noqa: SLF001 - no public call counts
    return int(answer.json())


if __name__ == "__main__":
    print("seconds", *all_tiles(int(sys.argv[1])))
