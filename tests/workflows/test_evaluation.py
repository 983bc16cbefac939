"""The bundle's evaluation says what `semgan evaluate` says, of every entry, and of what cannot be scored why."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from monai.bundle import ConfigWorkflow

from monai_semgan.errors import SemganError
from monai_semgan.evaluation.scores import PatientScore, Study
from monai_semgan.evaluation.study import evaluate
from monai_semgan.evaluation.tables import read_study
from tests.phantoms import grid, labels_at, patient, points_of, save_nifti
from tests.workflows.test_inference import overlaid

FAR = (8.0, 8.0, 12.0)


def save(folder: Path, name: str, shift: int = 0, **where: Any) -> dict[str, str]:
    """A scan and its label; where the label is shifted, another Dice comes out."""
    affine, shape = grid(FAR, **where)
    folder.joinpath(name).mkdir(parents=True, exist_ok=True)
    save_nifti(folder / name / "ct.nii.gz", patient(affine, shape, seed=0).array, affine)
    label = np.roll(labels_at(points_of(affine, shape)), shift, 0)
    save_nifti(folder / name / "label.nii.gz", label, affine)
    return {"image": f"{name}/ct.nii.gz", "label": f"{name}/label.nii.gz"}


def write_list(folder: Path, entries: list[dict[str, str]], **more: Any) -> Path:
    path = folder / "list.json"
    path.write_text(json.dumps({"validation": entries, **more}))
    return path


def flow_of(bundle: Path, data: Path, **options: Any) -> ConfigWorkflow:
    options = {"data_list_file_path": str(data), "output_dir": str(data.parent / "out"), **options}
    flow = overlaid(bundle, "evaluate.json", **options)
    flow.initialize()
    return flow


def result(data: Path) -> Study:
    return read_study(data.parent / "out" / "metrics.json")


def dice(scores: tuple[PatientScore, ...]) -> dict[str, float]:
    """By name of the scan and organ."""
    return {f"{score.name} {organ}": found.dice for score in scores for organ, found in score.organs.items()}


def failure_of(flow: ConfigWorkflow) -> SemganError:
    with pytest.raises(RuntimeError) as failure:
        flow.run()
    assert isinstance(failure.value.__cause__, SemganError)
    return failure.value.__cause__


@pytest.mark.parametrize("patients", [("p", "p"), ("p", "q"), ("", "")])
@pytest.mark.parametrize(
    "names",
    [
        {},
        {"labels": {"1": "liver", "2": "right kidney", "3": "left kidney", "4": "spleen"}},
        {"labels": {"4": "liver", "2": "left kidney", "3": "right kidney", "1": "spleen"}},
        {"labels": {"1": "liver"}},
    ],
)
def test_every_entry_is_scored_as_the_command_line_scores_it(
    tiny_bundle: Path, tmp_path: Path, patients: tuple[str, str], names: dict[str, Any]
) -> None:
    entries = [save(tmp_path, "a"), save(tmp_path, "b", shift=3)]
    entries = [{**entry, **({"patient": who} if who else {})} for entry, who in zip(entries, patients, strict=True)]
    data = write_list(tmp_path, entries, **names)
    flow_of(tiny_bundle, data).run()
    expected = evaluate(data, tiny_bundle, section="validation", with_distance=False)
    found = result(data)
    assert [score.name for score in found.patients] == ["a__ct", "b__ct"]
    assert dice(found.patients) == pytest.approx(dice(expected.patients), nan_ok=True)
    assert [s.patient for s in found.patients] == [s.patient for s in expected.patients]
    livers = [score.organs["liver"].dice for score in found.patients]
    assert livers[0] != livers[1] and found.dice == pytest.approx(expected.dice)


@pytest.mark.parametrize("kind", ["elsewhere", "other size", "cut off", "fractions"])
def test_a_label_that_cannot_be_used_is_told_as_the_command_line_tells_it_and_the_others_are_scored(
    tiny_bundle: Path, tmp_path: Path, kind: str
) -> None:
    entries = [save(tmp_path, name, field=(240.0, 240.0, 200.0)) for name in ("a", "b")]
    affine, shape = grid(FAR, field=(240.0, 240.0, 200.0))
    label, place = labels_at(points_of(affine, shape)), tmp_path / "a" / "label.nii.gz"
    if kind == "elsewhere":
        affine[2, 3] += 50
        save_nifti(place, label, affine)
    elif kind == "other size":
        save_nifti(place, label[1:], affine)
    elif kind == "cut off":
        place.write_bytes(place.read_bytes()[:60])
    else:
        save_nifti(place, label + np.float32(0.3), affine)
    data = write_list(tmp_path, entries)
    expected = {s.name: s.problem for s in evaluate(data, tiny_bundle, section="validation").patients}
    assert expected["a__ct"] and not expected["b__ct"]
    error = failure_of(flow_of(tiny_bundle, data))
    assert str(error).startswith("1 of 2 scans failed: a__ct (") and expected["a__ct"] in str(error)
    assert {s.name: s.problem for s in result(data).patients} == expected


def test_a_label_along_other_axes_scores_as_it_does_along_those_of_its_scan(tiny_bundle: Path, tmp_path: Path) -> None:
    entries = [save(tmp_path, name, field=(240.0, 240.0, 200.0)) for name in ("a", "b")]
    affine, shape = grid(FAR, field=(240.0, 240.0, 200.0))
    label = labels_at(points_of(affine, shape))  # square slices: voxel by voxel the turned one would score as nothing
    save_nifti(tmp_path / "a" / "label.nii.gz", np.ascontiguousarray(label.transpose(1, 0, 2)), affine[:, [1, 0, 2, 3]])
    data = write_list(tmp_path, entries)
    flow_of(tiny_bundle, data).run()
    for study in (result(data), evaluate(data, tiny_bundle, section="validation", with_distance=False)):
        turned, straight = ({organ: one.dice for organ, one in score.organs.items()} for score in study.patients)
        assert turned == pytest.approx(straight, nan_ok=True) and any(value > 0 for value in straight.values())


def test_a_scan_that_cannot_be_read_stands_in_the_result_and_the_others_are_scored(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    entries = [{**save(tmp_path, name), "patient": f"who {name}"} for name in ("a", "b")]
    (tmp_path / "a" / "ct.nii.gz").write_bytes(b"no image")
    data = write_list(tmp_path, entries)
    assert "a__ct (" in str(failure_of(flow_of(tiny_bundle, data)))
    first, second = result(data).patients
    assert (first.name, first.patient) == ("a__ct", "who a") and "ct.nii.gz: not a readable" in first.problem
    assert second.organs and not second.problem


def test_evaluators_of_others_raise_after_all_are_scored(tiny_bundle: Path, tmp_path: Path) -> None:
    entries = [save(tmp_path, name) for name in ("a", "b")]
    affine, shape = grid(FAR)
    save_nifti(tmp_path / "a" / "label.nii.gz", np.zeros((3, 3, 3), np.uint8), affine)
    data = write_list(tmp_path, entries)
    flow = flow_of(tiny_bundle, data, **{"evaluator#_target_": "SupervisedEvaluator"})
    assert "1 of 2 scans have no score: a__ct (" in str(failure_of(flow))
    assert result(data).patients[1].organs


@pytest.mark.slow
def test_processes_share_the_scans_of_one_patient_and_tell_the_broken_one(tiny_bundle: Path, tmp_path: Path) -> None:
    entries = [{**save(tmp_path, f"s{number}"), "patient": "p"} for number in range(4)]
    (tmp_path / "s1" / "ct.nii.gz").write_bytes(b"no image")
    data = write_list(tmp_path, entries)
    names = ("inference", "evaluate", "multi_gpu_evaluate")
    files = [str(tiny_bundle / "configs" / f"{name}.json") for name in names]
    options = ["--data_list_file_path", str(data), "--output_dir", str(tmp_path / "out")]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += ["-m", "monai.bundle", "run", "--config_file", str(files), "--bundle_root", str(tiny_bundle), *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode != 0 and "1 of 4 scans failed: s1__ct" in done.stderr
    scores = {score.name: bool(score.problem) for score in result(data).patients}
    assert scores == {"s0__ct": False, "s1__ct": True, "s2__ct": False, "s3__ct": False}
