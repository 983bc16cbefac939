"""From trained weights to a bundle."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from monai_semgan.bundle import load_bundle, read_record
from monai_semgan.cli import main
from monai_semgan.data.volume import read_volume
from monai_semgan.networks.weights import load_weights, save_weights, with_prefix
from monai_semgan.networks.weights import part as part_of
from monai_semgan.packing import pack_bundle
from monai_semgan.segmentation import segment_volume


@pytest.fixture
def run_folder(tiny_bundle: Path, tmp_path: Path) -> Path:
    """The tiny bundle's weights as a training run leaves them."""
    weights = load_weights(tiny_bundle / "models" / "model.pt")
    for part, stage in (("generator", "gan"), ("encoder", "encoder"), ("student", "student")):
        save_weights(tmp_path / "run" / stage / "weights.pt", with_prefix(part_of(weights, part), part))
        record = {
            "stage": stage,
            "step": 7,
            "metrics": {"dice": 0.5},
            "settings": {"size": 32, "pixel_mm": 11.0},
            "network": {"resample_filter": [1, 3, 3, 1]},
            "data": {"labelled": ["Mrs Smith"], "slices": 3},
        }
        (tmp_path / "run" / stage / "record.json").write_text(json.dumps(record))
    return tmp_path / "run"


def test_a_packed_run_segments_as_the_networks_it_was_made_of(
    run_folder: Path, tiny_bundle: Path, ct_scan: Path, tmp_path: Path
) -> None:
    folder = pack_bundle([run_folder], tmp_path / "bundle")
    volume = read_volume(ct_scan)
    packed, original = (segment_volume(volume, load_bundle(f, "cpu")).label for f in (folder, tiny_bundle))
    assert np.array_equal(packed, original)
    assert [p.name for p in tmp_path.iterdir() if "part" in p.name] == []


def test_names_of_patients_do_not_go_into_the_bundle(run_folder: Path, tmp_path: Path) -> None:
    folder = pack_bundle([run_folder], tmp_path / "bundle")
    assert read_record(folder)["training"]["gan"]["data"] == {"labelled": 1, "slices": 3}
    assert not any(b"Smith" in path.read_bytes() for path in folder.rglob("*.json"))


def test_other_organs_and_modality_are_told(run_folder: Path, tmp_path: Path) -> None:
    names = "left lung,right lung,heart,aorta"
    command = ["pack", str(run_folder), "--out", str(tmp_path / "thorax"), "--labels", names, "--modality", "MR"]
    assert main(command) == 0
    bundle = load_bundle(tmp_path / "thorax", "cpu")
    assert bundle.labels == {1: "left lung", 2: "right lung", 3: "heart", 4: "aorta"}
    assert bundle.modalities == ("MR",)
    assert "organ_cm2" not in bundle.settings["patient"]
    assert bundle.preprocessing.pixel_mm == 11.0
    assert main(["selfcheck", "--bundle", str(bundle.folder), "--out", str(tmp_path / "out"), "--quiet"]) == 0


def test_trouble_is_said_in_one_line_and_leaves_nothing(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bundle"
    commands = {
        "2 label names for 4 classes": [str(run_folder), "--labels", "a,b"],
        "no weights of the encoder": [str(run_folder / "gan"), str(run_folder / "student")],
        "not found": [str(tmp_path / "nowhere")],
    }
    for problem, options in commands.items():
        assert main(["pack", *options, "--out", str(out)]) == 2
        shown = capsys.readouterr().err
        assert problem in shown and shown.count("\n") == 1, shown
        assert not out.exists()
    out.mkdir()
    assert main(["pack", str(run_folder), "--out", str(out)]) == 2
    assert "exists already" in capsys.readouterr().err
