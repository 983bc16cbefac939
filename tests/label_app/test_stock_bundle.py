"""MONAI Label's own `BundleInferTask` loads the bundle as it is, and segments."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

pytest.importorskip("monailabel", reason="needs the environment of the extra label")
bundle_task = pytest.importorskip("monailabel.tasks.infer.bundle", reason="needs torchvision", exc_type=ImportError)

pytestmark = pytest.mark.label


@pytest.mark.parametrize("mode", ["preview", "refine"])
@pytest.mark.parametrize("image", ["ct", "mr"])
def test_stock_task_gives_the_labels_of_the_command_line(
    tiny_bundle: Path, studies: Path, image: str, mode: str
) -> None:
    from monai_semgan.bundle.load import load_bundle
    from monai_semgan.inference.segmentation import segment
    from monai_semgan.io.reading import read_volume

    task = bundle_task.BundleInferTask(str(tiny_bundle), {"preload": "false"})
    assert task.is_valid() and task.info()["config"]["mode"] == "preview"
    scan = studies / f"{image}.nii.gz"
    request = {"image": str(scan), "device": "cpu", "mode": mode, "result_extension": ".nii.gz"}
    file, answer = task({**request, "result_dtype": "uint8"})
    assert answer["label_names"] == {"liver": 1, "right kidney": 2, "left kidney": 3, "spleen": 4}
    label = nibabel.load(file)
    expected = segment(read_volume(scan), load_bundle(tiny_bundle, "cpu"), mode).label
    assert expected.any()
    np.testing.assert_array_equal(np.asarray(label.dataobj), expected)
    np.testing.assert_allclose(label.affine, nibabel.load(scan).affine, atol=1e-4)
