"""The house: floors without circles, and every base name once, so that a search finds the room."""

from __future__ import annotations

from collections import Counter

import grimp
import pytest

from tests.conftest import REPOSITORY

PACKAGE = "monai_semgan"


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """Every import of a module of the package by another, those inside functions and for types too."""
    return grimp.build_graph(PACKAGE, cache_dir=None)


def circles(graph: grimp.ImportGraph) -> list[set[str]]:
    """Groups of modules that import each other, by way of others too; doors of packages (`__init__`) left out."""
    modules = {module for module in graph.modules if not graph.find_children(module)}
    reached = {module: graph.find_downstream_modules(module) & modules for module in modules}
    together = ({other for other in reached[module] if module in reached[other]} for module in modules)
    return [group for group in together if group]


def test_no_modules_import_each_other(graph):
    assert circles(graph) == []


def test_a_circle_would_be_noticed(graph):
    changed = grimp.build_graph(PACKAGE, cache_dir=None)
    changed.add_import(importer=f"{PACKAGE}.errors", imported=f"{PACKAGE}.io.nifti")
    assert {f"{PACKAGE}.errors", f"{PACKAGE}.io.nifti"} <= set.union(*circles(changed))


def test_every_base_name_stands_for_one_module():
    files = [path.name for path in (REPOSITORY / PACKAGE).rglob("*.py") if path.name != "__init__.py"]
    assert [name for name, count in Counter(files).items() if count > 1] == []


def test_every_package_says_what_it_holds():
    for path in (REPOSITORY / PACKAGE).rglob("__init__.py"):
        assert path.read_text(encoding="utf-8").startswith('"""'), path
