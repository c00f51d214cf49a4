"""Asset checks of the boundary sets in the store and the database; they can also run on demand.

The checks of tiles run within the chain: those of pixels before they are written, those of tables
at the end of a run (assets/run_checks.py).
"""

# No `from __future__ import annotations`: Dagster reads the annotations of what it decorates.

import dagster as dg

from spatial_assets.assets.asset_keys import asset_key
from spatial_assets.assets.run_checks import (
    TABLE_IS_SOUND,
    TABLE_IS_SOUND_DESCRIPTION,
    judge_table,
)
from spatial_assets.project import Project
from spatial_assets.project.sections.products import BoundarySettings
from spatial_assets.resources import DatabaseResource, StoreResource
from spatial_assets.stores import layout


def boundary_checks(project: Project, settings: BoundarySettings) -> list[dg.AssetChecksDefinition]:
    """Return the checks of one `[[boundaries]]` entry."""
    return [
        source_is_whole(project, settings),
        coverage_is_clean(project, settings),
        rows_match_the_source(project, settings),
        table_is_sound(project, settings),
    ]


def source_is_whole(project: Project, settings: BoundarySettings) -> dg.AssetChecksDefinition:
    """Check that the copy in the store is the recorded one."""

    @dg.asset_check(
        asset=asset_key(project, f"raw_{settings.name}"),
        name="copy_is_whole",
        description="The stored copy has the bytes that were read from the source.",
    )
    def check(store: StoreResource) -> dg.AssetCheckResult:
        import hashlib

        from spatial_assets.stores.objects.json import from_json

        opened = store.open()
        recorded = from_json(opened.get(layout.raw_boundaries(settings.name, ".json")))
        data = opened.find(str(recorded["path"]))
        found = "" if data is None else hashlib.sha256(data).hexdigest()
        return dg.AssetCheckResult(
            passed=found == recorded["sha256"],
            metadata={"bytes": len(data or b""), "sha256": found, "noted": str(recorded["sha256"])},
        )

    return check


def coverage_is_clean(project: Project, settings: BoundarySettings) -> dg.AssetChecksDefinition:
    """Check for overlaps and gaps between neighbours, and for quarantined or lost features."""
    most_overlap, most_gap = project.checks.most_overlap_share, project.checks.most_gap_share

    @dg.asset_check(
        asset=asset_key(project, f"validated_{settings.name}"),
        name="topology",
        description=(
            "No feature is in quarantine, neighbours overlap by at most "
            f"{most_overlap:.2%} of the area and leave gaps of at most {most_gap:.2%}, and every "
            "feature of the source is accounted for."
        ),
    )
    def check(store: StoreResource) -> dg.AssetCheckResult:
        from spatial_assets.stores.vectors.validated import read_validated

        data = store.open().get(layout.validated_boundaries(settings.name))
        facts = read_validated(data).attrs
        report, coverage = facts["report"], facts["coverage"]
        area = max(report["area_m2"], 1.0)
        overlap, gap = coverage["overlap_m2"] / area, coverage["gap_m2"] / area
        accounted = report["kept"] + report["quarantined"] == report["features"]
        fits = overlap <= most_overlap and gap <= most_gap
        return dg.AssetCheckResult(
            passed=report["quarantined"] == 0 and fits and accounted,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={
                "features": report["features"],
                "kept": report["kept"],
                "repaired": report["repaired"],
                "quarantined": report["quarantined"],
                "reasons": report["reasons"],
                "overlap_share": overlap,
                "gap_share": gap,
                "gaps": coverage["gaps"],
                "gap_m2": coverage["gap_m2"],
            },
        )

    return check


def rows_match_the_source(project: Project, settings: BoundarySettings) -> dg.AssetChecksDefinition:
    """Check that the table has one row per validated feature, with the same fingerprint."""

    @dg.asset_check(
        asset=asset_key(project, settings.name),
        name="rows_match",
        description="One row per validated feature, with the same key and fingerprint.",
    )
    def check(store: StoreResource, database: DatabaseResource) -> dg.AssetCheckResult:
        from spatial_assets.stores.vectors.validated import read_validated

        data = store.open().get(layout.validated_boundaries(settings.name))
        frame = read_validated(data)
        wanted = dict(zip(frame["key"], frame["feature_fingerprint"], strict=True))
        with database.open(project) as opened:
            rows = opened.rows(settings.name, columns=["boundary_key", "feature_fingerprint"])
        found = {str(row["boundary_key"]): row["feature_fingerprint"] for row in rows}
        differing = sorted(key for key in {*wanted, *found} if wanted.get(key) != found.get(key))
        return dg.AssetCheckResult(
            passed=not differing,
            metadata={"rows": len(rows), "features": len(wanted), "differing": differing[:20]},
        )

    return check


def table_is_sound(project: Project, settings: BoundarySettings) -> dg.AssetChecksDefinition:
    """Check that columns, reference system and spatial index are as declared."""

    @dg.asset_check(
        asset=asset_key(project, settings.name),
        name=TABLE_IS_SOUND,
        description=TABLE_IS_SOUND_DESCRIPTION,
    )
    def check(database: DatabaseResource) -> dg.AssetCheckResult:
        with database.open(project) as opened:
            verdict = judge_table(opened.inspect_table(settings.name))
        return dg.AssetCheckResult(passed=verdict.passed, metadata=dict(verdict.evidence))

    return check
