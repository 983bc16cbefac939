"""Lines for people, and times in words."""

from __future__ import annotations


def say(line: str) -> None:
    """A line for people."""
    print(line, flush=True)


def duration(seconds: float) -> str:
    """A time in words."""
    hours, minutes = divmod(max(1, round(seconds / 60)), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
