"""From a tile's outcome to Dagster's events, for one tile and for a range of tiles."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from spatial_assets.assets.facts import (
    CODE_VERSION_TAG,
    DATA_VERSION_TAG,
    picture,
    stage_metadata,
)
from spatial_assets.assets.internals import CheckTarget
from spatial_assets.pipeline.outcome import BAD, CheckOutcome, StageOutcome, State, TileOutcome
from spatial_assets.resources import now

TileEvent = dg.AssetMaterialization | dg.MaterializeResult


class TileEvents:
    """Says what happened to tiles, in the words that fit the run.

    A run of one partition takes a MaterializeResult: it makes a step output, so that what is
    downstream in the same run can load. A range takes hand-made AssetMaterializations, one a tile:
    a result speaks for all partitions of the range at once.
    """

    def __init__(self, context: dg.AssetExecutionContext) -> None:
        self._context = context
        self._single = not context.has_partition_key_range or len(context.partition_keys) == 1
        self._checks = {
            (check.asset_key.to_user_string(), check.name)
            for check in context.selected_asset_check_keys
        }

    def of(self, outcome: TileOutcome) -> Iterator[TileEvent]:
        """The events of one tile: what exists, what was checked, what went wrong.

        A tile found unchanged is materialized again with the same data version: it was looked
        at and is as fresh as its inputs, and a backfill of it must not count as failed. What is
        downstream goes by data versions and does not follow.
        """
        for stage in outcome.stages:
            if stage.state in BAD:
                self._observe(stage, outcome)
            else:
                yield from self._materialize(stage, outcome)

    def _materialize(self, stage: StageOutcome, outcome: TileOutcome) -> Iterator[TileEvent]:
        told = stage_metadata(stage, outcome)
        if outcome.preview and self._is_pictured(stage, outcome):
            told["preview"] = picture(outcome.preview, alt=f"{stage.stage} {outcome.tile}")
        checks = [
            check
            for check in outcome.checks
            if check.stage == stage.stage and (check.stage, check.check) in self._checks
        ]
        if self._single:
            yield dg.MaterializeResult(
                asset_key=stage.stage,
                metadata=told,
                data_version=dg.DataVersion(stage.fingerprint),
                check_results=[_result(check) for check in checks],
            )
            return
        yield dg.AssetMaterialization(
            stage.stage,
            partition=outcome.tile,
            metadata=told,
            tags={
                DATA_VERSION_TAG: stage.fingerprint,
                CODE_VERSION_TAG: self._code_version(stage.stage),
            },
        )
        for check in checks:
            self._evaluate(check, outcome.tile)

    def _is_pictured(self, stage: StageOutcome, outcome: TileOutcome) -> bool:
        """Whether this stage is the one that the preview shows: the first with a share valid."""
        shown = [each.stage for each in outcome.stages if "periods" in each.facts]
        return stage.stage == next(iter(shown), None) and stage.state is State.MATERIALIZED

    def _observe(self, stage: StageOutcome, outcome: TileOutcome) -> None:
        """Note on the tile's own page why it has no materialization."""
        told = stage_metadata(stage, outcome)
        told["standing"] = str(outcome.standing)
        self._context.log_event(
            dg.AssetObservation(stage.stage, partition=outcome.tile, metadata=told)
        )

    def _evaluate(self, check: CheckOutcome, tile: str) -> None:
        """Log a check of one partition; Dagster's check results cannot name one in a range."""
        key = dg.AssetKey(check.stage)
        self._context.log_event(
            dg.AssetCheckEvaluation(
                asset_key=key,
                check_name=check.check,
                passed=check.verdict.passed,
                metadata=_evidence(check),
                severity=_severity(check),
                partition=tile,
                target_materialization_data=self._target(key, tile),
            )
        )

    def _target(self, key: dg.AssetKey, tile: str) -> CheckTarget | None:
        """The materialization a check speaks of; without it the UI shows no status."""
        stored = self._context.instance.get_latest_storage_id_by_partition(
            key, dg.DagsterEventType.ASSET_MATERIALIZATION, {tile}
        )
        if tile not in stored:
            return None
        return CheckTarget(
            storage_id=stored[tile], run_id=self._context.run_id, timestamp=now().timestamp()
        )

    def _code_version(self, stage: str) -> str:
        versions = self._context.assets_def.code_versions_by_key
        return versions.get(dg.AssetKey(stage)) or ""


def _result(check: CheckOutcome) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=check.stage,
        check_name=check.check,
        passed=check.verdict.passed,
        metadata=_evidence(check),
        severity=_severity(check),
    )


def _evidence(check: CheckOutcome) -> dict[str, str | int | float]:
    return dict(check.verdict.evidence)


def _severity(check: CheckOutcome) -> dg.AssetCheckSeverity:
    return dg.AssetCheckSeverity.ERROR if check.severe else dg.AssetCheckSeverity.WARN
