"""Fixtures of the tests of data."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest


@pytest.fixture
def radiograph_bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """The tiny bundle as one for radiographs."""
    folder = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, folder)
    for name, section in (("inference", "slices"), ("metadata", "network_data_format")):
        path = folder / "configs" / f"{name}.json"
        content = json.loads(path.read_text())
        if section == "slices":
            content["slices"]["frame"] = "image"
        else:
            content["network_data_format"]["inputs"]["image"]["modality"] = "DX"
        path.write_text(json.dumps(content))
    return folder
