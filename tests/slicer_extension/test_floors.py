"""The library is built in floors: a file imports from floors below, or from its own folder, and never in a circle."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.slicer_extension.conftest import MODULE

LIBRARY = MODULE / "SemGANLib"
README = MODULE.parent / "README.md"


def floors(text: str) -> list[list[str]]:
    """Read the floors of a README, the highest first.

    Returns:
        Names of folders and of files at the top of the library, by floor.
    """
    (block,) = re.findall(r"``text\n(.*?)``", text, re.DOTALL)
    return [line.split("  ")[0].split(" | ") for line in block.splitlines()]


def imports(library: Path) -> dict[str, set[str]]:
    """Find what files of the library import of one another, also inside functions and for types only.

    Returns:
        Names such as `Scene.Records`, by the name of the file that imports them; folders stand for their `__init__`.
    """
    places = {path: list(path.relative_to(library).with_suffix("").parts) for path in sorted(library.rglob("*.py"))}
    names = {path: ".".join(parts).removesuffix("__init__").rstrip(".") for path, parts in places.items()}
    found: dict[str, set[str]] = {}
    for path, name in names.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        statements = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        reached = {target for node in statements for target in targets(node, places[path])}
        found[name] = (reached & set(names.values())) - {"", name}
    return found


def targets(node: ast.ImportFrom, importer: list[str]) -> set[str]:
    """Name what may be files among the things that a statement imports.

    Args:
        importer: folders and name of the file that the statement stands in.
    """
    if node.level:
        base = importer[: -node.level]
    elif str(node.module).split(".")[0] == "SemGANLib":
        base = []
    else:
        return set()
    module = [*base, *str(node.module or "").removeprefix("SemGANLib").strip(".").split(".")]
    place = ".".join(part for part in module if part)
    return {place, *(".".join(filter(None, [place, alias.name])) for alias in node.names)}


def upward(found: dict[str, set[str]], order: list[list[str]]) -> list[str]:
    """List imports that do not go down."""
    height = {name: -number for number, names in enumerate(order) for name in names}

    def unit(file: str) -> str:
        return file.split(".")[0]

    return [
        f"{importer} -> {imported}"
        for importer, names in found.items()
        for imported in sorted(names)
        if unit(importer) != unit(imported) and height[unit(imported)] >= height[unit(importer)]
    ]


def circle(found: dict[str, set[str]]) -> list[str]:
    """Find files that import one another in a circle; empty if there is none."""
    finished: set[str] = set()

    def visit(file: str, above: list[str]) -> list[str]:
        if file in above:
            return above[above.index(file) :]
        for imported in () if file in finished else sorted(found[file]):
            closed = visit(imported, [*above, file])
            if closed:
                return closed
        finished.add(file)
        return []

    return next(filter(None, (visit(file, []) for file in found)), [])


def test_every_folder_and_file_of_the_library_has_a_floor():
    named = [name for names in floors(README.read_text(encoding="utf-8")) for name in names]
    there = {path.stem for path in LIBRARY.iterdir() if path.name[0] not in "_."}
    assert sorted(named) == sorted(there)


def test_no_file_imports_from_its_own_floor_or_a_higher_one():
    assert upward(imports(LIBRARY), floors(README.read_text(encoding="utf-8"))) == []


def test_no_files_import_one_another_in_a_circle():
    found = imports(LIBRARY)
    assert len(found) > 50 and sum(map(len, found.values())) > 100, "the imports are found at all"
    assert circle(found) == []


def test_every_file_has_a_name_of_its_own():
    names = [path.stem for path in LIBRARY.rglob("*.py") if path.stem != "__init__"]
    assert len({name.lower() for name in names}) == len(names)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("from ..Upper.High import thing", ["Lower.Low -> Upper.High"]),
        ("def f():\n    from ..Upper import High", ["Lower.Low -> Upper", "Lower.Low -> Upper.High"]),
        ("from SemGANLib.Upper.High import thing", ["Lower.Low -> Upper.High"]),
        ("from ..Beside import thing", ["Lower.Low -> Beside"]),
        ("from ..Upper import thing", ["Lower.Low -> Upper"]),
        ("from .Other import thing\nfrom ..Ground import thing\nimport json", []),
    ],
)
def test_an_import_upward_is_noticed_wherever_it_stands(tmp_path, statement, expected):
    for name in ("Upper/High", "Lower/Low", "Lower/Other", "Upper/__init__", "Beside", "Ground"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.py").write_text("")
    (tmp_path / "Lower" / "Low.py").write_text(statement)
    assert upward(imports(tmp_path), [["Upper"], ["Lower", "Beside"], ["Ground"]]) == expected


def test_a_circle_is_noticed(tmp_path):
    for name, imported in (("A", "B"), ("B", "C"), ("C", "B")):
        (tmp_path / f"{name}.py").write_text(f"from .{imported} import thing")
    assert circle(imports(tmp_path)) == ["B", "C"]
