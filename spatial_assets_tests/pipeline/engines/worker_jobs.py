"""Jobs of workers that kill, wait, or report on their process."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from spatial_assets.stores.objects.store import ObjectStore, open_store


def square_unless_13(number: int) -> int:
    """Harmless, but at 13."""
    if number == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def pid_cache_and_variable(_: int) -> tuple[int, str, str | None]:
    """Process, GDAL's cache, and a variable that only the driver has."""
    time.sleep(0.02)
    return os.getpid(), os.environ["GDAL_CACHEMAX"], os.environ.get("ONLY_THE_DRIVER_HAS")


@dataclass(frozen=True)
class WaitThenWrite:
    """Begins, waits for a file, and then writes an object, as a tile that takes long.

    "quick" does neither.
    """

    store: ObjectStore
    folder: Path

    def __call__(self, name: str) -> str:
        if name == "quick":
            return name
        (self.folder / f"{name}.begun").touch()
        deadline = time.monotonic() + 120
        while not (self.folder / "go").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        try:
            self.store.put(f"late/{name}", b"late")
        finally:
            (self.folder / f"{name}.ended").touch()
        return name


@dataclass(frozen=True)
class SlowOnce:
    """Takes long for one job, the first time that it is done."""

    victim: int
    mark: Path
    seconds: float

    def __call__(self, number: int) -> int:
        if number == self.victim and not self.mark.exists():
            self.mark.touch()
            time.sleep(self.seconds)
            self.mark.with_suffix(".ended").touch()
        return number * number


class MachineLocalStore(ObjectStore):
    """A folder that on other machines is another one, as local folders are."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (open_store, (f"{self.url}-on-another-machine",))
