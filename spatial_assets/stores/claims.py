"""Claims: the project that a store or a database belongs to, and the reasons to refuse another.

The record in a store is written by `objects/store_claim.py`, that in a database by
`tables/table_claims.py`.
"""

from __future__ import annotations

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

    name_is_set: bool = False
    """True if the project file gives the name; else it is that of the folder."""

    store: str = ""
    """URL of its store; empty: not known yet."""

    store_id: str = ""
    """Identity of that store, which a copy has too; empty: not known yet."""


@dataclass(frozen=True, kw_only=True)
class Claimant:
    """A project that wants to use a store or a database."""

    claim: Claim
    grid_id: str

    @classmethod
    def of(cls, project: Project) -> Self:
        """Return the claimant for a project, whose store is not known yet."""
        name_is_set = project.project.name is not None
        claim = Claim(project=project.name, file=str(project.file), name_is_set=name_is_set)
        return cls(claim=claim, grid_id=project.grid_id)

    def with_store(self, url: str, store_id: str) -> Self:
        """Return the claimant with its store."""
        claim = replace(self.claim, store=mask_secrets(url), store_id=store_id)
        return replace(self, claim=claim)

    def objection(self, found: Claim, place: str) -> str | None:
        """Return why a claim to a place is that of another project; None if it is this project's.

        A project named after its folder, with the place inside, may be renamed, moved or copied
        with it. Elsewhere, two folders of one name count as two projects while both exist on this
        machine, unless the project file gives the name.

        Args:
            found: the claim.
            place: URL of the store or the database.
        """
        if self._came_along(found, place):
            return None
        if found.project != self.claim.project:
            return f"belongs to project {found.project!r} ({found.file})"
        if not self.claim.name_is_set and _is_elsewhere(found.file, self.claim.file):
            return f"belongs to another project {found.project!r}, that of {found.file}"
        return None

    def objection_to_store(self, found: Claim, place: str) -> str | None:
        """Return why the tables of a claim describe another store; None if they describe ours."""
        ours = self.claim
        if not found.store or not ours.store or found.store == ours.store:
            return None
        if self._is_inside(ours.store) and self._came_along(found, place):
            return None
        if found.store_id != ours.store_id or _is_elsewhere(found.store, ours.store):
            return f"describes the store {found.store} of project {found.project!r}"
        return None

    def refusal(self, place: str, objection: str, *, remedies: Iterable[str]) -> str:
        """Message that a place is another project's, with the remedies."""
        given = "" if self.claim.name_is_set else ", the name of its folder"
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

    def _came_along(self, found: Claim, place: str) -> bool:
        """Return True if the place lies in our folder, and the claim is the folder's own."""
        if self.claim.name_is_set or found.name_is_set or not self._is_inside(place):
            return False
        root, other = Path(self.claim.file).parent, Path(found.file)
        is_neighbour = other.parent == root and _is_elsewhere(found.file, self.claim.file)
        return not is_neighbour

    def _is_inside(self, place: str) -> bool:
        """Return True if a store or database lies in our project folder."""
        path = place.removeprefix("duckdb:///")
        return not is_url(path) and Path(path).is_relative_to(Path(self.claim.file).parent)


def _is_elsewhere(theirs: str, ours: str) -> bool:
    """Return True if a recorded path is a file or folder of this machine, and not ours."""
    if is_url(theirs) or not Path(theirs).exists():
        return False
    return is_url(ours) or not Path(ours).exists() or not Path(theirs).samefile(ours)
