"""A bundle to which structures were added, in the hands of MONAI, of reports and of DICOM."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from monai.bundle import ConfigWorkflow

from monai_semgan.authoring.contents import bundle_files
from monai_semgan.bundle.labels import read_json
from monai_semgan.bundle.load import load_bundle
from monai_semgan.errors import SemganError
from monai_semgan.inference.patient_shape import organ_levels, patient_shape
from monai_semgan.inference.segmentation import segment
from monai_semgan.io.reading import read_volume
from monai_semgan.slicing import model_settings
from monai_semgan.slicing.model_settings import ModelSettings, find_settings
from tests.learning.quiet_bundle import quiet, with_random_head


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With three structures, learnt in two runs."""
    place = tmp_path_factory.mktemp("added")
    old = quiet(tiny_bundle, place / "old")
    ModelSettings(load_bundle(old).preprocessing, load_bundle(old).labels).save(old / "models" / "settings.json")
    once = with_random_head(old, place / "once", "odd tumour", "left odd cyst")
    return with_random_head(once, place / "twice", "odd node")


@pytest.mark.parametrize("mode", ["preview", "refine"])
def test_monai_and_command_line_agree_in_every_voxel(bundle: Path, mode: str, ct_scan: Path, tmp_path: Path) -> None:
    flow = ConfigWorkflow(
        str(bundle / "configs" / "inference.json"),
        workflow_type="infer",
        logging_file=False,
        bundle_root=str(bundle),
        device="cpu",
        dataset_dir=str(ct_scan),
        output_dir=str(tmp_path / "out"),
        **{"displayable_configs#mode": mode},
    )
    flow.initialize()
    assert flow.check_properties() == []
    flow.run()
    flow.finalize()
    written = np.asarray(nibabel.load(next((tmp_path / "out").iterdir())).dataobj)
    found = segment(read_volume(ct_scan), load_bundle(bundle, "cpu"), mode)
    assert {5, 6, 7} <= set(np.unique(written)), "the added structures are found"
    np.testing.assert_array_equal(written, found.label)
    assert set(found.volumes_ml) >= {"odd tumour", "left odd cyst", "odd node"}


def test_the_network_takes_and_gives_what_the_metadata_say(bundle: Path) -> None:
    import torch

    pred = read_json(bundle / "configs" / "metadata.json")["network_data_format"]["outputs"]["pred"]
    with torch.no_grad():
        logits = load_bundle(bundle, "cpu").network(torch.zeros(1, 1, 32, 32))
    assert logits.shape[1] == pred["num_channels"] == len(pred["channel_def"]) == 8
    assert bool(torch.isfinite(logits).all())


def test_the_heads_are_packed_with_the_bundle(bundle: Path) -> None:
    assert bundle / "models" / "added.pt" in list(bundle_files(bundle))


def test_scans_in_the_folder_of_a_bundle_are_not_copied(bundle: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(bundle, old)
    for name in ("data/scan.nii.gz", "eval/scan_seg.nii.gz", "runs/log", "version.json"):
        (old / name).parent.mkdir(exist_ok=True)
        (old / name).write_text("not the model")
    made = with_random_head(old, tmp_path / "made", "odd duct")
    assert {path.name for path in made.iterdir()} <= {"LICENSE", "configs", "docs", "models"}


def test_settings_tell_what_was_added_and_older_versions_refuse_them(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = find_settings(bundle / "models")
    assert kept is not None and kept.added == 3 and kept.labels[7] == "odd node"
    monkeypatch.setattr(model_settings, "SCHEMA", 1)
    with pytest.raises(SemganError, match=r"settings\.json: was made by a newer version .* update"):
        load_bundle(bundle)


def test_a_head_of_another_student_is_refused(bundle: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(bundle, broken)
    path = broken / "configs" / "inference.json"
    path.write_text(path.read_text().replace('"width": 24', '"width": 16'))
    with pytest.raises(SemganError, match=r"weights of another architecture: added\."):
        load_bundle(broken)


def test_synthetic_patients_are_described_by_what_the_generator_knows(bundle: Path) -> None:
    loaded = load_bundle(bundle, "cpu")
    assert organ_levels(patient_shape(loaded), loaded.trained_labels).shape[1] == 4 == len(loaded.trained_labels)
    assert loaded.network.generator.num_classes == 5 and len(loaded.labels) == 7
