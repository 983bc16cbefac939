"""What was begun with other patients or settings is not gone on with."""

from __future__ import annotations

from pathlib import Path

import pytest
from reproduction.run_state import State
from reproduction.smoke import smoke_plan
from reproduction.training_plan import read_plan

from monai_semgan.errors import SemganError
from tests.conftest import SHIPPED_BUNDLE


def test_a_folder_that_was_begun_with_other_patients_is_refused(tmp_path: Path) -> None:
    plan = smoke_plan(read_plan(SHIPPED_BUNDLE, "1m"))
    State.read(tmp_path, plan, "patients one").update()
    with pytest.raises(SemganError, match="begun with other patients"):
        State.read(tmp_path, plan, "patients two")
    with pytest.raises(SemganError, match="another record or other settings"):
        State.read(tmp_path, plan[:2], "patients one")
    assert State.read(tmp_path, plan, "patients one").content["patients"] == "patients one"
