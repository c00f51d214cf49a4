"""Release of the scenes that a catalogue does not list: the user says that they are gone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import click

from spatial_assets.cli.app.clock import now
from spatial_assets.cli.app.console import format_count, format_list
from spatial_assets.cli.app.open_project import OpenProject
from spatial_assets.cli.local_run.run_here import lease_owner
from spatial_assets.cli.pruning.leftovers import manifest_tile
from spatial_assets.cli.selection.inventory import MANIFEST_READ_THREADS, Inventory
from spatial_assets.pipeline.freshness.scene_register import (
    RELEASE_COMMAND,
    AbsentScenes,
    SceneRegister,
    change_register,
)
from spatial_assets.pipeline.stages import RAW
from spatial_assets.stores import layout
from spatial_assets.stores.objects.manifests import read_manifest

MAX_LISTED_SCENES = 5  # of each kind; the rest is counted

KINDS = {
    "withdrawn": "missing from the catalogue",
    "not_asked_for": "no longer asked for by [scenes] and [area]",
    "unknown": "missing from a catalogue that was not whole, or known only by manifests",
}
"""Kind of `AbsentScenes.document` -> its description for the user."""


def prune_scenes(opened: OpenProject, *, yes: bool) -> None:
    """List the scenes in use that the catalogue does not list, and release them with `yes`.

    Raises:
        SourceUnavailableError: the catalogue did not answer.
        LeaseHeldError: a run is changing the register of scenes.
    """
    inventory = Inventory(opened)
    absent = inventory.absent
    unregistered = stored_scenes(opened) - SceneRegister.load(opened.store).scenes.keys()
    absent = replace(absent, unknown=absent.unknown | (unregistered - inventory.catalogue.listed))
    for line in absent_lines(absent):
        click.echo(line)
    names = absent.withdrawn | absent.not_asked_for | absent.unknown
    if not names:
        click.echo("Nothing to prune: the catalogue lists every scene in use.")
    elif not yes:
        click.echo(f"Nothing was released; to release them: {RELEASE_COMMAND}")
    else:
        release(opened, names)
        released = format_count(len(names), "scene")
        click.echo(
            f"{released} released; the next run of their tiles drops what was made of them: "
            "spatial-assets materialize"
        )


def stored_scenes(opened: OpenProject) -> frozenset[str]:
    """Return the ids of the scenes that the manifests of the store name."""
    paths = (info.path for info in opened.store.list(layout.MANIFESTS_FOLDER))
    keys = [key for path in paths if (key := manifest_tile(path)) is not None]
    with ThreadPoolExecutor(MANIFEST_READ_THREADS) as pool:
        manifests = pool.map(lambda key: read_manifest(opened.store, key), keys)
        return frozenset(name for each in manifests if each for name in each.scenes(RAW))


def absent_lines(absent: AbsentScenes) -> list[str]:
    """Return a line for each kind of absent scenes."""
    return [
        f"{format_count(len(names), 'scene')} {KINDS[kind]}: "
        f"{format_list(names, most=MAX_LISTED_SCENES)}"
        for kind, names in absent.document().items()
        if names
    ]


def release(opened: OpenProject, names: frozenset[str]) -> None:
    """Release scenes; the next poll of the catalogue compares with the tiles again."""

    def change(before: SceneRegister) -> SceneRegister:
        return before.releasing(names)

    change_register(opened.store, change, owner=lease_owner(), clock=now)
    opened.store.delete(layout.catalogue_snapshot())
