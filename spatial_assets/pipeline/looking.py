"""One scene looked into, in a worker: whatever goes wrong is an answer, never an exception."""

from __future__ import annotations

from dataclasses import dataclass

from spatial_assets.catalog.facts import SceneFacts
from spatial_assets.catalog.inspect import inspect_scene
from spatial_assets.catalog.scene import RejectedScene, Scene, rejected
from spatial_assets.pipeline.failures import trouble_of
from spatial_assets.pipeline.outcome import State
from spatial_assets.project import Project
from spatial_assets.project.secrets import mask_secrets


@dataclass(frozen=True)
class NotLookedInto:
    """A scene of which nothing is known: neither good nor bad."""

    reason: str
    """Reason code in snake_case."""

    message: str


def look_into(scene: Scene, *, project: Project) -> SceneFacts | RejectedScene | NotLookedInto:
    """Open the scene's files and judge a sample of their pixels."""
    try:
        return inspect_scene(scene, project)
    except Exception as error:  # noqa: BLE001 - judged by failures.py, the one place for it
        trouble = trouble_of(error)
        message = mask_secrets(f"{type(error).__name__}: {error}")
        if trouble.state is State.QUARANTINED:
            return rejected(scene, trouble.reason, message)
        return NotLookedInto(trouble.reason, message)
