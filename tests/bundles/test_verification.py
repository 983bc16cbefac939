"""The shipped bundle passes the verification of MONAI and of the model zoo, and faults are told in one line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from monai_semgan.bundle import load_bundle
from monai_semgan.packing import part_formats
from tests.conftest import REPOSITORY, SHIPPED_BUNDLE


def monai(bundle: Path, command: str, *options: str) -> subprocess.CompletedProcess[str]:
    """A command of `monai.bundle`, run in the folder of a bundle as a user does."""
    line = [sys.executable, "-m", "monai.bundle", command, *options]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(line, cwd=bundle, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_every_step_of_the_zoos_verification_passes() -> None:
    environment = {**os.environ, "PYTHON": sys.executable}
    script = str(REPOSITORY / "bundles" / "verify.sh")
    done = subprocess.run(["sh", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 12 and all(line.startswith("ok ") for line in lines)


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
        assert metadata["eval_metrics"][key] == measured["preview"]["mean"]
    config = json.loads((SHIPPED_BUNDLE / "configs" / "inference.json").read_text())
    for name, expected in part_formats(metadata["network_data_format"], config).items():
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
    assert written == pytest.approx(metadata["eval_metrics"]["mean_dice_ct"], abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--dataset_dir", "nowhere"), "nowhere: dataset_dir: no such folder"),
        (("--dataset_dir", "docs"), "docs: dataset_dir: no images in it"),
        (("--weights", "models/none.pt"), "no such weights file"),
        (("--dataset_dirr", "docs"), "unknown id 'dataset_dirr'"),
        (("--invert#stepz", "3"), "unknown id 'invert#stepz'"),
        (("--displayable_configs#mode", "magic"), "unknown mode 'magic'"),
        (("--student_def#channels", "[16,16]"), "weights of another architecture"),
        (("--slices#num_classes", "4"), "slices#num_classes"),
    ],
)
def test_wrong_input_is_told_in_one_line(
    tiny_bundle: Path, tmp_path: Path, options: tuple[str, ...], expected: str
) -> None:
    bundle = Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
    (bundle / "docs").mkdir()
    done = monai(bundle, "run", "--config_file", "configs/inference.json", *options)
    lines = [line for line in done.stderr.splitlines() if "SemganError" in line and expected in line]
    assert done.returncode != 0 and lines, done.stderr[-1500:]
    assert not (bundle / "eval").exists()
