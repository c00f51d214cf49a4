"""List what is in quarantine, show why, and let it go."""

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
MAX_LISTED_SUBJECTS = 20  # of a list; the rest is counted

kind_option = click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(QUARANTINE_KINDS),
    help="Only these; may be given several times.",
)
reason_option = click.option(
    "--reason",
    "reasons",
    metavar="CODE",
    multiple=True,
    help="Only what is there for this reason, e.g. not_a_raster; may be given several times.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("quarantine")
def quarantine() -> None:
    """Show what is in quarantine and why, and let it go.

    Scenes, tiles and features whose input is bad in a way that trying again cannot change. They
    are left alone until the input changes, a newer version of the code judges otherwise, or a
    person releases them.
    """


@quarantine.command("list")
@kind_option
@reason_option
@json_option
def list_(*, kinds: tuple[str, ...], reasons: tuple[str, ...], as_json: bool) -> None:
    """List what is in quarantine; nothing is written."""
    with _opened() as (_, held):
        rows = held.rows(kinds=kinds, reasons=reasons)
    if as_json:
        click.echo(_json([_chosen(row, LIST_FIELDS) for row in rows]))
        return
    if not rows:
        click.echo("Nothing is in quarantine." if not (kinds or reasons) else "Nothing like that.")
        return
    console().print(table(LIST_COLUMNS, map(_cells, rows), title=f"{len(rows):,} in quarantine"))


@quarantine.command("show")
@click.argument("subject")
@json_option
def show(*, subject: str, as_json: bool) -> None:
    """Show all that is known of SUBJECT: a scene id, a tile key, or boundary set/feature key."""
    with _opened() as (opened, held):
        rows = held.rows(subjects=[subject])
        told = [_told(opened, held, row) for row in rows]
    if not told:
        raise click.ClickException(_unknown([subject]))
    if as_json:
        click.echo(_json(told))
        return
    for each in told:
        width = max(map(len, each))
        for name, value in each.items():
            shown = value if isinstance(value, str) else _json(value)
            click.echo(f"{name:<{width}}  {mask_secrets(shown)}")


@quarantine.command("release")
@click.argument("subjects", nargs=-1)
@kind_option
@reason_option
def release(*, subjects: tuple[str, ...], kinds: tuple[str, ...], reasons: tuple[str, ...]) -> None:
    """Let SUBJECTS go, or all that is there for a --reason or of a --kind.

    The next run makes them again even if their input is the same; what is still bad comes back.
    """
    from spatial_assets.cli.local_run.run_here import now

    if not (subjects or kinds or reasons):
        message = "name what to release: subjects, --reason or --kind"
        raise click.UsageError(message)
    with _opened() as (_, held):
        rows = held.rows(kinds=kinds, reasons=reasons, subjects=subjects)
        if not rows:
            raise click.ClickException(_unknown(subjects))
        gone = held.release(rows, now=now())
    absent = sorted(set(subjects) - {str(row["subject"]) for row in rows})
    for line in _farewell(gone):
        click.echo(line)
    if absent:
        click.echo(f"Not in quarantine: {format_list(absent, most=MAX_LISTED_SUBJECTS)}.")


@contextmanager
def _opened() -> Iterator[tuple[OpenProject, Quarantine]]:
    """The opened of the project, and what is in quarantine there."""
    from spatial_assets.cli.app.open_project import open_project
    from spatial_assets.pipeline.quarantine import Quarantine

    project = current_project()
    with open_project(project) as opened:
        yield (
            opened,
            Quarantine(grid_id=project.grid_id, store=opened.store, database=opened.database),
        )


def _told(opened: OpenProject, held: Quarantine, row: Row) -> dict[str, object]:
    """A record, what of the area it touches, and what the store says of it."""
    told = _chosen(row, SHOW_FIELDS)
    tiles = _tiles(opened, row)
    if tiles is not None:
        told["tiles"] = tiles
    document = held.document(row) if opened.has_store else None
    told["stored"] = "nothing" if document is None else json.loads(document)
    if document is not None and row["kind"] == "feature":
        told["stored"] = _feature(json.loads(document), row)
    return told


def _feature(document: dict[str, object], row: Row) -> object:
    """The feature of a record among those of its set: with its properties, and its geometry."""
    evidence, features = row["evidence"], document.get("features")
    index = evidence.get("index") if isinstance(evidence, Mapping) else None
    found = features if isinstance(features, list) else []
    return next((each for each in found if each.get("index") == index), "nothing")


def _tiles(opened: OpenProject, row: Row) -> list[str] | None:
    """The tiles that a scene touches; None: it is no scene, or nobody knows where it lies."""
    import shapely

    from spatial_assets.pipeline.quarantine import FOOTPRINT

    evidence = row["evidence"]
    place = evidence.get(FOOTPRINT) if isinstance(evidence, Mapping) else None
    if row["kind"] != "scene" or not isinstance(place, str):
        return None
    footprint = shapely.from_wkt(place)
    project = opened.project
    shapely.prepare(footprint)
    return [
        key
        for key, tile in project.partitioning.tiles.items()
        if footprint.intersects(tile.footprint(project.pixel_grid))
    ]


def _farewell(gone: Iterable[Row]) -> Iterator[str]:
    """What was released, and what happens next."""
    by_kind: dict[str, list[str]] = {}
    for row in gone:
        by_kind.setdefault(str(row["kind"]), []).append(str(row["subject"]))
    next_: Mapping[str, Callable[[list[str]], str]] = {
        "tile": lambda keys: (
            f"made again at the next run, or now: spatial-assets materialize "
            f"--tiles {','.join(keys[:MAX_LISTED_SUBJECTS])}"
        ),
        "scene": lambda _: "looked into again at the next run over tiles that they touch",
        "feature": lambda names: (
            "validated again at the next run, or now: spatial-assets materialize --select "
            + ",".join(sorted({f"validated_{name.partition('/')[0]}" for name in names}))
        ),
    }
    for kind, subjects in sorted(by_kind.items()):
        named = format_list(subjects, most=MAX_LISTED_SUBJECTS)
        yield f"{format_count(len(subjects), kind)} released: {named}."
        yield f"  {next_[kind](subjects)}"


def _unknown(subjects: Iterable[str]) -> str:
    named = f": {', '.join(subjects)}" if subjects else ""
    return f"nothing in quarantine matches{named}; `spatial-assets quarantine list` says what is"


def _cells(row: Row) -> tuple[str, ...]:
    seen = (_moment(row["first_seen"]), _moment(row["last_seen"]))
    href = mask_secrets(str(row["href"] or ""))
    return str(row["kind"]), str(row["subject"]), str(row["reason"]), *seen, href


def _moment(value: object) -> str:
    return f"{value:%Y-%m-%d %H:%M}" if isinstance(value, datetime) else ""


def _chosen(row: Row, names: Iterable[str]) -> dict[str, object]:
    return {
        name: value.isoformat() if isinstance(value := row[name], datetime) else value
        for name in names
    }


def _json(value: object) -> str:
    return mask_secrets(json.dumps(value, indent=2, ensure_ascii=False))
