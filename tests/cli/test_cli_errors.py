"""Bad bundles, options, lists, outputs: one line, exit code 2, nothing half-written. Bad scans: test_bad_input.py."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from monai_semgan.cli import main
from tests.phantoms import save_nifti


def cut(path: Path, share: float = 0.5) -> Path:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


def volume(folder: Path) -> Path:
    return save_nifti(folder / "scan.nii.gz", np.random.default_rng(0).normal(0, 100, (12, 12, 6)).astype(np.float32))


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("semgan: error: ") and shown.err.count("\n") == 1, shown.err
    assert "Traceback" not in shown.err and "internal error" not in shown.err
    return shown.err


def no_weights(bundle: Path) -> Path:
    (bundle / "models" / "model.pt").unlink()
    return bundle / "models" / "model.pt"


def wrong_weights(bundle: Path) -> Path:
    from monai_semgan.networks.weights import load_weights, save_weights

    path = bundle / "models" / "model.pt"
    state = load_weights(path)
    name = next(name for name in state if name.startswith("student."))
    save_weights(path, {**state, name: state[name][..., :1].repeat(2, *[1] * (state[name].ndim - 1))})
    return path


def other_weights(bundle: Path) -> Path:
    from monai_semgan.networks.weights import load_weights, save_weights

    path = bundle / "models" / "model.pt"
    save_weights(path, {name: value for name, value in load_weights(path).items() if not name.startswith("encoder.")})
    return path


def text_weights(bundle: Path) -> Path:
    (bundle / "models" / "model.pt").write_text("weights")
    return bundle / "models" / "model.pt"


def edited(change: Callable[[dict], object], name: str = "inference.json") -> Callable[[Path], Path]:
    def edit(bundle: Path) -> Path:
        path = bundle / "configs" / name
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))
        return path

    return edit


def broken_json(bundle: Path) -> Path:
    return cut(bundle / "configs" / "metadata.json")


BUNDLES: dict[str, Callable[[Path], Path]] = {
    "no weights": no_weights,
    "truncated weights": lambda b: cut(b / "models" / "model.pt"),
    "weights of another size": wrong_weights,
    "weights without encoder": other_weights,
    "no weights at all": text_weights,
    "broken metadata": broken_json,
    "no network": edited(lambda c: c.pop("network_def")),
    "unknown class": edited(lambda c: c["network_def"].update(_target_="monai_semgan.nothing")),
    "unknown argument": edited(lambda c: c["encoder_def"].update(colour="red")),
    "wrong network": edited(lambda c: c.update(network_def={"_target_": "torch.nn.Identity"})),
    "unknown setting": edited(lambda c: c["preview"].update(colour="red")),
    "no label names": edited(lambda c: c["network_data_format"]["outputs"].clear(), "metadata.json"),
    "too few label names": edited(
        lambda c: c["network_data_format"]["outputs"]["pred"]["channel_def"].pop("4"), "metadata.json"
    ),
}


@pytest.mark.parametrize("trouble", BUNDLES)
def test_bundle_that_cannot_be_used(
    trouble: str, tmp_path: Path, tiny_bundle: Path, ct_scan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    culprit = BUNDLES[trouble](bundle)
    out = tmp_path / "results" / "o.nii.gz"
    assert main(["segment", str(ct_scan), "--output", str(out), "--bundle", str(bundle), "--quiet"]) == 2
    assert culprit.name in one_line(capsys)
    assert not list(out.parent.glob("*"))


def test_folder_that_is_no_bundle(tmp_path: Path, ct_scan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in (tmp_path / "nowhere", tmp_path):
        assert main(["segment", str(ct_scan), "-o", str(tmp_path / "o.nii.gz"), "--bundle", str(folder)]) == 2
        assert str(folder) in one_line(capsys)


def test_output_folder_without_permission(
    tmp_path: Path,
    tiny_bundle: Path,
    ct_scan: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    # mode bits would not stop root, who runs many test machines
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.R_OK or Path(path) != folder)
    assert main(["segment", str(ct_scan), "-o", str(folder / "o.nii.gz"), "--bundle", str(tiny_bundle)]) == 2
    assert "locked" in one_line(capsys)


@pytest.mark.parametrize("name", ["file/o.nii.gz", "o.txt", "", "o.nii.gz.png"])
def test_output_that_cannot_be_written(
    name: str, tmp_path: Path, tiny_bundle: Path, ct_scan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("no folder")
    assert main(["segment", str(ct_scan), "-o", str(tmp_path / name), "--bundle", str(tiny_bundle)]) == 2
    one_line(capsys)


@pytest.mark.parametrize(
    "options",
    [
        ["--labels", "liver,heart"],
        ["--series", "1"],
        ["--device", "gpu"],
        ["--device", "cuda:99"],
        ["--mode", "magic"],
        ["--steps", "-1", "--mode", "invert"],
        ["--batch-size", "0"],
        ["--objective", "magic", "--mode", "invert"],
        ["--maps", "{file}"],
        ["--overlay", "picture.jpg"],
        ["--colour"],
    ],
)
def test_option_that_makes_no_sense(
    options: list[str], tmp_path: Path, tiny_bundle: Path, ct_scan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results" / "o.nii.gz"
    options = [option.format(file=ct_scan) for option in options]
    command = ["segment", str(ct_scan), "-o", str(out), "--bundle", str(tiny_bundle), "--quiet"]
    assert main([*command, *options]) == 2
    one_line(capsys)
    assert not list(out.parent.glob("*"))


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="nowhere"):
        main(["segment", str(tmp_path / "nowhere.nii"), "-o", str(tmp_path / "o.nii"), "--debug"])


def test_data_list_that_cannot_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scan = volume(tmp_path).name
    lists: dict[str, object] = {
        "no JSON": "{",
        "missing files": {"training": [{"image": "nowhere.nii.gz"}]},
        "a patient twice": {"training": [{"image": scan}], "validation": [{"image": scan}]},
        "nothing": {},
    }
    path = tmp_path / "list.json"
    for name, content in lists.items():
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        assert main(["train", "gan", "--data", str(path), "--out", str(tmp_path / "run"), "--steps", "1"]) == 2, name
        one_line(capsys)
    assert (
        main(["train", "gan", "--data", str(tmp_path / "no.json"), "--out", str(tmp_path / "run"), "--steps", "1"]) == 2
    )
    assert "no.json" in one_line(capsys)


def test_label_ids_out_of_range_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    volume(tmp_path)
    save_nifti(tmp_path / "label.nii.gz", np.full((12, 12, 6), -3, np.int16))
    path = tmp_path / "list.json"
    path.write_text(json.dumps({"training": [{"image": "scan.nii.gz", "label": "label.nii.gz"}]}))
    command = ["train", "student", "--data", str(path), "--out", str(tmp_path / "run"), "--steps", "1", "--size", "32"]
    assert main([*command, "--quiet"]) == 2
    assert "label.nii.gz" in one_line(capsys)


def test_out_of_memory_is_explained(
    tmp_path: Path,
    tiny_bundle: Path,
    ct_scan: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from monai_semgan.networks import InversionSegmenter

    def full(self: object, image: object) -> None:
        raise MemoryError

    monkeypatch.setattr(InversionSegmenter, "preview", full)
    command = ["segment", str(ct_scan), "-o", str(tmp_path / "o.nii.gz"), "--bundle", str(tiny_bundle), "--quiet"]
    assert main(command) == 1
    assert "out of memory" in one_line(capsys)
