"""The server's log when its disk is full."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from monai_semgan.label_app.server.server_log import LogFile


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_costs_lines_of_the_log_and_makes_no_noise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "server.log"
    path.symlink_to("/dev/full")
    file = LogFile(path, maxBytes=10 << 20, backupCount=1)
    file.handle(logging.LogRecord("monai_semgan", logging.INFO, "", 0, "GET 200", None, None))
    assert capsys.readouterr().err == ""
    file.stream = None  # what is left in its buffer cannot be written either
    path.unlink()
    file.handle(logging.LogRecord("monai_semgan", logging.INFO, "", 0, "there is room again", None, None))
    file.close()
    assert path.read_text() == "there is room again\n"
