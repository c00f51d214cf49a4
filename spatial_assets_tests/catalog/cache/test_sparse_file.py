"""Sparse files: only written bytes are read, even if a process dies on the way."""

from __future__ import annotations

import multiprocessing
import os
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatial_assets.catalog.cache import sparse_file
from spatial_assets.catalog.cache.sparse_file import (
    MAX_GAP_PAGES,
    MAX_RUN_BYTES,
    MEMORY_BYTES,
    PAGE_BYTES,
    SparseFile,
)

SIZE = 100 * PAGE_BYTES + 77


def made(folder: Path, name: str = "a") -> SparseFile:
    return SparseFile.create(folder / name, size=SIZE, etag="e", first=b"x" * PAGE_BYTES)


def test_a_file_begins_with_its_first_page_and_nothing_else(tmp_path: Path) -> None:
    file = made(tmp_path)

    assert file.has(0, PAGE_BYTES)
    assert not file.has(0, PAGE_BYTES + 1)
    assert file.absent([(0, PAGE_BYTES)]) == []
    assert file.absent([(PAGE_BYTES + 5, PAGE_BYTES + 6)]) == [(PAGE_BYTES, 2 * PAGE_BYTES)]
    assert file.absent([(SIZE - 1, SIZE + 1000)]) == [(100 * PAGE_BYTES, SIZE)]


def test_near_runs_are_one_and_far_ones_are_two(tmp_path: Path) -> None:
    file = made(tmp_path)
    near = [
        (2 * PAGE_BYTES, 3 * PAGE_BYTES),
        ((3 + MAX_GAP_PAGES) * PAGE_BYTES, (4 + MAX_GAP_PAGES) * PAGE_BYTES),
    ]
    far = [
        (2 * PAGE_BYTES, 3 * PAGE_BYTES),
        ((4 + MAX_GAP_PAGES) * PAGE_BYTES, (5 + MAX_GAP_PAGES) * PAGE_BYTES),
    ]

    assert file.absent(near) == [(2 * PAGE_BYTES, (4 + MAX_GAP_PAGES) * PAGE_BYTES)]
    assert file.absent(far) == far


def test_what_is_here_already_is_not_fetched_to_fill_a_gap(tmp_path: Path) -> None:
    file = made(tmp_path)
    file.mark_present((3 * PAGE_BYTES, 4 * PAGE_BYTES))

    assert file.absent([(2 * PAGE_BYTES, 5 * PAGE_BYTES)]) == [
        (2 * PAGE_BYTES, 3 * PAGE_BYTES),
        (4 * PAGE_BYTES, 5 * PAGE_BYTES),
    ]


@settings(max_examples=30, deadline=None)
@given(
    wanted=st.lists(
        st.tuples(st.integers(0, SIZE - 1), st.integers(1, 9 * PAGE_BYTES)), max_size=6
    ),
    here=st.lists(st.integers(0, 99), max_size=20),
)
def test_after_fetching_what_is_absent_all_that_was_wanted_is_here(
    tmp_path_factory: pytest.TempPathFactory, wanted: list[tuple[int, int]], here: list[int]
) -> None:
    file = made(tmp_path_factory.mktemp("sparse"))
    for page in here:
        file.mark_present((page * PAGE_BYTES, (page + 1) * PAGE_BYTES))
    spans = [(start, start + size) for start, size in wanted]

    for start, stop in file.absent(spans):
        assert not any(start <= page * PAGE_BYTES < stop for page in here)
        file.mark_present((start, stop))

    assert file.absent(spans) == []
    assert all(file.has(start, stop) for start, stop in spans)


def test_a_long_run_comes_in_pieces(tmp_path: Path) -> None:
    size = 3 * MAX_RUN_BYTES + 5
    file = SparseFile.create(tmp_path / "a", size=size, etag=None, first=b"")

    pieces = file.absent([(0, size)])

    assert [pieces[0][0], pieces[-1][1]] == [0, size]
    assert all(a[1] == b[0] for a, b in pairwise(pieces))
    assert all(stop - start <= MAX_RUN_BYTES for start, stop in pieces)


def test_what_was_written_and_not_marked_is_absent(tmp_path: Path) -> None:
    made(tmp_path).close()
    child = multiprocessing.get_context("spawn").Process(target=die_writing, args=(tmp_path / "a",))

    child.start()
    child.join()
    found = SparseFile.open(tmp_path / "a")

    assert child.exitcode == 9
    assert found is not None
    assert (found.size, found.etag) == (SIZE, "e")
    assert found.has(5 * PAGE_BYTES, 6 * PAGE_BYTES)
    assert found.read(5 * PAGE_BYTES, 6 * PAGE_BYTES) == b"y" * PAGE_BYTES
    assert found.absent([(6 * PAGE_BYTES, 7 * PAGE_BYTES)]) == [(6 * PAGE_BYTES, 7 * PAGE_BYTES)]
    with found.fetching():
        pass  # the lock died with its holder


def die_writing(path: Path) -> None:
    file = SparseFile.open(path)
    assert file is not None
    with file.fetching():
        file.write(5 * PAGE_BYTES, b"y" * PAGE_BYTES)
        file.mark_present((5 * PAGE_BYTES, 6 * PAGE_BYTES))
        file.write(6 * PAGE_BYTES, b"y" * (PAGE_BYTES // 2))
        os._exit(9)


def test_a_file_from_before_the_machine_started_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path).close()
    monkeypatch.setattr(sparse_file, "boot_id", lambda: "another")

    assert SparseFile.open(tmp_path / "a") is None
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("content", [b"", b"no json", b"x" * SIZE])
def test_a_file_of_something_else_is_not_believed(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)

    assert SparseFile.open(tmp_path / "a") is None


def test_who_comes_second_uses_the_file_of_the_first(tmp_path: Path) -> None:
    first, second = made(tmp_path), made(tmp_path)

    first.write(9 * PAGE_BYTES, b"z" * PAGE_BYTES)
    first.mark_present((9 * PAGE_BYTES, 10 * PAGE_BYTES))

    assert second.has(9 * PAGE_BYTES, 10 * PAGE_BYTES)
    assert second.read(9 * PAGE_BYTES, 9 * PAGE_BYTES + 1) == b"z"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_removed_file_serves_only_readers_that_have_it_open(tmp_path: Path) -> None:
    old = made(tmp_path)
    (tmp_path / "a").unlink()
    new = made(tmp_path)
    new.mark_present((3 * PAGE_BYTES, 4 * PAGE_BYTES))

    assert old.is_removed
    assert not new.is_removed
    assert not old.has(3 * PAGE_BYTES, 4 * PAGE_BYTES)


def test_a_file_in_memory_is_replaced_once_it_holds_too_much() -> None:
    file = SparseFile.in_memory(size=1 << 30, etag=None, first=b"II*")
    before = file.is_removed
    file.write(1 << 20, b"\x01" * (MEMORY_BYTES + 1))

    assert file.has(0, 1) is False, "the first page is not whole"
    assert file.read(0, 3) == b"II*"
    assert (before, file.is_removed) == (False, True)
