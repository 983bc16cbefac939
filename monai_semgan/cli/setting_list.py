"""`semgan train --list-settings`: every setting of every stage with its default and meaning."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from typing import Any

from monai_semgan.cli.arguments import say

RUN = "run"
"""What the settings of no stage alone are called."""


class ListSettings(argparse.Action):
    """Print the settings and end, as `--help` does."""

    def __init__(self, option_strings: list[str], dest: str = argparse.SUPPRESS, **kwargs: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=kwargs.get("help"))

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """Print them."""
        say(settings_text(shutil.get_terminal_size((120, 24)).columns))
        parser.exit()


def setting_classes() -> dict[str, type]:
    """Settings dataclass by stage, and that of the run."""
    from monai_semgan.training.stages.stage_registry import budget_shares, find_stage
    from monai_semgan.training.training_settings import TrainSettings

    return {**{name: find_stage(name).settings for name in budget_shares()}, RUN: TrainSettings}


def settings_text(width: int) -> str:
    """The settings as text for a terminal of so many columns."""
    from monai_semgan.utils.field_docs import field_texts

    parts = []
    for name, kind in setting_classes().items():
        parts.append(f"{name} ({kind.__name__})")
        for one in field_texts(kind):
            value = f" = {one.default}" if one.default else ""
            meaning = textwrap.fill(one.meaning, max(40, width), initial_indent=" " * 6, subsequent_indent=" " * 6)
            parts += [f"  {one.name}{value}", meaning]
        parts.append("")
    return "\n".join(parts).rstrip()


def settings_markdown() -> str:
    """The settings as a page of the documentation."""
    from monai_semgan.utils.field_docs import field_texts

    parts = ["# All settings of `semgan train --set`", ""]
    parts += ["`--set NAME=VALUE` takes each of these; `--set gan_batch_size=16` sets that of one stage alone."]
    parts += ["`semgan train --list-settings` prints the same."]
    for name, kind in setting_classes().items():
        parts += ["", f"## {name}", "", f"`{kind.__name__}`", "", "| setting | default | meaning |", "|---|---|---|"]
        parts += [
            f"| `{t.name}` | `{t.default}` | {t.meaning.replace('|', chr(92) + '|')} |" for t in field_texts(kind)
        ]
    return "\n".join(parts) + "\n"
