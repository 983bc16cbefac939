"""Commands that README and documentation show can be typed as they stand there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from monai_semgan.cli.program import build_parser

PROJECT = Path(__file__).parents[2]

SHELL_BLOCK = re.compile(r"^```(?:sh|bash|console)?\n(.*?)^```", re.MULTILINE | re.DOTALL)


def _commands() -> Iterator[tuple[str, str]]:
    """Pages, and lines of their blocks that begin with `semgan`, those that go on in the next line joined."""
    for page in (PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))):
        for block in SHELL_BLOCK.findall(page.read_text(encoding="utf-8")):
            for line in block.replace("\\\n", " ").splitlines():
                if line.startswith("semgan "):
                    yield page.relative_to(PROJECT).as_posix(), line


@pytest.mark.parametrize(
    ("page", "line"), [pytest.param(*found, id=f"{found[0]}: {found[1][:60]}") for found in _commands()]
)
def test_a_command_in_the_documentation_is_one(page: str, line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    if "..." not in words:
        build_parser().parse_args(words)
