"""The files of a run can be read whatever happened to the process that wrote them."""

from __future__ import annotations

from pathlib import Path

import torch

from monai_semgan.networks.weights import save_weights
from monai_semgan.training.engine.run_files import gather_weights


def test_what_a_killed_process_left_half_written_is_no_weights_file(tmp_path: Path) -> None:
    save_weights(tmp_path / "gan" / "weights.pt", {"generator.bias": torch.ones(2)})
    for place in (tmp_path, tmp_path / "gan"):
        (place / ".e041f97d.part.model.pt").write_bytes(b"half")
    assert list(gather_weights(tmp_path)) == ["generator.bias"]
    assert list(gather_weights(tmp_path / "gan")) == ["generator.bias"]
