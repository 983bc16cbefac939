"""The library is light to import, and its syntax is that of every Slicer since 5.6."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.slicer_extension.conftest import MODULE

LIBRARY = MODULE / "SemGANLib"


HEAVY = ("torch", "monai", "requests", "numpy", "vtk", "slicer", "qt", "ctk", "SimpleITK", "pydantic", "monai_semgan")


def sources() -> list[Path]:
    """List all files of the library."""
    return sorted(LIBRARY.rglob("*.py"))


def top_imports(path: Path) -> set[str]:
    """Name the packages that a file imports when it is imported itself."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(str(node.module).split(".")[0])
    return found


def test_importing_the_library_pulls_in_nothing_heavy():
    code = "import sys\nbefore = set(sys.modules)\nimport SemGANLib.Logic\nprint(*(set(sys.modules) - before))"
    run = subprocess.run([sys.executable, "-c", code], cwd=MODULE, capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert {
        f"SemGANLib.{name}"
        for name in ("Server.Client", "Server.Nrrd", "Runs.Results", "Runs.Runs", "Datastore.Submission")
    } <= loaded
    packages = {name.split(".")[0] for name in loaded}
    assert not packages & set(HEAVY)
    assert packages - set(sys.stdlib_module_names) <= {"SemGANLib", *_of_the_interpreter()}


def _of_the_interpreter() -> set[str]:
    """Name the third-party modules that any program of this environment loads."""
    code = "import sys; print(*{name.split('.')[0] for name in sys.modules})"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_no_file_imports_more_at_its_top_than_slicer_ships():
    allowed = {*sys.stdlib_module_names, "qt", "ctk", "slicer", "vtk", "numpy", "SemGANLib"}
    for path in [*sources(), MODULE / "SemGAN.py"]:
        assert top_imports(path) <= allowed, path.name


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.name)
def test_the_syntax_is_that_of_python_3_9(path):
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
    for node in ast.walk(tree):
        assert not isinstance(node, getattr(ast, "Match", ())), "match came with 3.10"
        if isinstance(node, ast.Call):
            words = {keyword.arg for keyword in node.keywords}
            assert not words & {"slots", "kw_only"}, "dataclass options of 3.10"
            assert not (getattr(node.func, "id", "") == "zip" and "strict" in words), "zip(strict=) came with 3.10"
    assert not sources_without_future(path), "annotations such as `X | None` need it"


def sources_without_future(path: Path) -> bool:
    """Tell whether annotations would be evaluated at import."""
    text = path.read_text(encoding="utf-8")
    return "from __future__ import annotations" not in text and (" | " in text or "[" in text)
