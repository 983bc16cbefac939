"""Commands that spell out modalities know all that there are."""

from __future__ import annotations

import pytest

from monai_semgan.cli import main
from monai_semgan.modalities import MODALITIES


@pytest.mark.parametrize("command", [["segment"], ["bundle", "new"], ["plan"]])
def test_every_modality_is_offered(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--help"]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in MODALITIES)
