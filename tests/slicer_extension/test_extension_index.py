"""What the Extensions Index of 3D Slicer asks of an extension, checked as its published description says.

The addresses of icon and screenshots cannot be opened before the repository is public; that they lead to files of this
repository is checked instead.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
MODULE = REPOSITORY / "slicer_extension" / "SemGAN"
CMAKE = REPOSITORY / "CMakeLists.txt"
ENTRY = REPOSITORY / "SemGAN.json"

SCHEMA = {
    "type": "object",
    "required": ["$schema", "category", "scm_url"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string", "pattern": r"/slicer-extension-catalog-entry-schema-v1\.0\.[12]\.json#?$"},
        "category": {"type": "string"},
        "scm_url": {"type": "string"},
        "scm_revision": {"type": "string"},
        "scm_type": {"enum": ["git", "local"]},
        "build_dependencies": {"type": "array", "items": {"type": "string"}},
        "build_subdirectory": {"type": "string"},
        "enabled": {"type": "boolean"},
        "tier": {"type": "integer", "minimum": 1, "maximum": 5},
    },
}
"""The published fields of an entry."""

LIBRARIES = {"slicer", "vtk", "qt", "ctk", "numpy", "scipy", "SimpleITK", "SampleData", "SemGANLib"}
"""What may be imported beside the standard library."""

AT_FILE_SCOPE = LIBRARIES - {"numpy", "scipy", "SimpleITK", "SampleData", "SemGANLib"}
"""What files import before anything is called."""

SOURCES = sorted(MODULE.rglob("*.py"))


def entry() -> dict[str, Any]:
    """Read the extension's entry in the index."""
    return json.loads(ENTRY.read_text())


def setting(name: str) -> str:
    """Read a quoted variable of the root CMakeLists.txt, found by text as the index finds it."""
    (value,) = re.findall(rf'set\s*\({name}\s*"([^"]+)"[ ]*\)', CMAKE.read_text())
    return value


def test_the_entry_has_the_published_fields() -> None:
    jsonschema.validate(entry(), SCHEMA)
    assert entry()["category"] == "Segmentation" == setting("EXTENSION_CATEGORY")
    assert b"\r" not in ENTRY.read_bytes()


def test_project_and_entry_have_the_same_name() -> None:
    (name,) = re.findall(r"project\s*\(\s*([^\s)]+)", CMAKE.read_text())
    assert name == ENTRY.stem == "SemGAN"
    assert not name.lower().startswith("slicer")


def test_the_repository_is_named_as_extensions_are() -> None:
    address = urlsplit(entry()["scm_url"])
    assert address.scheme == "https" and address.path.endswith(".git")
    assert address.path.split("/")[-1].startswith("Slicer")
    assert entry()["scm_url"] == setting("EXTENSION_HOMEPAGE") + ".git"


def test_dependencies_are_the_same_in_both_places() -> None:
    assert setting("EXTENSION_DEPENDS") == (" ".join(entry()["build_dependencies"]) or "NA")
    assert (REPOSITORY / entry()["build_subdirectory"] / "CMakeLists.txt").is_file()


@pytest.mark.parametrize("name", ["EXTENSION_ICONURL", "EXTENSION_SCREENSHOTURLS"])
def test_pictures_lie_where_their_addresses_say(name: str) -> None:
    owner = urlsplit(setting("EXTENSION_HOMEPAGE")).path
    for url in setting(name).split():
        address = urlsplit(url)
        assert address.scheme == "https" and address.path.startswith(f"{owner}/{entry()['scm_revision']}/")
        picture = REPOSITORY / address.path.removeprefix(f"{owner}/{entry()['scm_revision']}/")
        assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_icon_has_the_usual_size() -> None:
    icon = (MODULE / "Resources" / "Icons" / "SemGAN.png").read_bytes()
    assert struct.unpack(">II", icon[16:24]) == (128, 128)


def test_licence_and_description_are_there() -> None:
    assert "Apache License" in (REPOSITORY / "LICENSE").read_text()
    description = setting("EXTENSION_DESCRIPTION")
    assert 100 < len(description) < 700


def test_the_readme_has_what_reviewers_look_for() -> None:
    text = (REPOSITORY / "slicer_extension" / "README.md").read_text()
    for heading in ("## Modules", "## Tutorial", "## What is sent", "## How to cite", "## Licence"):
        assert heading in text, heading
    for link in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text):
        assert (REPOSITORY / "slicer_extension" / link).is_file(), link
    assert "Sample Data" in text and "not for clinical use" in text


def test_the_checkout_is_small() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    files = [REPOSITORY / name for name in listed.stdout.split("\0") if name]
    assert sum(path.stat().st_size for path in files if path.is_file()) < 100e6


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
class TestSource:
    def test_nothing_runs_at_import(self, path: Path) -> None:
        assert [ast.unparse(node)[:80] for node in ast.parse(path.read_text()).body if runs(node)] == []

    def test_imports_are_of_slicer_or_the_standard_library(self, path: Path) -> None:
        tree = ast.parse(path.read_text())
        assert imported(ast.walk(tree)) <= LIBRARIES | set(sys.stdlib_module_names)
        at_import = [node for top in tree.body if not is_for_types(top) for node in outside_of_functions(top)]
        assert imported(at_import) <= AT_FILE_SCOPE | set(sys.stdlib_module_names)

    @pytest.mark.parametrize("version", [(3, 9), (3, 12)])
    def test_is_python_of_every_slicer_since_5_6(self, path: Path, version: tuple[int, int]) -> None:
        tree = ast.parse(path.read_text(), feature_version=version)
        assert too_new(tree) == []

    def test_lines_end_as_the_index_wants(self, path: Path) -> None:
        assert b"\r" not in path.read_bytes()

    def test_nothing_is_installed_or_printed(self, path: Path) -> None:
        calls = [ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        assert not [call for call in calls if call == "print" or "pip_install" in call or call.startswith("subprocess")]


IMPORT_ALL = """
import importlib, pathlib, sys, types

class AnyModule(types.ModuleType):
    __all__ = []
    def __getattr__(self, name):
        return type(name, (), {})

for name in ("qt", "slicer", "slicer.i18n", "slicer.ScriptedLoadableModule", "vtk"):
    sys.modules[name] = AnyModule(name)
for path in pathlib.Path(".").rglob("*.py"):
    name = ".".join(path.with_suffix("").parts)
    importlib.import_module(name[: -len(".__init__")] if name.endswith(".__init__") else name)
"""
"""Imports all files of the extension, with modules of Slicer that have whatever is asked for."""


@pytest.mark.parametrize("version", ["3.9", "3.10", "3.11", "3.12", "3.13"])
def test_all_files_can_be_imported_by_the_python_of_every_slicer(version: str) -> None:
    of_pyenv = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
    found = [str(path) for path in (shutil.which(f"python{version}"), *of_pyenv) if path]
    working = [path for path in found if subprocess.run([path, "-V"], capture_output=True).returncode == 0]
    if not working:
        pytest.skip(f"Python {version} is not installed")
    done = subprocess.run([working[0], "-B", "-c", IMPORT_ALL], cwd=MODULE, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def runs(node: ast.stmt) -> bool:
    """Tell whether a statement of a file does more than to define: imports, classes, functions, constants."""
    if isinstance(node, (ast.If, ast.Try, ast.With)):
        handlers = [child for handler in getattr(node, "handlers", []) for child in handler.body]
        return any(runs(child) for child in [*node.body, *getattr(node, "orelse", []), *handlers])
    if isinstance(node, ast.Expr):
        return not isinstance(node.value, ast.Constant)
    if isinstance(node, (ast.Assign, ast.AnnAssign)):
        calls = [child for child in ast.walk(node) if isinstance(child, ast.Call)]
        return any(is_effect(call) for call in calls)
    return not isinstance(node, (ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef, ast.Pass))


def is_effect(call: ast.Call) -> bool:
    """Tell whether a call in a constant is more than making a value."""
    name = ast.unparse(call.func)
    harmless = {"TypeVar", "frozenset", "re.compile", "field", "Path", "Path(__file__).resolve", "SCAN.with_suffix"}
    return name not in harmless and not name[:1].isupper()


def is_for_types(node: ast.stmt) -> bool:
    """Tell whether this is `if TYPE_CHECKING:`, which is never so at run time."""
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def outside_of_functions(node: ast.AST) -> list[ast.AST]:
    """List a node and what lies in it and is reached at import."""
    if isinstance(node, (ast.FunctionDef, ast.Lambda)):
        return []
    return [node] + [inner for child in ast.iter_child_nodes(node) for inner in outside_of_functions(child)]


def imported(nodes: Any) -> set[str]:
    """Name the packages that are imported; relative imports are left out."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").split(".")[0])
    return found


def too_new(tree: ast.Module) -> list[str]:
    """List what Python 3.9 reads but cannot run."""
    deferred = any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body)
    found = [] if deferred or not tree.body[1:] else ["annotations are evaluated"]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            keywords = {keyword.arg for keyword in node.keywords}
            name = ast.unparse(node.func)
            if name == "zip" and "strict" in keywords:
                found.append("zip(strict=)")
            if name.endswith("dataclass") and keywords & {"slots", "kw_only"}:
                found.append("dataclass(slots, kw_only)")
        if isinstance(node, ast.ImportFrom) and node.module == "typing":
            newer = {"Self", "TypeAlias", "ParamSpec", "Never", "assert_never", "override"}
            found += [alias.name for alias in node.names if alias.name in newer]
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp) and isinstance(node.value.op, ast.BitOr):
            found += ["X | Y as a value"] if "None" in ast.unparse(node.value) else []
        if isinstance(node, ast.Attribute) and node.attr in {"bit_count", "pairwise", "batched"}:
            found.append(node.attr)
    return found


class TestChecks:
    """The checks notice what they are for."""

    @pytest.mark.parametrize(
        "code", ["print('x')", "x = slicer.app.layout()", "for i in (): pass", "if True:\n    f()", "x = tr('a')"]
    )
    def test_code_at_import(self, code: str) -> None:
        assert any(runs(node) for node in ast.parse(code).body)

    @pytest.mark.parametrize("code", ["X = 1", "'''doc'''", "import os", "class A:\n    x = 1", "T = TypeVar('T')"])
    def test_definitions(self, code: str) -> None:
        assert not any(runs(node) for node in ast.parse(code).body)

    @pytest.mark.parametrize("code", ["x = zip(a, b, strict=True)", "A = int | None", "from typing import Self"])
    def test_new_python(self, code: str) -> None:
        assert too_new(ast.parse(f"from __future__ import annotations\n{code}"))

    def test_heavy_imports(self) -> None:
        tree = ast.parse("import torch\ndef f():\n    from monai.data import x")
        assert imported(ast.walk(tree)) == {"torch", "monai"}
