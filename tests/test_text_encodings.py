"""No text is read or written in whatever encoding a computer happens to have."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
ROOMS = ("monai_semgan", "scripts", "slicer_extension")


def calls_without_encoding(code: str) -> Iterator[int]:
    """Lines that open a file as text, or read a process as text, without saying in which encoding."""
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.Call):
            continue
        named = {word.arg for word in node.keywords}
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if "encoding" in named or None in named:
            continue
        process = bool(named & {"text", "universal_newlines"}) and method in ("run", "Popen", "check_output")
        places = 1 if method == "write_text" else 0
        text = method in ("read_text", "write_text") and len(node.args) <= places
        if process or text or ((name == "open" or method in ("fdopen", "open")) and _as_text(node, name == "open")):
            yield node.lineno


def _as_text(node: ast.Call, builtin: bool) -> bool:
    """Whether a call of `open` gives a mode of text; methods of that name without a mode open other things."""
    words = [*node.args, *(word.value for word in node.keywords if word.arg == "mode")]
    modes = [word.value for word in words if isinstance(word, ast.Constant) and isinstance(word.value, str)]
    modes = [mode for mode in modes if mode and set(mode) <= set("rwxabt+")]
    return not any("b" in mode for mode in modes) if modes else builtin and len(words) == 1


@pytest.mark.parametrize("room", ROOMS)
def test_every_text_says_its_encoding(room: str) -> None:
    found = [
        f"{path.relative_to(REPOSITORY)}:{line}"
        for path in sorted((REPOSITORY / room).rglob("*.py"))
        for line in calls_without_encoding(path.read_text(encoding="utf-8"))
    ]
    assert not found


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("open(p)", 1), ("open(p, 'w')", 1), ("p.open('a')", 1), ("p.read_text()", 1), ("p.write_text(t)", 1),
        ("subprocess.run(c, text=True)", 1), ("os.fdopen(1, 'w')", 1),
        ("open(p, 'rb')", 0), ("p.open(mode='wb')", 0), ("open(p, encoding='utf-8')", 0), ("p.read_text('utf-8')", 0),
        ("p.write_text(t, encoding='utf-8')", 0), ("subprocess.run(c, encoding='utf-8')", 0), ("Image.open(p)", 0),
    ],
)  # fmt: skip
def test_the_search_finds_what_it_looks_for(code: str, count: int) -> None:
    assert len(list(calls_without_encoding(code))) == count
