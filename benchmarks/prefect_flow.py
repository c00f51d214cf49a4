"""Tiles that do nothing as a Prefect `.map`; run by a Python that has Prefect, not by ours.

Prints the seconds of the mapping, and the seconds until its server has noted that each tile is
done: server and flow are up before, and Dagster has noted its tiles when its run ends.
"""

from __future__ import annotations

import sys
import time

from prefect import flow, task  # type: ignore[import-not-found, unused-ignore]
from prefect.client.orchestration import (  # type: ignore[import-not-found, unused-ignore]
    get_client,
)

TIMEOUT_SECONDS = 120.0
"""Seconds that notes may take."""

DONE = {"task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}


@task  # type: ignore[untyped-decorator, unused-ignore]
def nothing(tile: str) -> str:
    """Do nothing with a tile."""
    return tile


@flow  # type: ignore[untyped-decorator, unused-ignore]
def all_tiles(count: int) -> tuple[float, float]:
    """Map over the tiles, and wait for all to be done and noted; seconds of both."""
    started = time.perf_counter()
    nothing.map([str(number) for number in range(count)]).result()
    mapped = time.perf_counter() - started
    with get_client(sync_client=True) as client:
        while noted(client) < count and time.perf_counter() - started < TIMEOUT_SECONDS:
            time.sleep(0.05)
    return mapped, time.perf_counter() - started


def noted(client: object) -> int:
    """How many tiles the server knows to be done."""
    answer = client._client.post("/task_runs/count", json=DONE)  # type: ignore[attr-defined]  # noqa: SLF001 - no public call counts
    return int(answer.json())


if __name__ == "__main__":
    print("seconds", *all_tiles(int(sys.argv[1])))
