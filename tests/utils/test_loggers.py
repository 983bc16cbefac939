"""Loggers of libraries that are kept silent for a while, also by several threads at once."""

from __future__ import annotations

import logging

from monai_semgan.utils.loggers import silenced


def test_a_logger_speaks_again_when_the_last_of_several_blocks_has_ended_in_whatever_order() -> None:
    logger = logging.getLogger("semgan-test-of-silence")
    logger.setLevel(logging.INFO)
    first, second = silenced(logger.name), silenced(logger.name)
    first.__enter__()
    second.__enter__()
    assert not logger.isEnabledFor(logging.CRITICAL)
    first.__exit__(None, None, None)  # as another thread would, whose block began earlier
    assert not logger.isEnabledFor(logging.CRITICAL)
    second.__exit__(None, None, None)
    assert logger.level == logging.INFO
