"""A bundle for 13 structures, made by the package: everything that a user gets names, codes and draws all of them."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pydicom
import pytest
import torch
from monai.bundle import ConfigParser
from PIL import Image

from monai_semgan.authoring.create import create_bundle
from monai_semgan.cli import main
from monai_semgan.inference import segmentation as segmentation_module
from monai_semgan.inference.remarks import remarks_on
from monai_semgan.io.reading import read_volume
from monai_semgan.networks.weights import save_weights
from monai_semgan.organs import find_organ
from tests.conftest import TINY_CHANNELS
from tests.dicom_phantoms import datasets, write_series
from tests.phantoms import CENTRE, STRUCTURES, grid, patient, points_of

IDS = list(STRUCTURES)
RADIUS = 14.0


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `semgan bundle new` makes it, with tiny networks of random weights."""
    folder = create_bundle(
        tmp_path_factory.mktemp("bundle") / "abdomen", list(STRUCTURES.values()), size=32, pixel_mm=11.0
    )
    path = folder / "configs" / "inference.json"
    config = json.loads(path.read_text())
    config["generator_def"] |= {"latent_dim": 16, "mapping_layers": 2, "channels": TINY_CHANNELS}
    config["encoder_def"] |= {"channels": [8, 8, 8, 8, 8], "grid": 2}
    if "spatial_channels" in config["encoder_def"]:
        config["encoder_def"]["spatial_channels"] = TINY_CHANNELS["16"]
    config["student_def"] |= {"channels": [8, 8]}
    path.write_text(json.dumps(config))
    torch.manual_seed(0)
    network = ConfigParser(config).get_parsed_content("network_def")
    save_weights(folder / "models" / "model.pt", network.state_dict())
    return folder


def spheres(points: np.ndarray) -> np.ndarray:
    """Ids 1 to 13 at points (..., 3) in RAS mm: one sphere each, apart from one another."""
    label = np.zeros(points.shape[:-1], np.uint8)
    for index in IDS:
        x, z = (index - 1) % 5 - 2, (index - 1) // 5 - 1
        centre = CENTRE + np.array([-45.0 * x, -10.0, 45.0 * z])
        label[((points - centre) ** 2).sum(-1) < RADIUS**2] = index
    return label


@pytest.fixture
def scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DICOM series of the patient, in whom the model finds 13 spheres."""
    affine, shape = grid((6.0, 6.0, 6.0), codes="LPS")
    volume = patient(affine, shape, seed=0)
    path = write_series(tmp_path / "series", datasets(np.round(volume.array), affine))

    def found(bundle: Any, prepared: Any, *_: Any) -> torch.Tensor:
        like = read_volume(path)
        ids = spheres(points_of(like.affine, like.array.shape))
        slices = prepared.geometry.extract(ids.astype(np.float32), "nearest").long()
        return torch.nn.functional.one_hot(slices, len(IDS) + 1).permute(0, 3, 1, 2).float()

    monkeypatch.setattr(segmentation_module, "preview", found)
    return path


def segment(scan: Path, bundle: Path, output: Path, *options: str) -> Path:
    assert main(["segment", str(scan), "--output", str(output), "--bundle", str(bundle), "--quiet", *options]) == 0
    return output


def test_a_dicom_segmentation_holds_every_structure_with_code_and_side(
    scan: Path, bundle: Path, tmp_path: Path
) -> None:
    segments = pydicom.dcmread(segment(scan, bundle, tmp_path / "a.dcm")).SegmentSequence
    assert [item.SegmentLabel for item in segments] == list(STRUCTURES.values())
    codes = [item.SegmentedPropertyTypeCodeSequence[0] for item in segments]
    assert [code.CodeValue for code in codes] == [find_organ(name).kind.value for name in STRUCTURES.values()]
    assert codes[9].CodeMeaning == "Portal vein and splenic vein"
    sides = [getattr(code, "SegmentedPropertyTypeModifierCodeSequence", [None])[0] for code in codes]
    assert [side and side.CodeMeaning for side in sides][-2:] == ["Right", "Left"]


def test_contours_and_named_segments_hold_every_structure(scan: Path, bundle: Path, tmp_path: Path) -> None:
    segment(scan, bundle, tmp_path / "a_rtstruct")
    contours = pydicom.dcmread(next((tmp_path / "a_rtstruct").iterdir()))
    assert [item.ROIName for item in contours.StructureSetROISequence] == list(STRUCTURES.values())
    colours = [tuple(item.ROIDisplayColor) for item in contours.ROIContourSequence]
    assert colours == [find_organ(name).colour for name in STRUCTURES.values()]
    header = segment(scan, bundle, tmp_path / "a.seg.nrrd").read_bytes()[:20_000].decode("latin-1")
    for number, name in enumerate(STRUCTURES.values()):
        assert f"Segment{number}_Name:={name}\n" in header
    assert "SCT^110765007^Portal vein and splenic vein" in header
    assert "SCT^23451007^Adrenal gland~SCT^7771000^Left" in header


def test_files_statistics_report_and_overlay_show_every_structure(scan: Path, bundle: Path, tmp_path: Path) -> None:
    places = {name: tmp_path / name for name in ("split", "report")}
    options = [part for name, place in places.items() for part in (f"--{name}", str(place))]
    options += ["--statistics", str(tmp_path / "s.json"), "--overlay", str(tmp_path / "o.png")]
    segment(scan, bundle, tmp_path / "a.nii.gz", *options)
    files = {path.name.removesuffix(".nii.gz") for path in places["split"].iterdir()}
    statistics = json.loads((tmp_path / "s.json").read_text())
    assert files == set(statistics) >= {"esophagus", "portal_vein_and_splenic_vein", "adrenal_gland_left"}
    sphere = 4 / 3 * np.pi * RADIUS**3
    assert all(value["volume"] == pytest.approx(sphere, rel=0.5) for value in statistics.values())
    report = (places["report"] / "report.html").read_text()
    content = json.loads((places["report"] / "report.json").read_text())
    assert [organ["name"] for organ in content["organs"] if organ["found"]] == list(STRUCTURES.values())
    assert all(f"</span>{name}" in report for name in STRUCTURES.values())
    assert not [check for check in content["anatomy"] if check["name"] in ("aorta volume", "aorta complete")]
    picture = np.asarray(Image.open(tmp_path / "o.png"))
    for name in STRUCTURES.values():  # in the legend, which has as many lines as it needs
        assert (picture == find_organ(name).colour).all(-1).sum() >= 100, name


def test_the_server_names_every_structure(bundle: Path) -> None:
    pytest.importorskip("pydantic")
    from monai_semgan.jobs.models import served_models

    (model,) = served_models([bundle]).values()
    assert {label.id: label.name for label in model.info.labels} == STRUCTURES
    assert len({label.colour for label in model.info.labels}) == len(STRUCTURES)


def test_scans_whose_labels_tell_of_four_structures_are_scored_by_these(
    scan: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    segment(scan, bundle, tmp_path / "truth.nii.gz", "--labels", "liver,right kidney,left kidney,spleen")
    four = {str(index): STRUCTURES[index] for index in (1, 2, 3, 4)}
    means = []
    for labels in ({"labels": four}, {}):
        content = {**labels, "validation": [{"image": "series", "label": "truth.nii.gz"}]}
        (tmp_path / "list.json").write_text(json.dumps(content))
        out = tmp_path / f"out{len(means)}"
        command = ["evaluate", "--data", str(tmp_path / "list.json"), "--out", str(out), "--bundle", str(bundle)]
        assert main([*command, "--no-distance"]) == 0
        scores = json.loads((out / "scores.json").read_text())["patients"][0]["organs"]
        means.append(np.mean([score["dice"] for score in scores.values()]))
        assert len(scores) == (4 if labels else 13)
    assert means[0] == 1.0 and means[1] == pytest.approx(4 / 13)
    assert "adrenal gland: not scored, not named by list" in capsys.readouterr().err


def test_that_nothing_was_found_is_said_without_a_long_list() -> None:
    prepared: Any = SimpleNamespace(modality="CT", not_in_hu="", guessed=False)
    told = [
        remarks_on(dict.fromkeys(names, 0.0), prepared, None, ("CT",), None)[0].text
        for names in (list(STRUCTURES.values()), ["liver", "spleen"])
    ]
    assert "may not show any of the 13 structures of the model, or not be a CT" in told[0]
    assert "may not show liver, spleen, or not be a CT" in told[1]
