from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spatial_assets.errors import LeaseHeldError, StoreError
from spatial_assets.stores import layout
from spatial_assets.stores.objects.grid_identity import claim_grid
from spatial_assets.stores.objects.leases import (
    Lease,
    acquire,
    lease,
    require_exclusive_creation,
)
from spatial_assets.stores.objects.store import ObjectStore, open_store
from spatial_assets_tests.stores.objects.careless_s3 import careless_s3

NOON = datetime(2023, 8, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NAME = "tile/0231"


@dataclass
class Clock:
    now: datetime = field(default=NOON)

    def __call__(self) -> datetime:
        return self.now

    def later(self, by: timedelta) -> None:
        self.now += by


def take(store: ObjectStore, owner: str, clock: Clock) -> Lease:
    return acquire(store, NAME, owner=owner, ttl=MINUTE, clock=clock)


def try_to_take(store: ObjectStore, owner: str, clock: Clock) -> Lease | None:
    try:
        return take(store, owner, clock)
    except LeaseHeldError:
        return None


def test_a_held_lease_is_refused_naming_the_holder_and_until_when(store: ObjectStore) -> None:
    take(store, "ann on host-1", Clock())

    with pytest.raises(LeaseHeldError, match=r"ann on host-1 until 2023-08-01 12:01:00 UTC"):
        take(store, "bob", Clock())


def test_a_released_lease_is_free_at_once(store: ObjectStore) -> None:
    clock = Clock()
    for owner in ("ann", "bob", "ann"):
        take(store, owner, clock).release()

    assert take(store, "eve", clock).owner == "eve"


def test_leases_of_other_names_do_not_matter(store: ObjectStore) -> None:
    take(store, "ann", Clock())

    assert acquire(store, "tile/02310", owner="bob", ttl=MINUTE, clock=Clock()).owner == "bob"


def test_an_expired_lease_is_stolen_and_its_holder_finds_out(store: ObjectStore) -> None:
    clock = Clock()
    ann = take(store, "ann", clock)
    clock.later(MINUTE)
    take(store, "bob", clock)

    with pytest.raises(LeaseHeldError, match=r"ann lost the lease .* held by bob"):
        ann.renew()


def test_a_holder_that_lost_its_lease_releases_nothing(store: ObjectStore) -> None:
    clock = Clock()
    ann = take(store, "ann", clock)
    clock.later(MINUTE)
    take(store, "bob", clock)

    ann.release()

    with pytest.raises(LeaseHeldError, match="held by bob"):
        take(store, "eve", clock)


def test_a_renewed_lease_is_not_stolen(store: ObjectStore) -> None:
    clock = Clock()
    ann = take(store, "ann", clock)
    clock.later(MINUTE / 2)
    ann.keep_alive()
    clock.later(MINUTE * 3 / 4)

    with pytest.raises(LeaseHeldError, match="ann"):
        take(store, "bob", clock)


def test_a_heartbeat_costs_nothing_until_half_of_the_time_is_gone(store: ObjectStore) -> None:
    clock = Clock()
    ann = take(store, "ann", clock)
    before = store.list(layout.LEASES_FOLDER)
    clock.later(MINUTE / 3)

    ann.keep_alive()

    assert store.list(layout.LEASES_FOLDER) == before


def test_an_expired_lease_without_a_new_owner_can_be_renewed(store: ObjectStore) -> None:
    clock = Clock()
    ann = take(store, "ann", clock)
    clock.later(5 * MINUTE)

    ann.renew()

    assert ann.until == NOON + 6 * MINUTE


def test_one_record_a_lease_is_all_that_stays(store: ObjectStore) -> None:
    clock = Clock()
    for _ in range(3):
        held = take(store, "ann", clock)
        held.renew()
        held.release()

    assert len(store.list(layout.LEASES_FOLDER)) == 1


def test_a_latecomer_with_a_tidied_number_gets_nothing(store: ObjectStore) -> None:
    """It saw no lease, slept while others took and left, and then makes its first record."""
    clock = Clock()
    ann = take(store, "ann", clock)
    first = store.list(layout.LEASES_FOLDER)[0].path
    ann.release()
    bob = take(store, "bob", clock)

    late = ann._log.append(None, owner="eve", until=clock.now + MINUTE)  # noqa: SLF001

    assert late is None
    assert store.head(first) is None
    bob.renew()


def test_a_release_whose_number_was_tidied_away_changes_nothing(store: ObjectStore) -> None:
    clock = Clock()
    ann = take(store, "ann", clock)
    clock.later(MINUTE)
    take(store, "bob", clock).renew()

    ann.release()

    with pytest.raises(LeaseHeldError, match="held by bob"):
        take(store, "eve", clock)


def test_a_damaged_record_is_named(store: ObjectStore) -> None:
    take(store, "ann", Clock())
    path = store.list(layout.LEASES_FOLDER)[0].path
    store.put(path, b"{")

    with pytest.raises(StoreError, match=path):
        take(store, "bob", Clock())


@pytest.mark.parametrize("state", ["new", "released", "expired"])
def test_of_many_contenders_exactly_one_wins(store: ObjectStore, state: str) -> None:
    clock = Clock()
    if state != "new":
        before = take(store, "ann", clock)
        before.release() if state == "released" else clock.later(MINUTE)

    with ThreadPoolExecutor(12) as pool:
        won = list(pool.map(lambda n: try_to_take(store, f"c{n}", clock), range(24)))

    assert sum(held is not None for held in won) == 1


moves = st.lists(
    st.tuples(st.sampled_from(["take", "renew", "release", "wait"]), st.integers(0, 2)),
    max_size=30,
)


@given(moves)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_two_hold_it_whatever_they_do(tmp_path: Path, moves: list[tuple[str, int]]) -> None:
    folder = tmp_path / str(len(list(tmp_path.iterdir())))
    store, clock = open_store(str(folder)), Clock()
    held: dict[int, Lease] = {}
    for move, who in moves:
        if move == "wait":
            clock.later(MINUTE * 0.4)
        elif move == "take":
            taken = try_to_take(store, str(who), clock)
            held |= {who: taken} if taken else {}
        elif who in held and move == "release":
            held.pop(who).release()
        elif who in held:
            try:
                held[who].renew()
            except LeaseHeldError:
                del held[who]

        assert sum(one.until > clock.now for one in held.values()) <= 1


CONTENDER = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from spatial_assets.stores.objects.leases import lease
from spatial_assets.stores.objects.store import open_store
url, counter, who = sys.argv[1:]
for _ in range(5):
    with lease(open_store(url), "cube/ndvi", owner=who, ttl=timedelta(seconds=60),
               clock=lambda: datetime.now(UTC), wait=timedelta(seconds=60)):
        number = int(Path(counter).read_text())      # lost updates show two holders at once
        Path(counter).write_text(str(number + 1))
"""


def test_processes_that_wait_for_a_lease_take_turns(store: ObjectStore, tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    command = [sys.executable, "-W", "error", "-c", CONTENDER, store.url, str(counter)]

    contenders = [subprocess.Popen([*command, f"process {n}"]) for n in range(4)]

    assert [contender.wait(120) for contender in contenders] == [0, 0, 0, 0]
    assert counter.read_text() == "20"


def test_a_lease_is_released_when_the_block_fails(store: ObjectStore) -> None:
    clock = Clock()
    with (
        pytest.raises(StoreError, match="disk full"),
        lease(store, NAME, owner="ann", ttl=MINUTE, clock=clock),
    ):
        raise StoreError("disk full")

    assert take(store, "bob", clock).owner == "bob"


def test_a_store_that_replaces_what_may_only_be_created_is_refused() -> None:
    with careless_s3() as environment:
        store = open_store("s3://bucket/prefix", environment)

        for _ in range(2):
            with pytest.raises(StoreError, match=r"ignores If-None-Match.*two runs could write"):
                claim_grid(store, "g", grid={})
        with pytest.raises(StoreError, match=r"ignores If-None-Match"):
            require_exclusive_creation(store)


def test_stores_that_keep_writers_apart_are_accepted(store: ObjectStore) -> None:
    require_exclusive_creation(store)
    assert store.list() == ()

    claim_grid(store, "g", grid={})
    assert [each.path for each in store.list()] == [layout.GRID]
