"""List, show and release scenes, tiles and features in quarantine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

import click

from spatial_assets.cli.app.console import console, format_count, format_list, table
from spatial_assets.cli.app.open_project import current_project
from spatial_assets.project.secrets import mask_secrets
from spatial_assets.stores.rows import QUARANTINE_KINDS, Row

if TYPE_CHECKING:
    from spatial_assets.cli.app.open_project import OpenProject
    from spatial_assets.pipeline.quarantine import Quarantine


LIST_COLUMNS = ("kind", "subject", "reason", "since", "last seen", "href")
LIST_FIELDS = ("kind", "subject", "reason", "message", "first_seen", "last_seen", "href")
SHOW_FIELDS = (*LIST_FIELDS, "checksum", "code_version", "evidence")
MAX_LISTED_SUBJECTS = 20  # in one line; the rest is counted

kind_option = click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(QUARANTINE_KINDS),
    help="Only this kind; may be repeated.",
)
reason_option = click.option(
    "--reason",
    "reasons",
    metavar="CODE",
    multiple=True,
    help="Only this reason, for example not_a_raster; may be repeated.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("quarantine")
def quarantine() -> None:
    """List, show and release scenes, tiles and features in quarantine.

    Their input is bad in a way that a retry cannot change. They are skipped until the input
    changes, a newer version of the code accepts it, or a user releases them.
    """


@quarantine.command("list")
@kind_option
@reason_option
@json_option
def list_(*, kinds: tuple[str, ...], reasons: tuple[str, ...], as_json: bool) -> None:
    """List scenes, tiles and features in quarantine."""
    with _opened() as (_, quarantined):
        rows = quarantined.rows(kinds=kinds, reasons=reasons)
    if as_json:
        click.echo(_json([_fields(row, LIST_FIELDS) for row in rows]))
        return
    if not rows:
        is_filtered = bool(kinds or reasons)
        click.echo(f"Nothing in quarantine{' matches' if is_filtered else ''}.")
        return
    console().print(table(LIST_COLUMNS, map(_cells, rows), title=f"{len(rows):,} in quarantine"))


@quarantine.command("show")
@click.argument("subject")
@json_option
def show(*, subject: str, as_json: bool) -> None:
    """Show the record of SUBJECT: a scene, a tile, tile/stage, or boundary set/feature key."""
    with _opened() as (opened, quarantined):
        rows = quarantined.rows(subjects=[subject])
        records = [_record(opened, quarantined, row) for row in rows]
    if not records:
        raise click.ClickException(_unknown([subject]))
    if as_json:
        click.echo(_json(records))
        return
    for record in records:
        width = max(map(len, record))
        for name, value in record.items():
            text = value if isinstance(value, str) else _json(value)
            click.echo(f"{name:<{width}}  {mask_secrets(text)}")


@quarantine.command("release")
@click.argument("subjects", nargs=-1)
@kind_option
@reason_option
def release(*, subjects: tuple[str, ...], kinds: tuple[str, ...], reasons: tuple[str, ...]) -> None:
    """Release SUBJECTS, or everything with a --reason or of a --kind.

    The next run processes them again even if their input is unchanged; input that is still bad
    returns to quarantine.
    """
    from spatial_assets.cli.app.clock import now
    from spatial_assets.pipeline import ownership

    if not (subjects or kinds or reasons):
        message = "name what to release: SUBJECTS, --reason or --kind"
        raise click.UsageError(message)
    with _opened() as (opened, quarantined):
        rows = quarantined.rows(kinds=kinds, reasons=reasons, subjects=subjects)
        if not rows:
            raise click.ClickException(_unknown(subjects))
        ownership.claim(opened.project, opened.store, opened.database)
        released = quarantined.release(rows, now=now())
    found = [str(row["subject"]) for row in rows]
    absent = sorted(set(subjects) - {*found, *_tiles_of(found)})
    for line in _release_lines(released):
        click.echo(line)
    if absent:
        click.echo(f"Not in quarantine: {format_list(absent, most=MAX_LISTED_SUBJECTS)}.")


@contextmanager
def _opened() -> Iterator[tuple[OpenProject, Quarantine]]:
    """Open the project and its quarantine."""
    from spatial_assets.cli.app.open_project import open_project
    from spatial_assets.pipeline.quarantine import Quarantine
    from spatial_assets.pipeline.stages import chain_of

    project = current_project()
    with open_project(project) as opened:
        yield (
            opened,
            Quarantine(
                grid_id=project.grid_id,
                store=opened.store,
                database=opened.database,
                stages=chain_of(project).stages,
            ),
        )


def _record(opened: OpenProject, quarantined: Quarantine, row: Row) -> dict[str, object]:
    """Return a record with the tiles it touches and its document in the store."""
    record = _fields(row, SHOW_FIELDS)
    tiles = _tiles(opened, row)
    if tiles is not None:
        record["tiles"] = tiles
    document = quarantined.document(row) if opened.has_store else None
    record["stored"] = "nothing" if document is None else json.loads(document)
    if document is not None and row["kind"] == "feature":
        record["stored"] = _feature(json.loads(document), row)
    return record


def _feature(document: dict[str, object], row: Row) -> object:
    """Find the feature of a record in the document of its set, with properties and geometry."""
    evidence, features = row["evidence"], document.get("features")
    index = evidence.get("index") if isinstance(evidence, Mapping) else None
    found = features if isinstance(features, list) else []
    return next((each for each in found if each.get("index") == index), "nothing")


def _tiles(opened: OpenProject, row: Row) -> list[str] | None:
    """List the tiles that a scene touches; None if not a scene or without a footprint."""
    import shapely

    from spatial_assets.pipeline.quarantine import FOOTPRINT

    evidence = row["evidence"]
    wkt = evidence.get(FOOTPRINT) if isinstance(evidence, Mapping) else None
    if row["kind"] != "scene" or not isinstance(wkt, str):
        return None
    footprint = shapely.from_wkt(wkt)
    project = opened.project
    shapely.prepare(footprint)
    return [
        key
        for key, tile in project.partitioning.tiles.items()
        if footprint.intersects(tile.footprint(project.pixel_grid))
    ]


def _release_lines(released: Iterable[Row]) -> Iterator[str]:
    """Yield lines that name the released subjects and the next step."""
    by_kind: dict[str, list[str]] = {}
    for row in released:
        by_kind.setdefault(str(row["kind"]), []).append(str(row["subject"]))
    next_: Mapping[str, Callable[[list[str]], str]] = {
        "tile": lambda keys: (
            f"recomputed by the next run, or now: spatial-assets materialize "
            f"--tiles {','.join(_tiles_of(keys)[:MAX_LISTED_SUBJECTS])}"
        ),
        "scene": lambda _: "inspected again by the next run over tiles that they touch",
        "feature": lambda names: (
            "validated again by the next run, or now: spatial-assets materialize --select "
            + ",".join(sorted({f"validated_{name.partition('/')[0]}" for name in names}))
        ),
    }
    for kind, subjects in sorted(by_kind.items()):
        named = format_list(subjects, most=MAX_LISTED_SUBJECTS)
        yield f"{format_count(len(subjects), kind)} released: {named}."
        yield f"  {next_[kind](subjects)}"


def _tiles_of(subjects: Iterable[str]) -> list[str]:
    """Return the tiles of subjects, which are tiles or stages of them."""
    return sorted({subject.partition("/")[0] for subject in subjects})


def _unknown(subjects: Iterable[str]) -> str:
    named = f": {', '.join(subjects)}" if subjects else ""
    return f"nothing in quarantine matches{named}; list it with `spatial-assets quarantine list`"


def _cells(row: Row) -> tuple[str, ...]:
    seen = (_minute(row["first_seen"]), _minute(row["last_seen"]))
    href = mask_secrets(str(row["href"] or ""))
    return str(row["kind"]), str(row["subject"]), str(row["reason"]), *seen, href


def _minute(value: object) -> str:
    return f"{value:%Y-%m-%d %H:%M}" if isinstance(value, datetime) else ""


def _fields(row: Row, names: Iterable[str]) -> dict[str, object]:
    return {
        name: value.isoformat() if isinstance(value := row[name], datetime) else value
        for name in names
    }


def _json(value: object) -> str:
    return mask_secrets(json.dumps(value, indent=2, ensure_ascii=False))
