"""A folder of studies under MONAI Label's datastore, without a server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def make_datastore(tmp_path: Path) -> Callable[..., Any]:
    """Makes a datastore whose images are files of no scan with the given names; called again, it opens it anew."""
    from monai_semgan.label_app.datastore import StudiesDatastore

    def make(*names: str) -> StudiesDatastore:
        for name in names:
            (tmp_path / f"{name}.nii.gz").write_bytes(b"image")
        return StudiesDatastore(str(tmp_path), auto_reload=False)

    return make
