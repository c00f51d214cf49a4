"""From a tile's outcome to Dagster's events, for one tile and for a range of tiles.

What Dagster's event log has of an asset, and the version tags that hand-made events need.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import dagster as dg

from spatial_assets.assets.asset_metadata import (
    PREVIEW,
    Told,
    evidence_of,
    picture,
    severity,
    stage_metadata,
)
from spatial_assets.assets.dagster_internals import (
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
from spatial_assets.pipeline.stages import Chain

TileEvent: TypeAlias = (
    dg.AssetMaterialization
    | dg.MaterializeResult
    | dg.AssetObservation
    | dg.AssetCheckEvaluation
    | dg.AssetCheckResult
)


class TileEvents:
    """Says what happened to tiles, in the words that fit the run.

    A run of one partition takes a MaterializeResult: it makes a step output, so that what is
    downstream in the same run can load. A range takes hand-made AssetMaterializations, one a tile:
    a result speaks for all partitions of the range at once.
    """

    def __init__(self, context: dg.AssetExecutionContext, chain: Chain, *, database: str) -> None:
        self._instance = context.instance
        self._single = len(context.partition_keys) == 1
        self._checks = context.selected_asset_check_keys
        self._specs = {spec.key.to_user_string(): spec for spec in context.assets_def.specs}
        self._chain = chain
        self._database = database
        """Where tables are, without a password."""

        self._seen: dict[tuple[str, str | None], Made | None] = {}
        """(asset, tile, None for an asset without tiles) -> its newest materialization."""

    def of(self, outcome: TileOutcome) -> Iterator[TileEvent]:
        """The events of one tile: what exists, what was checked, what went wrong.

        A tile found unchanged is materialized again with the same data version: it was looked
        at and is as fresh as its inputs, and a backfill of it must not count as failed. What is
        downstream goes by data versions and does not follow.
        """
        self._seen = {key: made for key, made in self._seen.items() if key[1] is None}
        for stage in outcome.stages:
            if stage.state in BAD_STATES:
                yield self._observation(stage, outcome)
            else:
                yield self._materialization(stage, outcome)
            yield from self._evaluations(stage.stage, outcome)

    def of_run(self, checks: Iterable[CheckOutcome]) -> Iterator[dg.AssetCheckResult]:
        """The checks of what all tiles add to."""
        for check in checks:
            if dg.AssetCheckKey(dg.AssetKey(check.stage), check.check) in self._checks:
                yield dg.AssetCheckResult(
                    asset_key=check.stage,
                    check_name=check.check,
                    passed=check.verdict.passed,
                    metadata=evidence_of(check),
                    severity=severity(check),
                )

    def _materialization(self, stage: StageOutcome, outcome: TileOutcome) -> TileEvent:
        table = {"dagster/uri": dg.MetadataValue.text(f"{self._database}#{stage.stage}")}
        told = {**table, **stage_metadata(stage, outcome), **self._picture(stage, outcome)}
        if self._single:
            version = dg.DataVersion(stage.fingerprint)
            return dg.MaterializeResult(asset_key=stage.stage, metadata=told, data_version=version)
        spec = self._specs[stage.stage]
        upstream = [dep.asset_key.to_user_string() for dep in spec.deps]
        inputs = {name: self._newest(name, outcome.tile) for name in upstream}
        tags = version_tags(spec.code_version, stage.fingerprint, inputs=inputs)
        return dg.AssetMaterialization(
            stage.stage, partition=outcome.tile, metadata=told, tags=tags
        )

    def _observation(self, stage: StageOutcome, outcome: TileOutcome) -> dg.AssetObservation:
        """What the tile's own page says of why it has no materialization."""
        told = stage_metadata(stage, outcome)
        told["standing"] = dg.MetadataValue.bool(outcome.already_quarantined)
        return dg.AssetObservation(stage.stage, partition=outcome.tile, metadata=told)

    def _evaluations(self, stage: str, outcome: TileOutcome) -> Iterator[dg.AssetCheckEvaluation]:
        """The checks of a stage; Dagster's check results cannot name a partition of a range."""
        for check in outcome.checks:
            key = dg.AssetCheckKey(dg.AssetKey(check.stage), check.check)
            if check.stage == stage and key in self._checks:
                yield self._evaluation(check, outcome.tile)

    def _evaluation(self, check: CheckOutcome, tile: str) -> dg.AssetCheckEvaluation:
        made = self._newest(check.stage, tile)
        return dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(check.stage),
            check_name=check.check,
            passed=check.verdict.passed,
            metadata=evidence_of(check),
            severity=severity(check),
            partition=tile,
            target_materialization_data=made.target if made else None,
        )

    def _picture(self, stage: StageOutcome, outcome: TileOutcome) -> Mapping[str, Told]:
        """The preview of an index; that of the event before, where the pixels are the same."""
        if stage.stage != self._chain.indices[0]:
            return {}
        if outcome.preview:
            return {PREVIEW: picture(outcome.preview, alt=f"{stage.stage} {outcome.tile}")}
        before = newest(self._instance, stage.stage, tile=outcome.tile)
        if before is None or before.data_version != stage.fingerprint:
            return {}
        return {name: value for name, value in before.metadata.items() if name == PREVIEW}

    def _newest(self, asset: str, tile: str) -> Made | None:
        """The newest materialization that this tile can see, looked up once."""
        key = (asset, tile if asset in self._chain.stages else None)
        if key not in self._seen:
            self._seen[key] = newest(self._instance, asset, tile=key[1])
        return self._seen[key]


@dataclass(frozen=True, kw_only=True)
class Made:
    """A materialization as the event log has it."""

    target: CheckTarget
    """It, as a check names what it speaks of."""

    data_version: str
    metadata: Mapping[str, dg.MetadataValue]


def newest(instance: dg.DagsterInstance, asset: str, *, tile: str | None) -> Made | None:
    """The newest materialization of an asset, or of one of its tiles; None: never made."""
    tiles = None if tile is None else [tile]
    wanted = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=tiles)
    for record in instance.fetch_materializations(wanted, limit=1).records:
        event = record.asset_materialization
        if event is not None:
            return Made(
                target=CheckTarget(
                    storage_id=record.storage_id, run_id=record.run_id, timestamp=record.timestamp
                ),
                data_version=(event.tags or {}).get(DATA_VERSION_TAG, DEFAULT_DATA_VERSION.value),
                metadata=event.metadata,
            )
    return None


def version_tags(
    code_version: str | None, data_version: str, *, inputs: Mapping[str, Made | None]
) -> dict[str, str]:
    """The tags that Dagster writes itself where it makes the event: without them it goes stale.

    Args:
        code_version: of the asset.
        data_version: of what was made.
        inputs: what each upstream asset was when this was made from it; None: never made.
    """
    tags = {
        CODE_VERSION_TAG: code_version or "",
        DATA_VERSION_TAG: data_version,
        DATA_VERSION_IS_USER_PROVIDED_TAG: "true",
    }
    for name, made in inputs.items():
        key = dg.AssetKey(name)
        version = made.data_version if made else DEFAULT_DATA_VERSION.value
        pointer = str(made.target.storage_id) if made else NULL_EVENT_POINTER
        tags[get_input_data_version_tag(key)] = version
        tags[get_input_event_pointer_tag(key)] = pointer
    return tags
