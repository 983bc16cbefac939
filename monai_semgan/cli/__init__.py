"""The `semgan` command. Importing it costs no torch: each subcommand imports what it needs when it runs."""

from __future__ import annotations

from monai_semgan.cli.program import main

__all__ = ["main"]
