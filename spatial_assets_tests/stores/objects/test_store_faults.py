from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from spatial_assets.errors import LeaseHeldError, SourceUnavailableError
from spatial_assets.retries import Backoff
from spatial_assets.stores.cube.cube import read_window
from spatial_assets.stores.objects import location, store_errors
from spatial_assets.stores.objects.leases import acquire
from spatial_assets.stores.objects.store import ObjectStore, open_store
from spatial_assets_tests.stores.objects.faulty_s3_proxy import FAULTS, FaultyProxy, faulty_proxy
from spatial_assets_tests.stores.sample_cubes import ONE, make, write

pytestmark = pytest.mark.servers

NOON = datetime(2023, 8, 1, 12, tzinfo=UTC)


@pytest.fixture
def proxy(s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """One request in five goes wrong; waits are shortened, their number is not."""
    backoff = {"init_backoff": timedelta(milliseconds=2), "max_backoff": timedelta(seconds=0.1)}
    monkeypatch.setattr(store_errors, "BACKOFF", Backoff(first=0.002, largest=0.1, total=2.0))
    monkeypatch.setattr(
        location, "RETRY_CONFIG", {**location.RETRY_CONFIG, "backoff": {**backoff, "base": 2}}
    )
    with faulty_proxy(s3_environment["SPATIAL_ASSETS_S3_ENDPOINT"], share=0.2) as running:
        url = f"http://127.0.0.1:{running.server_port}"
        monkeypatch.setenv("SPATIAL_ASSETS_S3_ENDPOINT", url)
        yield running


@pytest.fixture
def shaky(proxy: FaultyProxy, s3_bucket: str) -> ObjectStore:
    del proxy
    return open_store(f"s3://{s3_bucket}/some/prefix")


def test_objects_survive_a_bad_network(shaky: ObjectStore, proxy: FaultyProxy) -> None:
    for number in range(60):
        data = bytes([number]) * 5000
        info = shaky.put(f"a/{number}.bin", data)
        head = shaky.head(f"a/{number}.bin")
        assert head is not None
        assert (head.size, head.etag) == (info.size, info.etag)
        assert shaky.get(f"a/{number}.bin") == data
    assert len(shaky.list("a")) == 60
    assert set(FAULTS) <= set(proxy.done)


def test_a_create_is_won_once_though_replies_are_lost(shaky: ObjectStore) -> None:
    for race in range(12):
        with ThreadPoolExecutor(4) as pool:
            path = f"{race}.json"
            won = list(pool.map(lambda n, path=path: shaky.create(path, f"{n}".encode()), range(4)))

        assert won.count(True) == 1
        assert shaky.get(f"{race}.json") == f"{won.index(True)}".encode()


def test_a_lease_is_held_once_though_replies_are_lost(shaky: ObjectStore) -> None:
    for race in range(5):
        with ThreadPoolExecutor(4) as pool:
            held = list(pool.map(lambda n, name=f"tile/{race}": contend(shaky, name, n), range(4)))

        assert held.count(True) == 1


def contend(store: ObjectStore, name: str, number: int) -> bool:
    try:
        acquire(store, name, owner=f"c{number}", ttl=timedelta(minutes=1), clock=lambda: NOON)
    except LeaseHeldError:
        return False
    return True


def test_a_cube_survives_a_bad_network(shaky: ObjectStore) -> None:
    make(shaky)
    for period in range(6):
        values = write(shaky, ONE, period=period, seed=period)
        read, _ = read_window(shaky, "ndvi", period=period, window=ONE.window)
        np.testing.assert_array_equal(read, values)


def test_a_server_that_only_answers_slow_down_is_given_up_as_transient(
    shaky: ObjectStore, proxy: FaultyProxy
) -> None:
    proxy.share, proxy.faults = 1.0, ("slow down",)

    with pytest.raises(SourceUnavailableError, match="retries included"):
        shaky.put("a.bin", b"x")
