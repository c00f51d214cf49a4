"""Files, folders and imports stay small enough to be seen at once."""

from __future__ import annotations

import ast
from collections import Counter
from graphlib import TopologicalSorter

import grimp

from spatial_assets_tests.servers.process import REPOSITORY

MAX_LINES = 500
MAX_MODULES = 16
PACKAGE = REPOSITORY / "spatial_assets"
MODULES = sorted(PACKAGE.rglob("*.py"))


def test_a_file_has_at_most_500_lines() -> None:
    files = [
        path
        for name in ("spatial_assets*", "chaos", "benchmarks", "deploy")
        for folder in REPOSITORY.glob(name)
        for path in folder.rglob("*.py")
    ]

    lines = {str(path): len(path.read_text().splitlines()) for path in files}

    assert {path: count for path, count in lines.items() if count > MAX_LINES} == {}


def test_a_folder_holds_at_most_16_modules() -> None:
    modules = Counter(str(path.parent) for path in MODULES if path.name != "__init__.py")

    assert {folder: count for folder, count in modules.items() if count > MAX_MODULES} == {}


def test_every_folder_has_a_docstring() -> None:
    for folder in {path.parent for path in MODULES}:
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text())), folder


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = grimp.build_graph("spatial_assets", exclude_type_checking_imports=True, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}

    TopologicalSorter(imports).prepare()  # raises CycleError with the modules of a circle
