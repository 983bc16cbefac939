"""Commands that README and documentation show can be typed as they stand there."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from monai_semgan.cli.program import build_parser

PROJECT = Path(__file__).parents[2]

A_UID = "1.2.3"
"""In the place of `$STUDY`, which readers set to the UID of theirs."""

SHELLS = ("", "sh", "bash", "console")
"""Languages of blocks that hold commands."""


def shell_blocks(text: str) -> Iterator[list[str]]:
    """Lines of every block of a page that holds commands, without their indent in a list."""
    language: str | None = None
    lines: list[str] = []
    for line in map(str.strip, text.splitlines()):
        if not line.startswith("```"):
            lines.append(line)
        elif language is None:
            language, lines = line[3:].strip(), []
        else:
            if language in SHELLS:
                yield lines
            language, lines = None, []


def _commands() -> Iterator[tuple[str, str]]:
    """Pages, and lines of their blocks that begin with `semgan`, those that go on in the next line joined."""
    for page in (PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))):
        for block in shell_blocks(page.read_text(encoding="utf-8")):
            for line in "\n".join(block).replace("\\\n", " ").splitlines():
                if line.startswith("semgan "):
                    yield page.relative_to(PROJECT).as_posix(), line


def test_commands_are_found_whatever_blocks_stand_before_them() -> None:
    page = "```json\n{}\n```\nsemgan text\n```sh\nsemgan info\n```\n- so:\n  ```\n  semgan plan\n  ```\n"
    assert list(shell_blocks(page)) == [["semgan info"], ["semgan plan"]]


@pytest.mark.parametrize(
    ("page", "line"), [pytest.param(*found, id=f"{found[0]}: {found[1][:60]}") for found in _commands()]
)
def test_a_command_in_the_documentation_is_one(page: str, line: str) -> None:
    words = shlex.split(line.replace("$STUDY", A_UID), comments=True)[1:]
    if "..." not in words:
        build_parser().parse_args(words)
