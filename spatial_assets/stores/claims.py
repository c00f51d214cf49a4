"""Claims: the project that a store or a database belongs to, and the reasons to refuse another.

The record in a store is written by `objects/store_claim.py`, that in a database by
`tables/table_claims.py`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from spatial_assets.project import Project
from spatial_assets.project.secrets import mask_secrets
from spatial_assets.project.urls import is_url

TAKE_OVER = "spatial-assets claim --yes"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A project, as a store or a database records it."""

    project: str
    """Name of the project."""

    file: str
    """Path of its project file, on the machine that made the claim."""

    store: str = ""
    """URL of its store; empty: not known yet."""

    store_id: str = ""
    """Identity of that store, which a copy has too; empty: not known yet."""


@dataclass(frozen=True, kw_only=True)
class Claimant:
    """A project that wants to use a store or a database."""

    claim: Claim
    grid_id: str

    name_is_set: bool
    """True if the project file gives the name; else it is that of the folder."""

    @classmethod
    def of(cls, project: Project) -> Self:
        """Return the claimant for a project, whose store is not known yet."""
        return cls(
            claim=Claim(project=project.name, file=str(project.file)),
            grid_id=project.grid_id,
            name_is_set=project.project.name is not None,
        )

    def with_store(self, url: str, store_id: str) -> Self:
        """Return the claimant with its store."""
        claim = replace(self.claim, store=mask_secrets(url), store_id=store_id)
        return replace(self, claim=claim)

    def objection(self, found: Claim) -> str | None:
        """Return why a claim is that of another project; None if it is this project's.

        Two folders of one name count as two projects while both exist on this machine, unless the
        project file gives the name.
        """
        if found.project != self.claim.project:
            return f"belongs to project {found.project!r} ({found.file})"
        if not self.name_is_set and _is_elsewhere(found.file, self.claim.file):
            return f"belongs to another project {found.project!r}, that of {found.file}"
        return None

    def objection_to_store(self, found: Claim) -> str | None:
        """Return why the tables of a claim describe another store; None if they describe ours."""
        ours = self.claim
        if not found.store or not ours.store or found.store == ours.store:
            return None
        if found.store_id != ours.store_id or _is_elsewhere(found.store, ours.store):
            return f"describes the store {found.store} of project {found.project!r}"
        return None

    def refusal(self, place: str, objection: str, *, remedies: Iterable[str]) -> str:
        """Message that a place is another project's, with the remedies."""
        given = "" if self.name_is_set else ", the name of its folder"
        return (
            f"{place} {objection}; this is project {self.claim.project!r}{given} "
            f"({self.claim.file}). Nothing was written. {'; or '.join(remedies)}; or, to take it "
            f"over on purpose: {TAKE_OVER}"
        )

    def same_project_remedy(self, found: Claim) -> str:
        """Remedy for one project with two names, such as a renamed or copied folder."""
        return (
            f"if both are one project, in a renamed or copied folder, set "
            f'[project] name = "{found.project}" in {self.claim.file}'
        )


def _is_elsewhere(theirs: str, ours: str) -> bool:
    """Return True if a recorded path is a file or folder of this machine, and not ours."""
    if is_url(theirs) or not os.path.lexists(theirs):
        return False
    return is_url(ours) or not Path(ours).exists() or not Path(theirs).samefile(ours)
