"""Months of a tile that a run concerns: those whose inputs differ from the ones they were made of.

A walk through all stages records with each month a hash of all that decided it. While that hash
stays the same, another walk would change nothing there, so that the month is neither read nor
walked: an update costs the same however long the history is. The objects of a few settled months
are verified in each run, in turn; `status --verify` verifies all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from functools import cached_property

from spatial_assets.catalog.stac.duplicates import is_certain
from spatial_assets.pipeline.fingerprints import fingerprint
from spatial_assets.pipeline.run.scenes_of_run import RunScenes
from spatial_assets.pipeline.stages import chain_of
from spatial_assets.pipeline.tile.scene_record import SceneRecord
from spatial_assets.pipeline.tile.task import TileTask
from spatial_assets.project import Project
from spatial_assets.stores.objects.manifests import TileManifest, commit_manifest, read_head
from spatial_assets.stores.objects.store import ObjectStore

VERIFIED_MONTHS = 2
"""Settled months of a tile that each run verifies: enough to notice a lost store within some runs,
few enough to cost little beside an update."""


@dataclass(frozen=True, kw_only=True)
class SettledMonths:
    """Decides which months of the tiles of one run are read and walked."""

    project: Project
    scenes: RunScenes
    settings: Mapping[str, str]
    """Stage -> hash of the settings and the code of this stage and of all before it."""

    now: datetime
    """Decides which settled months are verified."""

    verified: int = VERIFIED_MONTHS

    _hashes: dict[str, str] = field(default_factory=dict, repr=False)
    """Scene -> hash of its record."""

    def concerned(self, task: TileTask, head: TileManifest) -> frozenset[str]:
        """Return the months of a stored tile to read: all of each span that is not settled."""
        inputs = self.inputs_of(task, head.parts)
        spans = {task.span_of(month) for month in head.parts}
        settled = sorted(
            span for span in spans if self._is_settled(span, inputs[span], task=task, head=head)
        )
        turn = self.now.toordinal() * self.verified
        verified = {settled[(turn + n) % len(settled)] for n in range(self.verified) if settled}
        kept = set(settled) - verified
        return frozenset(month for month in head.parts if task.span_of(month) not in kept)

    def narrowed(self, task: TileTask, stored: TileManifest | None) -> TileTask:
        """Return the task with what concerns the months that were read, and new ones."""
        if stored is None:
            return replace(task, unsettled=self.inputs_of(task, ()))
        months = {*stored.parts, *stored.months()} - stored.unread
        elsewhere = {task.span_of(month) for month in stored.unread}
        inputs = self.inputs_of(task, months)
        unsettled = {span: each for span, each in inputs.items() if span not in elsewhere}
        chosen = [
            (scene, size)
            for scene, size in zip(task.scenes, task.raw_bytes, strict=True)
            if task.span_of(scene.solar_day.isoformat()) in unsettled
        ]
        return replace(
            task,
            scenes=tuple(scene for scene, _ in chosen),
            raw_bytes=tuple(size for _, size in chosen),
            unsettled=unsettled,
        )

    def inputs_of(self, task: TileTask, months: Iterable[str]) -> dict[str, str]:
        """Map each span with scenes, product periods or stored months to a hash of its inputs."""
        spans: dict[str, list[str]] = {task.span_of(month): [] for month in months}
        periods: defaultdict[str, list[str]] = defaultdict(list)
        for period in task.product_periods:
            label = task.periods.label(period)
            periods[task.span_of(label)].append(label)
        for scene in task.scenes:
            span = task.span_of(scene.solar_day.isoformat())
            spans.setdefault(span, []).append(self._hash_of(scene))
        accepted = sorted(task.accepted.items())
        tile = [self._same_for_all, task.boundaries, task.tile.shards, accepted]
        whole = fingerprint("settled", *tile)
        return {
            span: fingerprint(
                whole,
                sorted(spans.get(span, ())),
                periods.get(span, ()),
                self._retained(span, task),
            )
            for span in {*spans, *periods}
        }

    def _retained(self, span: str, task: TileTask) -> list[str]:
        """Return what [retention] keeps of a span: nothing, all, or from which day."""
        firsts = (getattr(task.first_kept, each.name) for each in fields(task.first_kept))
        days = [task.periods.first_day(first).isoformat() for first in firsts]
        return [day if task.span_of(day) == span else "" if day > span else "all" for day in days]

    def _is_settled(self, span: str, inputs: str, *, task: TileTask, head: TileManifest) -> bool:
        months = [month for month in head.parts if task.span_of(month) == span]
        found = [head.settled.get(month) for month in months]
        return all(
            each is not None and each.inputs == inputs and not self._concern(each.kept, task.scenes)
            for each in found
        )

    def _concern(self, kept: Sequence[tuple[str, str]], used: Sequence[SceneRecord]) -> bool:
        """Return True if the catalogue says anything of scenes that it did not list before."""
        if not kept:
            return False
        granules = {record.granule for record in used if is_certain(record.granule)}
        return any(granule in granules or self.scenes.knows(name) for name, granule in kept)

    @cached_property
    def _same_for_all(self) -> str:
        chain, sensor = chain_of(self.project), self.project.sensor
        stages = sorted((stage, self.settings[stage]) for stage in chain.stages)
        return fingerprint(self.project.grid_id, stages, sensor.class_band)

    def _hash_of(self, scene: SceneRecord) -> str:
        """Hash all that a walk takes from a scene, once for each scene of the run."""
        if scene.id not in self._hashes:
            self._hashes[scene.id] = fingerprint(
                [scene.id, scene.fingerprint, scene.solar_day.isoformat(), scene.platform],
                [scene.granule, scene.bands, scene.class_band, scene.headers],
                [scene.facts.warnings, scene.facts.figures],
            )
        return self._hashes[scene.id]


def unsettle(store: ObjectStore, key: str) -> None:
    """Let the next run walk every month of a tile, of which an object was found lost.

    The caller holds the lease of the tile.
    """
    head = read_head(store, key)
    if head is not None and head.settled:
        commit_manifest(store, replace(head, settled={}), before=head, versions=head.versions)
