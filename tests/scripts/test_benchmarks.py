"""Every benchmark tells how it is called, and still finds what it imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

OTHER_ENVIRONMENTS = {
    *("label_client.py", "label_load.py", "label_server.py", "reading_room.py"),
    *("reading_room_loop.py", "slicer_client.py", "warm_server.py", "correction_server.py"),
    "archive.py",
}
"""They need the label server's environment or the extension's; `tests/label_app/test_load.py` runs one there."""

SHARED = {"label_client.py", "correction_timing.py"}
"""Part of others, no command."""

FILES = sorted((REPOSITORY / "benchmarks").glob("*.py"))
HERE = [path for path in FILES if path.name not in OTHER_ENVIRONMENTS | SHARED]


@pytest.mark.slow
def test_every_benchmark_shows_its_help() -> None:
    failed = {}
    for path in HERE:
        run = subprocess.run([sys.executable, str(path), "--help"], capture_output=True, text=True)
        if run.returncode or path.name not in run.stdout:
            failed[path.name] = run.stderr.strip().splitlines()[-1:] or run.stdout.splitlines()[:1]
    assert not failed


@pytest.mark.parametrize("path", [path for path in FILES if path.name not in SHARED], ids=lambda path: path.name)
def test_its_docstring_names_the_command(path: Path) -> None:
    assert f"python benchmarks/{path.name}" in (ast.get_docstring(ast.parse(path.read_text())) or "")


@pytest.mark.parametrize("path", sorted((REPOSITORY / "benchmarks").rglob("*.py")), ids=lambda path: path.name)
def test_the_modules_of_ours_that_it_imports_hold_what_it_wants(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("monai_semgan"):
            continue
        source = REPOSITORY / (node.module or "").replace(".", "/")
        source = source / "__init__.py" if source.is_dir() else source.with_suffix(".py")
        text = source.read_text()
        assert not [alias.name for alias in node.names if alias.name not in text], f"from {node.module}"
