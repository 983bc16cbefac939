"""The shipped bundle passes the verification of MONAI and of the model zoo, and faults are told in one line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow

from monai_semgan.authoring.create import create_bundle, measured_formats
from monai_semgan.authoring.fill import fill_bundle
from monai_semgan.authoring.pack import pack_bundle
from monai_semgan.bundle.labels import organ_labels
from monai_semgan.bundle.load import load_bundle
from monai_semgan.errors import SemganError
from monai_semgan.workflows.one_line_errors import one_line_errors, tell
from monai_semgan.workflows.overrides import check_overrides
from tests.conftest import REPOSITORY, SHIPPED_BUNDLE

DEVICES = 5e-4
"""Differences of Dice between devices, some of which compute with bfloat16."""


def monai(bundle: Path, command: str, *options: str) -> subprocess.CompletedProcess[str]:
    """A command of `monai.bundle`, run in the folder of a bundle as a user does."""
    line = [sys.executable, "-m", "monai.bundle", command, *options]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(line, cwd=bundle, env=environment, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("which", ["shipped", "packed"])
def test_every_step_of_the_zoos_verification_passes(which: str, tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = SHIPPED_BUNDLE if which == "shipped" else unpacked(tiny_bundle, tmp_path)
    environment = {**os.environ, "PYTHON": sys.executable}
    script = str(REPOSITORY / "bundles" / "verify.sh")
    done = subprocess.run(["sh", script, str(bundle)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 12 and all(line.startswith("ok ") for line in lines)


def unpacked(tiny_bundle: Path, folder: Path) -> Path:
    """A new bundle of four labels with the tiny networks, as others unpack it."""
    made = create_bundle(folder / "mine", ["a", "b", "c", "d"])
    archive = pack_bundle(fill_bundle(made, [tiny_bundle / "models" / "model.pt"]), folder / "mine.zip")
    zipfile.ZipFile(archive).extractall(folder / "hub")
    return folder / "hub" / "mine"


def test_verification_finds_faults(tmp_path: Path) -> None:
    bundle = tmp_path / "broken"
    shutil.copytree(SHIPPED_BUNDLE, bundle, ignore=shutil.ignore_patterns("models"))
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    metadata["version"] = "9.9.9"
    (bundle / "configs" / "metadata.json").write_text(json.dumps(metadata))
    (bundle / "LICENSE").unlink()
    command = [sys.executable, str(REPOSITORY / "scripts" / "verify_bundle.py"), str(bundle)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "FAILED files are there: LICENSE, models/model.pt" in done.stdout
    assert "FAILED version in changelog: 9.9.9 is missing" in done.stdout
    assert "ok     readme sections" in done.stdout


@pytest.mark.slow
def test_onnx_gives_the_logits_of_the_network(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    model = tmp_path / "model.onnx"
    options = ("--net_id", "network_def", "--filepath", str(model), "--ckpt_file", "models/model.pt")
    files = ("--meta_file", "configs/metadata.json", "--config_file", "configs/inference.json")
    done = monai(SHIPPED_BUNDLE, "onnx_export", *options, *files, "--input_shape", "[1,1,128,128]")
    assert done.returncode == 0, done.stderr[-2000:]
    image = torch.rand(1, 1, 128, 128, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        expected = load_bundle(SHIPPED_BUNDLE, "cpu").network(image).numpy()
    session = onnxruntime.InferenceSession(str(model))
    found = session.run(None, {session.get_inputs()[0].name: image.numpy()})[0]
    assert np.abs(found - expected).max() < 1e-3 < np.abs(expected).max()


def test_scripted_network_gives_the_logits_of_the_network(tiny_bundle: Path) -> None:
    network = load_bundle(tiny_bundle, "cpu").network
    image = torch.rand(2, 1, 32, 32)
    torch.testing.assert_close(torch.jit.script(network)(image), network(image))


def test_metadata_tells_the_measured_dice_and_the_parts_of_the_network() -> None:
    read = {
        name: json.loads((SHIPPED_BUNDLE / name).read_text()) for name in ("configs/metadata.json", "models/model.json")
    }
    metadata, record = read["configs/metadata.json"], read["models/model.json"]["dice"]
    for key, group in (("mean_dice_ct", "CT validation"), ("mean_dice_mr", "MRI report")):
        measured = next(value for name, value in record.items() if name.startswith(group))
        assert metadata["eval_metrics"][key] == pytest.approx(measured["preview"]["mean"], abs=DEVICES)
    labels = list(organ_labels(metadata).values())
    for name, expected in measured_formats(SHIPPED_BUNDLE, labels, "CT").items():
        assert metadata[name] == expected


@pytest.mark.real_data
@pytest.mark.slow
def test_evaluation_prints_what_the_metadata_says(data_folder: Path, tmp_path: Path) -> None:
    folder = data_folder / "abdomen_ct"
    names = [f"ct_{number}.nii.gz" for number in ("00", "21", "15", "12")]
    entries = [{"image": str(folder / "images" / n), "label": str(folder / "labels" / n)} for n in names]
    (tmp_path / "list.json").write_text(json.dumps({"validation": entries}))
    files = "['configs/inference.json','configs/evaluate.json']"
    places = ("--data_list_file_path", str(tmp_path / "list.json"), "--output_dir", str(tmp_path))
    done = monai(SHIPPED_BUNDLE, "run", "--config_file", files, *places)
    assert done.returncode == 0, done.stderr[-2000:]
    metadata = json.loads((SHIPPED_BUNDLE / "configs" / "metadata.json").read_text())
    written = json.loads((tmp_path / "metrics.json").read_text())["dice"]["mean"]
    assert written == pytest.approx(metadata["eval_metrics"]["mean_dice_ct"], abs=DEVICES)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ({"slices#size": 64}, "generator_def#size is 32, slices#size says 64"),
        ({"invert#steps": -1, "displayable_configs#mode": "invert"}, "steps cannot be -1"),
    ],
)
def test_wrong_values_are_told_with_their_id(
    tiny_bundle: Path, ct_scan: Path, tmp_path: Path, override: dict[str, Any], expected: str
) -> None:
    given = {"bundle_root": str(tiny_bundle), "device": "cpu", "dataset_dir": str(ct_scan)}
    options = {**given, "output_dir": str(tmp_path / "out"), **override}
    flow = ConfigWorkflow(str(tiny_bundle / "configs" / "inference.json"), logging_file=False, **options)
    with pytest.raises(RuntimeError) as failure:
        flow.initialize()
        flow.run()
    error: BaseException | None = failure.value
    while error is not None and not isinstance(error, SemganError):
        error = error.__cause__
    assert error is not None and expected in str(error)
    assert not (tmp_path / "out").exists()


PROGRAM = "/somewhere/monai/bundle/__main__.py"


@pytest.mark.parametrize(
    "option",
    ["--dataset_dirr=x", "--invert#stepz=3", "--encoder_def#sizes=3", "--slices#a#b=1"],
)
def test_an_unknown_id_on_the_command_line_is_refused(tiny_bundle: Path, option: str) -> None:
    files = f"['{tiny_bundle}/configs/inference.json','{tiny_bundle}/configs/evaluate.json']"
    with pytest.raises(SemganError, match=f"unknown id '{option[2:].split('=')[0]}'"):
        check_overrides([PROGRAM, "run", "--config_file", files, option])


def test_settings_of_a_stage_and_of_its_loop_are_known() -> None:
    for name, setting in (("train_gan", "joint_channels"), ("train", "render_size"), ("train_student", "contrast")):
        file = str(SHIPPED_BUNDLE / "configs" / f"{name}.json")
        known = (f"--settings#{setting}=1", "--loop#log_every", "5", "--train::trainer::settings::budget=1m")
        check_overrides([PROGRAM, "run", "--config_file", file, *known, "--train#handlers=[]"])
        for wrong in ("settings#colour", "loop#colour", "train#trainer#colour"):
            with pytest.raises(SemganError, match=f"unknown id '{wrong}'"):
                check_overrides([PROGRAM, "run", "--config_file", file, f"--{wrong}=1"])


def test_known_ids_and_other_programs_are_let_through(tiny_bundle: Path) -> None:
    files = f"['{tiny_bundle}/configs/inference.json','{tiny_bundle}/configs/evaluate.json']"
    known = ("--device", "cpu", "--invert#learning_rate", "0.1", "--displayable_configs#steps=3", "--run_id", "run")
    more = ("--generator_def#mapping_layers=3", "--data_list_key", "test", "--dataset#data", "[]")
    check_overrides([PROGRAM, "run", "--config_file", files, *known, *more, "--initialize#0", "$None"])
    check_overrides(["pytest", "--config_file", files, "--dataset_dirr", "x"])


def test_what_names_the_files_of_results_is_known_and_anything_else_is_not(tiny_bundle: Path) -> None:
    command = [PROGRAM, "run", "--config_file", f"{tiny_bundle}/configs/inference.json"]
    saver = "--postprocessing#transforms#1#"
    for known in ("output_ext=.nrrd", "separate_folder=true", "data_root_dir=x"):
        check_overrides([*command, f"{saver}{known}", "--evaluator#amp=true", "--dataloader#num_workers=2"])
    with pytest.raises(SemganError, match="unknown id 'postprocessing#transforms#1#colour'"):
        check_overrides([*command, f"{saver}colour=1"])


@pytest.mark.slow
def test_a_fault_is_told_in_one_line_on_the_terminal(tiny_bundle: Path) -> None:
    done = monai(tiny_bundle, "run", "--config_file", "configs/inference.json", "--dataset_dirr", "docs")
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert last.startswith("monai.bundle: error: unknown id 'dataset_dirr'") and "known are" in last


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ({"weights": "none.pt"}, "none.pt: weights: no such weights file; give --weights FILE of a network like"),
        ({"student_def#channels": [8, 16]}, "weights: weights of another architecture: student."),
        ({"dataset_dir": "nowhere"}, "nowhere: dataset_dir: no such folder; give --dataset_dir FOLDER"),
        ({"dataset_dir": "EMPTY"}, "dataset_dir: no images in it; give --dataset_dir a folder of NIfTI files or DICOM"),
        ({"slices#num_classes": 4}, "slices#num_classes is 4, labels in channel_def, with background says 5; make "),
        ({"displayable_configs#mode": "magic"}, "unknown mode 'magic'; use one of preview, encoder, invert, refine (a"),
        ({"slices#size": "abc"}, "the setting size cannot be 'abc'; give a whole number (at slices)"),
        ({"device": "$torch.device('moon')"}, "; correct this value in the configuration or on the command line (at"),
    ],
)
def test_the_last_line_names_the_id_and_the_remedy(
    tiny_bundle: Path,
    ct_scan: Path,
    tmp_path: Path,
    override: dict[str, Any],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty").mkdir()
    override = {name: str(tmp_path / "empty") if value == "EMPTY" else value for name, value in override.items()}
    config = str(tiny_bundle / "configs" / "inference.json")
    typed = [part for name, value in override.items() for part in (f"--{name}", str(value))]
    monkeypatch.setattr(sys, "argv", [PROGRAM, "run", "--config_file", config, *typed])
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    given = {"bundle_root": str(tiny_bundle), "device": "cpu", "dataset_dir": str(ct_scan)}
    options = {**given, "output_dir": str(tmp_path / "out"), **override}
    flow = ConfigWorkflow(config, logging_file=False, **options)
    with pytest.raises(RuntimeError) as failure:
        flow.initialize()
        flow.run()
    assert sys.excepthook is tell
    sys.excepthook(failure.type, failure.value, failure.tb)
    shown = capsys.readouterr().err.splitlines()
    assert shown[-1].startswith("monai.bundle: error: ") and expected in shown[-1], shown[-1]
    mendable = "correct this value" not in expected
    assert mendable == (not any("Traceback" in line for line in shown))


def test_servers_keep_their_way_of_telling_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    one_line_errors(["uvicorn"])
    assert sys.excepthook is sys.__excepthook__
