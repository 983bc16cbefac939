"""Times of the command line, and how much of a call is left."""

from __future__ import annotations

import argparse
import time

from monai_semgan.errors import Cancelled

LEAST_SECONDS = 60.0
"""What comes first in a part gets so long even if the part is shorter, so that every part brings something."""


class Part:
    """Time of one call.

    Args:
        seconds: how long; None without an end.
    """

    def __init__(self, seconds: float | None) -> None:
        self.end = None if seconds is None else time.monotonic() + seconds
        self.begun = False

    def left(self) -> float | None:
        """Seconds that a further piece of work may take; None without an end.

        Raises:
            Cancelled: if there are none, and something has been done already.
        """
        if self.end is None:
            return None
        left = self.end - time.monotonic()
        if left <= 0 and self.begun:
            raise Cancelled
        first, self.begun = not self.begun, True
        return max(left, LEAST_SECONDS) if first else left


class Deadline:
    """What a bar asks whether to stop: a clock, in place of Ctrl-C, which ends the scoring of a patient at once.

    Args:
        seconds: until then; None for never.
    """

    def __init__(self, seconds: float | None) -> None:
        self.end = None if seconds is None else time.monotonic() + seconds

    @property
    def cancelled(self) -> bool:
        """Whether the time is over."""
        return self.end is not None and time.monotonic() > self.end

    def __enter__(self) -> Deadline:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def seconds_of(text: str) -> float:
    """Seconds of a time such as 9m, 1h30m or 90.

    Raises:
        ValueError: if it is none.
    """
    total, number = 0.0, ""
    for letter in text.strip().lower():
        if letter in "hms":
            total, number = total + float(number) * {"h": 3600, "m": 60, "s": 1}[letter], ""
        else:
            number += letter
    total += float(number) if number else 0.0
    if not text.strip() or total <= 0:
        raise ValueError(text)
    return total


def time_text(text: str) -> str:
    """Type of options that take a time."""
    try:
        seconds_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 9m or 1h30m") from error
    return text
