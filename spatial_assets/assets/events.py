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
    PREVIEW,
    MetadataEntry,
    evidence_of,
    picture,
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
from spatial_assets.pipeline.outcome import BAD_STATES, CheckOutcome, StageOutcome, TileOutcome
from spatial_assets.pipeline.stages import chain_of
from spatial_assets.project import Project

PAGE_EVENTS = 500
"""Events read at a time where the newest is not the one sought."""

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
        self._specs = {asset_name(project, spec.key): spec for spec in scope.assets.specs}
        self._project = project
        self._chain = chain_of(project)
        self._database = database
        """URL of the database, without a password."""

        self._seen: dict[tuple[str, str | None], LoggedMaterialization | None] = {}
        """(asset, tile or None if the asset is not partitioned) -> its newest materialization."""

    def of_tile(self, outcome: TileOutcome) -> Iterator[TileEvent]:
        """Yield the events of one tile: materializations, checks and failures.

        An unchanged tile is materialized again with the same data version: it was inspected and
        is as fresh as its inputs, and its backfill must not count as failed. Downstream assets
        compare data versions, so they do not follow.
        """
        self._seen = {key: event for key, event in self._seen.items() if key[1] is None}
        for stage in outcome.stages:
            if stage.state in BAD_STATES:
                yield self._observation(stage, outcome)
            else:
                yield self._materialization(stage, outcome)
            yield from self._evaluations(stage.stage, outcome)

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
        metadata = {**table, **stage_metadata(stage, outcome), **self._picture(stage, outcome)}
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

    def _evaluations(self, stage: str, outcome: TileOutcome) -> Iterator[dg.AssetCheckEvaluation]:
        """Yield the checks of a stage as evaluations, which can name a partition of a range."""
        for check in outcome.checks:
            if check.stage == stage and self._check_key(check) in self._checks:
                yield self._evaluation(check, outcome.tile)

    def _evaluation(self, check: CheckOutcome, tile: str) -> dg.AssetCheckEvaluation:
        newest = self._newest(check.stage, tile)
        return dg.AssetCheckEvaluation(
            asset_key=self._key(check.stage),
            check_name=check.check,
            passed=check.verdict.passed,
            metadata=evidence_of(check),
            severity=severity(check),
            partition=tile,
            target_materialization_data=newest.target if newest else None,
        )

    def _picture(self, stage: StageOutcome, outcome: TileOutcome) -> Mapping[str, MetadataEntry]:
        """Return the preview of an index; unchanged pixels keep their previous one."""
        if stage.stage != self._chain.indices[0]:
            return {}
        if outcome.preview:
            return {PREVIEW: picture(outcome.preview, alt=f"{stage.stage} {outcome.tile}")}
        before = newest_materialization(
            self._instance, self._project, stage.stage, tile=outcome.tile
        )
        if before is None or before.data_version != stage.fingerprint:
            return {}
        return {name: value for name, value in before.metadata.items() if name == PREVIEW}

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
