"""What was found in scenes, remembered in the store: no file is looked into twice for nothing.

A verdict stands while the scene and the code that judges it are the same. A refusal stands only
where the scene's fingerprint follows the very bytes, so that mended ones are noticed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spatial_assets.catalog.facts import SceneFacts
from spatial_assets.catalog.fingerprints import AWAY
from spatial_assets.catalog.scene import RejectedScene, Scene, rejected
from spatial_assets.pipeline.fingerprints import fingerprint, rule_of
from spatial_assets.pipeline.stages import CODE_VERSIONS
from spatial_assets.project import Project
from spatial_assets.stores import layout
from spatial_assets.stores.documents import from_json, to_json
from spatial_assets.stores.objects import ObjectStore

OF_THE_MOMENT = frozenset({"forbidden", "missing_object", "refused_by_server", "unreadable_file"})
"""Reasons that say how a file was reached, not what is in it: asked again at every run."""


@dataclass(frozen=True, kw_only=True)
class SceneMemory:
    """What earlier runs found in the files of scenes."""

    project: Project
    store: ObjectStore

    def find(self, scene: Scene) -> SceneFacts | RejectedScene | None:
        """What was found, if scene and judgement are still what they were."""
        data = self.store.find(layout.scene_facts(scene.id))
        if data is None:
            return None
        try:
            document = from_json(data)
            if document["judged_by"] != self._judged_by(scene):
                return None
            refused = document.get("refused")
            if isinstance(refused, Mapping):
                evidence = dict(refused["evidence"])
                return rejected(scene, str(refused["reason"]), str(refused["message"]), **evidence)
            return SceneFacts.from_json(str(document["facts"]))
        except (ValueError, KeyError, TypeError):
            return None  # damaged or of an older version: looked into again

    def keep(self, scene: Scene, found: SceneFacts | RejectedScene) -> None:
        """Remember what was found."""
        document: dict[str, object] = {"judged_by": self._judged_by(scene)}
        if isinstance(found, SceneFacts):
            document["facts"] = found.to_json()
        elif found.reason in OF_THE_MOMENT or not _follows_bytes(scene):
            return
        else:
            document["refused"] = {
                "reason": found.reason,
                "message": found.message,
                "evidence": dict(found.evidence),
            }
        self.store.put(layout.scene_facts(scene.id), to_json(document))

    def _judged_by(self, scene: Scene) -> str:
        """Hash of everything that decides the facts of a scene."""
        rule = rule_of(self.project.sensor.clear)
        most = self.project.checks.most_implausible_share
        return fingerprint("scene", CODE_VERSIONS["scene"], scene.fingerprint, rule, most)


def _follows_bytes(scene: Scene) -> bool:
    """Whether other bytes under the same names would give the scene another fingerprint."""
    return all(source.version not in {AWAY, source.checksum, None} for source in scene.sources)
