"""Commands that spell out modalities know all that there are."""

from __future__ import annotations

import pytest

from monai_semgan.cli import main
from monai_semgan.cli.program import build_parser
from monai_semgan.modalities import MODALITIES


@pytest.mark.parametrize("command", [["segment"], ["bundle", "new"], ["plan"]])
def test_every_modality_is_offered(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--help"]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in (*MODALITIES, "XR"))


@pytest.mark.parametrize(
    "rest", [["segment", "a", "--output", "b"], ["bundle", "new", "a", "--labels", "b"], ["plan", "a", "--out", "b"]]
)
def test_a_modality_is_understood_in_any_spelling_and_refused_as_an_option(
    rest: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert build_parser().parse_args([*rest, "--modality", "xr"]).modality == "DX"
    assert main([*rest, "--modality", "PT"]) == 2
    assert "--modality" in capsys.readouterr().err
