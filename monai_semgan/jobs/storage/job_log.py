"""What is logged of problems that nobody foresaw: where they arose, and no values, which may name files or patients."""

from __future__ import annotations

import logging
import traceback


def log_without_values(logger: logging.Logger, error: BaseException) -> None:
    """Log the kind of an exception and the lines of code that it went through."""
    where = "".join(traceback.format_tb(error.__traceback__))
    logger.error("unexpected %s\n%s", type(error).__name__, where)
