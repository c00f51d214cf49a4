"""Conversion of a tile's outcome to Dagster's events, for a run of one tile or of a range.

Events made by hand need version tags, which are built here from the event log.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import dagster as dg

from spatial_assets.assets.asset_keys import (
    asset_key,
    asset_name,
    is_foreign,
    project_tags,
)
from spatial_assets.assets.asset_metadata import (
    LAST_CHANGE,
    PREVIEW,
    STATE,
    MetadataEntry,
    evidence_of,
    link_to_event,
    picture,
    renewed_metadata,
    severity,
    stage_metadata,
)
from spatial_assets.instance.dagster_internals import (
    CODE_VERSION_TAG,
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    DEFAULT_DATA_VERSION,
    NULL_EVENT_POINTER,
    CheckTarget,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)
from spatial_assets.pipeline.outcome import (
    BAD_STATES,
    CheckOutcome,
    StageOutcome,
    State,
    TileOutcome,
)
from spatial_assets.pipeline.stages import chain_of
from spatial_assets.project import Project

PAGE_EVENTS = 500
"""Events read at a time where the newest is not the one sought."""

MAX_NAMED_PARTITIONS = 10_000
"""Partitions named in a query; SQLite allows 32,766 parameters."""

TileEvent: TypeAlias = (
    dg.AssetMaterialization
    | dg.MaterializeResult
    | dg.AssetObservation
    | dg.AssetCheckEvaluation
    | dg.AssetCheckResult
)


@dataclass(frozen=True, kw_only=True)
class RunScope:
    """Tiles, stages and checks of a run."""

    tiles: Sequence[str]
    stages: Sequence[str]
    checks: Collection[dg.AssetCheckKey]
    assets: dg.AssetsDefinition
    """The tile chain."""

    is_single: bool
    """True if the run materializes one partition of the assets, which can be loaded from it."""


class TileEvents:
    """Reports what happened to tiles, as events that fit the run.

    A run of one partition yields a MaterializeResult, whose step output assets downstream in the
    same run can load. A range yields AssetMaterializations made by hand, one per tile, because a
    MaterializeResult covers all partitions of the range at once.
    """

    def __init__(
        self, instance: dg.DagsterInstance, project: Project, *, scope: RunScope, database: str
    ) -> None:
        self._instance = instance
        self._single = scope.is_single
        self._checks = scope.checks
        self._tiles = scope.tiles
        self._specs = {asset_name(project, spec.key): spec for spec in scope.assets.specs}
        self._project = project
        self._chain = chain_of(project)
        self._database = database
        """URL of the database, without a password."""

        self._seen: dict[tuple[str, str | None], LoggedMaterialization | None] = {}
        """(asset, tile or None if the asset is not partitioned) -> its newest materialization."""

        self._logged: dict[str, Mapping[str, str]] = {}
        """Stage -> tile -> data version that the event log had when the run began."""

    def of_tile(self, outcome: TileOutcome) -> Iterator[TileEvent]:
        """Yield the events of one tile: materializations, checks and failures.

        An unchanged tile is materialized again with the same data version: it was inspected and
        is as fresh as its inputs, and its backfill must not count as failed. Downstream assets
        compare data versions, so they do not follow. Its events repeat neither the facts nor the
        picture of those that made it: over the years, nearly all events are of unchanged tiles.
        """
        self._seen = {key: event for key, event in self._seen.items() if key[1] is None}
        for stage in outcome.stages:
            if stage.state in BAD_STATES:
                yield self._observation(stage, outcome)
            else:
                yield self._materialization(stage, outcome)
            yield from self._evaluations(stage, outcome)

    def of_run(self, checks: Iterable[CheckOutcome]) -> Iterator[dg.AssetCheckResult]:
        """Yield the results of checks that cover all tiles."""
        for check in checks:
            key = self._check_key(check)
            if key in self._checks:
                yield dg.AssetCheckResult(
                    asset_key=key.asset_key,
                    check_name=check.check,
                    passed=check.verdict.passed,
                    metadata=evidence_of(check),
                    severity=severity(check),
                )

    def _materialization(self, stage: StageOutcome, outcome: TileOutcome) -> TileEvent:
        table = {"dagster/uri": dg.MetadataValue.text(f"{self._database}#{stage.stage}")}
        if self._is_renewed(stage, outcome.tile):
            facts = {**renewed_metadata(stage), **self._last_change(stage, outcome.tile)}
        else:
            facts = {**stage_metadata(stage, outcome), **self._picture(stage, outcome)}
        metadata = {**table, **facts}
        if self._single:
            version = dg.DataVersion(stage.fingerprint)
            return dg.MaterializeResult(
                asset_key=self._key(stage.stage),
                metadata=metadata,
                data_version=version,
                tags=project_tags(self._project),
            )
        spec = self._specs[stage.stage]
        upstream = [asset_name(self._project, dep.asset_key) for dep in spec.deps]
        inputs = {self._key(name): self._newest(name, outcome.tile) for name in upstream}
        tags = version_tags(spec.code_version, stage.fingerprint, inputs=inputs)
        return dg.AssetMaterialization(
            self._key(stage.stage),
            partition=outcome.tile,
            metadata=metadata,
            tags={**tags, **project_tags(self._project)},
        )

    def _observation(self, stage: StageOutcome, outcome: TileOutcome) -> dg.AssetObservation:
        """Return the event that explains why there is no materialization."""
        metadata = stage_metadata(stage, outcome)
        metadata["standing"] = dg.MetadataValue.bool(stage.standing)
        return dg.AssetObservation(
            self._key(stage.stage),
            partition=outcome.tile,
            metadata=metadata,
            tags=project_tags(self._project),
        )

    def _evaluations(
        self, stage: StageOutcome, outcome: TileOutcome
    ) -> Iterator[dg.AssetCheckEvaluation]:
        """Yield the checks of a stage as evaluations, which can name a partition of a range.

        Those of an unchanged stage too: Dagster counts a check only if it names the newest
        materialization, and a planned check without an evaluation shows as skipped.
        """
        renewed = self._is_renewed(stage, outcome.tile)
        for check in outcome.checks:
            if check.stage == stage.stage and self._check_key(check) in self._checks:
                yield self._evaluation(check, outcome.tile, renewed=renewed)

    def _evaluation(
        self, check: CheckOutcome, tile: str, *, renewed: bool
    ) -> dg.AssetCheckEvaluation:
        newest = self._newest(check.stage, tile)
        # A check that failed keeps its figures: they are what a user acts on.
        is_short = renewed and check.verdict.passed
        return dg.AssetCheckEvaluation(
            asset_key=self._key(check.stage),
            check_name=check.check,
            passed=check.verdict.passed,
            metadata={STATE: str(State.UNCHANGED)} if is_short else evidence_of(check),
            severity=severity(check),
            partition=tile,
            target_materialization_data=newest.target if newest else None,
        )

    def _is_renewed(self, stage: StageOutcome, tile: str) -> bool:
        """Return True if the stage is unchanged and an event in the log has its facts.

        There is none for a tile that was made by the command line, or before the log was lost.
        """
        if stage.state is not State.UNCHANGED:
            return False
        if stage.stage not in self._logged:
            self._logged[stage.stage] = logged_versions(
                self._instance, self._key(stage.stage), self._tiles
            )
        return self._logged[stage.stage].get(tile) == stage.fingerprint

    def _picture(self, stage: StageOutcome, outcome: TileOutcome) -> Mapping[str, MetadataEntry]:
        """Return the preview of the first index, if pixels were computed."""
        if stage.stage != self._chain.indices[0] or not outcome.preview:
            return {}
        return {PREVIEW: picture(outcome.preview, alt=f"{stage.stage} {outcome.tile}")}

    def _last_change(self, stage: StageOutcome, tile: str) -> Mapping[str, MetadataEntry]:
        """Return the link from a renewed first index to the event with its facts and picture."""
        if stage.stage != self._chain.indices[0]:
            return {}
        before = newest_materialization(self._instance, self._project, stage.stage, tile=tile)
        if before is None:
            return {}
        if LAST_CHANGE in before.metadata:
            return {LAST_CHANGE: before.metadata[LAST_CHANGE]}
        key, timestamp = self._key(stage.stage), before.target.timestamp
        shows = "figures and picture" if PREVIEW in before.metadata else "figures"
        return {LAST_CHANGE: link_to_event(key, timestamp, says=shows)}

    def _newest(self, asset: str, tile: str) -> LoggedMaterialization | None:
        """Return the newest materialization that applies to this tile, queried once."""
        key = (asset, tile if asset in self._chain.stages else None)
        if key not in self._seen:
            self._seen[key] = newest_materialization(
                self._instance, self._project, asset, tile=key[1]
            )
        return self._seen[key]

    def _key(self, asset: str) -> dg.AssetKey:
        return asset_key(self._project, asset)

    def _check_key(self, check: CheckOutcome) -> dg.AssetCheckKey:
        return dg.AssetCheckKey(self._key(check.stage), check.check)


@dataclass(frozen=True, kw_only=True)
class LoggedMaterialization:
    """A materialization in the event log."""

    target: CheckTarget
    """Reference to the event, in the form that a check evaluation takes."""

    data_version: str
    metadata: Mapping[str, dg.MetadataValue]


def newest_materialization(
    instance: dg.DagsterInstance, project: Project, asset: str, *, tile: str | None
) -> LoggedMaterialization | None:
    """Return the project's newest materialization of an asset or of one of its tiles, if any."""
    tiles = None if tile is None else [tile]
    filters = dg.AssetRecordsFilter(asset_key(project, asset), asset_partitions=tiles)
    for record in materializations(instance, filters):
        event = record.asset_materialization
        if event is not None and not is_foreign(project, event.tags):
            return LoggedMaterialization(
                target=CheckTarget(
                    storage_id=record.storage_id, run_id=record.run_id, timestamp=record.timestamp
                ),
                data_version=(event.tags or {}).get(DATA_VERSION_TAG, DEFAULT_DATA_VERSION.value),
                metadata=event.metadata,
            )
    return None


def logged_versions(
    instance: dg.DagsterInstance, key: dg.AssetKey, tiles: Sequence[str]
) -> Mapping[str, str]:
    """Return tile -> data version of its newest materialization, in one query for all tiles."""
    found = instance.event_log_storage.get_latest_tags_by_partition(
        key,
        dg.DagsterEventType.ASSET_MATERIALIZATION,
        [DATA_VERSION_TAG],
        asset_partitions=tiles if len(tiles) <= MAX_NAMED_PARTITIONS else None,
    )
    return {tile: tags[DATA_VERSION_TAG] for tile, tags in found.items()}


def materializations(
    instance: dg.DagsterInstance, filters: dg.AssetRecordsFilter
) -> Iterator[dg.EventLogRecord]:
    """Yield the materializations, the newest first; the first is read alone."""
    limit, cursor = 1, None
    while True:
        found = instance.fetch_materializations(filters, limit=limit, cursor=cursor)
        yield from found.records
        if not found.has_more:
            return
        limit, cursor = PAGE_EVENTS, found.cursor


def version_tags(
    code_version: str | None,
    data_version: str,
    *,
    inputs: Mapping[dg.AssetKey, LoggedMaterialization | None],
) -> dict[str, str]:
    """Return the tags that Dagster adds to its own events; without them an asset shows as stale.

    Args:
        code_version: code version of the asset.
        data_version: data version of the materialization.
        inputs: key of each upstream asset -> its materialization that was used; None: none was.
    """
    tags = {
        CODE_VERSION_TAG: code_version or "",
        DATA_VERSION_TAG: data_version,
        DATA_VERSION_IS_USER_PROVIDED_TAG: "true",
    }
    for key, used in inputs.items():
        version = used.data_version if used else DEFAULT_DATA_VERSION.value
        pointer = str(used.target.storage_id) if used else NULL_EVENT_POINTER
        tags[get_input_data_version_tag(key)] = version
        tags[get_input_event_pointer_tag(key)] = pointer
    return tags
