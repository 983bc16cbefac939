"""`semgan calibrate`, and the score that the bundle gives afterwards."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from monai_semgan.bundle.load import load_bundle
from monai_semgan.cli import main
from monai_semgan.inference.segmentation import segment
from monai_semgan.io.reading import read_volume
from tests.phantoms import grid, patient, save_datalist, save_patient


def test_a_calibrated_bundle_assesses_scans(
    tmp_path: Path, tiny_bundle: Path, ct_scan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    config = bundle / "configs" / "inference.json"
    before = json.loads(config.read_text())
    before.pop("domain", None)
    config.write_text(json.dumps(before))
    volume = read_volume(ct_scan)
    assert segment(volume, load_bundle(bundle)).domain is None
    entries = [save_patient(tmp_path, name, spacing=(8.0, 8.0, 12.0)) for name in ("anna", "ben", "carl")]
    arguments = [
        "--data",
        str(save_datalist(tmp_path, training=entries)),
        "--limit",
        "1",
        "--modes",
        "preview",
        "--quiet",
    ]
    assert main(["calibrate", "--bundle", str(bundle), *arguments, "--limits", "0.001", "0.9"]) == 0
    told = capsys.readouterr()
    assert "preview: scans as they are score 0." in told.out
    assert "1 of 1 would be called unusual" in told.err
    after = json.loads(config.read_text())
    assert {k: v for k, v in after.items() if k != "domain"} == before
    assert set(after["domain"]["priors"]) == {"liver", "right kidney", "left kidney", "spleen"}
    found = segment(volume, load_bundle(bundle))
    assert found.domain is not None and 0 <= found.domain.score <= 1
    assert found.domain.per_slice.shape == (found.probabilities.shape[0],)
    if found.domain.verdict != "in domain":
        assert any("Out-of-domain score" in note for note in found.notes)
    assert set(after["domain"]["weights"]["preview part"]) == {"intercept", "doubt", "pieces"}
    sparse, shape = grid((4.0, 4.0, 5.0), field=(330.0, 240.0, 15.0))
    part = segment(patient(sparse, shape, seed=1), load_bundle(bundle)).domain
    assert part is not None and part.score is not None and "3 slices only, 15 mm high" in part.advice


def test_a_list_that_leaves_organs_out_gives_no_sizes_and_places(tmp_path: Path, tiny_bundle: Path) -> None:
    bundle = Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
    entries = [save_patient(tmp_path, name, spacing=(8.0, 8.0, 12.0)) for name in ("anna", "ben", "carl")]
    listed = save_datalist(tmp_path, training=entries)
    listed.write_text(json.dumps(json.loads(listed.read_text()) | {"labels": {"1": "liver", "4": "spleen"}}))
    arguments = ["--data", str(listed), "--limit", "1", "--modes", "preview", "--every", "3", "--quiet"]
    assert main(["calibrate", "--bundle", str(bundle), *arguments]) == 0
    section = json.loads((bundle / "configs" / "inference.json").read_text())["domain"]
    assert section["priors"] == {} and section["weights"]["preview"]["place"] == 0


def test_a_list_without_labels_leaves_the_bundle_alone(
    tmp_path: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (tiny_bundle / "configs" / "inference.json").read_bytes()
    listed = save_datalist(tmp_path, training=[save_patient(tmp_path, "anna", label=False, spacing=(8.0, 8.0, 12.0))])
    assert main(["calibrate", "--bundle", str(tiny_bundle), "--data", str(listed)]) == 2
    assert "no labelled entry" in capsys.readouterr().err
    assert (tiny_bundle / "configs" / "inference.json").read_bytes() == before
