"""Twenty rounds of the fault campaign leave the same product as a run without faults."""

from __future__ import annotations

from collections import Counter

import pytest

from chaos.campaign import campaign
from chaos.report import FIGURES, ONLY_S3
from chaos.rounds import Result
from chaos.scenarios import SCENARIOS, SHORT_ROUNDS, short

pytestmark = [
    pytest.mark.servers,
    pytest.mark.timeout(900),
]  # a minute or two where nobody else works


@pytest.fixture(scope="module")
def played() -> tuple[dict[str, object], list[Result]]:
    return campaign(short(), seed=1, small=True)


def test_nothing_is_lost_doubled_torn_or_wrong_in_any_round(
    played: tuple[dict[str, object], list[Result]],
) -> None:
    document, results = played

    assert len(results) == SHORT_ROUNDS
    assert {name: document[name] for name in FIGURES} == dict.fromkeys(FIGURES, 0), document


def test_a_run_completes_with_a_fifth_of_its_requests_faulted_and_less_than_twice_as_many(
    played: tuple[dict[str, object], list[Result]],
) -> None:
    faulted = [result for result in played[1] if result.kind in ONLY_S3]

    assert faulted
    assert not [result for result in faulted if result.unfinished]
    assert all(result.requests < 2 * result.fault_free_requests for result in faulted)


def test_every_kind_of_fault_struck(played: tuple[dict[str, object], list[Result]]) -> None:
    injected: Counter[str] = Counter()
    for result in played[1]:
        injected.update(result.faults)

    assert {result.kind for result in played[1]} == {k.name for k in SCENARIOS if not k.by_dagster}
    assert {"slow_down", "reset", "truncated", "reply_lost", "stall_long", "drop"} <= set(injected)
    assert {"driver_killed", "s3_server_killed", "postgis_killed", "disk_full"} <= set(injected)
    assert injected.total() > 100
