"""What a job tells of its result beside label and maps."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pydantic", reason="needs the environment of the extra label")

from monai_semgan.bundle.load import load_bundle
from monai_semgan.inference.segmentation import segment
from monai_semgan.jobs.workers.describing import contract_result
from tests.inference.test_segmentation import BrightnessStudent
from tests.jobs.conftest import Serve, Server
from tests.phantoms import grid, patient, save_nifti

pytestmark = pytest.mark.label

MakeStudies = Callable[[], Path]


def finished(server: Server, **request: Any) -> dict[str, Any]:
    """Result of a job that has ended well."""
    job = server.submit(**request)
    server.done(job)
    return dict(server.get(f"/jobs/{job}/result").json())


def codes(result: dict[str, Any]) -> list[str]:
    """Kinds of what was found."""
    return [finding["code"] for finding in result["findings"]]


@pytest.fixture(scope="module")
def calibrated(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that judges its results."""
    folder = tmp_path_factory.mktemp("calibrated") / "tiny"
    shutil.copytree(tiny_bundle, folder)
    config = folder / "configs" / "inference.json"
    domain = {"weights": {"preview": {"intercept": 9.0, "doubt": 1.0}, "rendered": {"intercept": 9.0}}}
    config.write_text(json.dumps(json.loads(config.read_text()) | {"domain": domain}))
    return folder


@pytest.fixture(scope="module")
def judging(serve: Serve, make_studies: MakeStudies, calibrated: Path) -> Server:
    """A server whose model judges its results."""
    return serve(make_studies(), bundle=calibrated)


def test_an_mr_for_a_model_of_ct_is_a_warning_with_the_reason_why_it_may_be_called_in_domain(judging: Server) -> None:
    result = finished(judging, image="mr", modality="MR")
    (finding,) = (one for one in result["findings"] if one["code"] == "modality_unlearnt")
    assert finding["level"] == "warning" and finding["labels"] == [] and "learnt from CT" in finding["text"]
    assert result["domain"]["verdict"] == "in domain" and "not at the modality" in finding["text"]
    assert "learnt from CT" in result["domain"]["advice"]
    assert "modality_unlearnt" not in codes(finished(judging, image="ct", modality="CT"))


def test_findings_name_labels_that_were_given_out(judging: Server) -> None:
    result = finished(judging, image="ct", labels=["liver", "spleen"])
    assert {label for one in result["findings"] for label in one["labels"]} <= {1, 4}
    assert all(one["text"] and one["level"] in ("info", "warning") for one in result["findings"])


def test_doubt_of_slices_in_which_nothing_was_found_is_null(calibrated: Path) -> None:
    loaded = load_bundle(calibrated, "cpu")
    object.__setattr__(loaded.preprocessing, "pixel_mm", 12.0)
    loaded.network.student = BrightnessStudent()
    scan = patient(*grid((6.0, 6.0, 8.0)))
    found = segment(scan, loaded)
    told = json.loads(contract_result("0" * 32, 1, found, scan, loaded, loaded.labels, partial=False).model_dump_json())
    empty = ~(found.probabilities.argmax(1) > 0).flatten(1).any(1).numpy()
    assert empty.any() and not empty.all()
    assert [value is None for value in told["doubt_per_slice"]] == empty.tolist()


def test_what_is_found_is_shown_before_right_and_left_are_checked_and_the_label_stays(judging: Server) -> None:
    job = judging.submit(image="ct", modality="CT")
    ended = judging.done(job)
    result = judging.get(f"/jobs/{job}/result").json()
    assert not result["partial"] and result["version"] == ended["result_version"] == 2
    folders = [judging.folder(job) / "result" / str(version) for version in (1, 2)]
    first, last = (json.loads((folder / "result.json").read_text()) for folder in folders)
    assert first["partial"] and first["volumes_ml"] == last["volumes_ml"]
    assert (folders[0] / "label.nrrd").read_bytes() == (folders[1] / "label.nrrd").read_bytes()
    assert "report" in judging.reported(job)["parts"]


def test_a_scan_that_was_cut_says_which_organs_are_not_whole(serve: Serve, tmp_path: Path, calibrated: Path) -> None:
    scan = patient(*grid((6.0, 6.0, 6.0), codes="LAS"), seed=0)
    save_nifti(tmp_path / "low.nii.gz", scan.array[:, :, 14:], scan.affine)
    server = serve(tmp_path, bundle=calibrated)
    result = finished(server, image="low", modality="CT")
    cut = [label for one in result["findings"] if one["code"] == "cut_by_edge" for label in one["labels"]]
    found = [label["id"] for label in result["labels"] if result["volumes_ml"][label["name"]] > 0]
    assert set(cut) <= set(found)
    part = finished(server, image="low", modality="CT", slice_range_mm=[-30, 30])
    assert all(
        "were computed" in one["text"]
        for one in part["findings"]
        if one["code"] == "cut_by_edge" and "end" in one["text"]
    )
