"""The shipped model on a real DICOM series, checked against anatomy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monai_semgan.bundle.load import load_bundle
from monai_semgan.inference.segmentation import segment
from monai_semgan.io.reading import read_volume
from monai_semgan.quality.anatomy import check_anatomy

pytestmark = [pytest.mark.real_data, pytest.mark.slow]


def test_preview_of_a_dicom_series_looks_like_a_body(data_folder: Path) -> None:
    bundle = load_bundle(device="cpu")
    volume = read_volume(data_folder / "dicom_ct" / "series")
    found = segment(volume, bundle)
    checks = {check.name: check.ok for check in check_anatomy(found.label, volume.affine, bundle.labels).checks}
    for name in ("liver right of spleen", "right kidney right of left kidney", "liver above right kidney"):
        assert checks[name]
    assert checks["liver in one piece"]
    below_the_lungs = [
        i for i, name in bundle.labels.items() if name not in ("oesophagus", "aorta", "inferior vena cava")
    ]
    index = np.argwhere(np.isin(found.label, below_the_lungs))
    heights = index @ volume.affine[2, :3] + volume.affine[2, 3]
    liver = np.argwhere(found.label == 1) @ volume.affine[2, :3] + volume.affine[2, 3]
    assert heights.max() <= liver.max() + 1e-6, "nothing above the dome of the liver: lungs are empty"
    lung = volume.array < -700
    assert not (lung & (found.label > 0)).sum() > 0.005 * (found.label > 0).sum()
    assert found.domain is None or found.domain.verdict == "in domain"
