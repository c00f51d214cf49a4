"""One name means one thing: a newcomer who searches for it finds one definition."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator

from spatial_assets_tests.servers.process import REPOSITORY

FACTS = {"INDEX", "PROFILE"}
"""Found by discovery: every module of `indices` and `sensor_profiles` defines its own."""


def public_names(module: ast.Module) -> Iterator[str]:
    """Public classes, type aliases and constants of a module; type variables are left out."""
    for node in module.body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            made_by = getattr(getattr(node.value, "func", None), "id", "")
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            if made_by not in ("TypeVar", "ParamSpec"):
                yield from (name for name in names if name[0].isupper() and name not in FACTS)


def test_no_class_type_alias_or_constant_is_defined_twice() -> None:
    modules = defaultdict(list)
    for path in sorted((REPOSITORY / "spatial_assets").rglob("*.py")):
        for name in public_names(ast.parse(path.read_text())):
            modules[name].append(str(path.relative_to(REPOSITORY)))

    assert {name: places for name, places in modules.items() if len(places) > 1} == {}
