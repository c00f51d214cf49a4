"""What we take from below Dagster's public surface, and why: the only file that does.

A check of one partition in a range run must name the materialization it speaks of, or the UI
shows no status for it. Dagster fills this in for its own check results, which cannot name a
partition in a range; the class it fills in is not exported.
"""

from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData as CheckTarget,
)

__all__ = ["CheckTarget"]
