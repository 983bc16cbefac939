"""`semgan bundle update`: configurations of 0.1 get the names of today, and nothing else changes."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path

import pytest

import monai_semgan as sg
from monai_semgan import _moved
from monai_semgan._moved import OldNameWarning
from monai_semgan.authoring.update import path_today
from monai_semgan.cli import main
from tests.conftest import SHIPPED_BUNDLE
from tests.fixtures_0_1.using import MODES, copy_bundle, expected, facts, run_with_monai, segmented, write_scan


@pytest.fixture
def old_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The bundle of 0.1; nothing has been warned of yet."""
    monkeypatch.setattr(_moved, "_told", set())
    return copy_bundle(tmp_path / "kidneys")


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def config(folder: Path, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "configs" / name).read_text(encoding="utf-8"))
    return found


def test_an_updated_bundle_does_not_warn_and_segments_to_the_same_voxels(old_bundle: Path, tmp_path: Path) -> None:
    assert sg.update_bundle(old_bundle)
    scan = write_scan(tmp_path / "scan.nii.gz")
    with warnings.catch_warnings():
        warnings.simplefilter("error", OldNameWarning)
        assert {mode: segmented(old_bundle, scan, mode) for mode in MODES} == {mode: expected(mode) for mode in MODES}


def test_monai_runs_an_updated_bundle_without_a_warning(old_bundle: Path, tmp_path: Path) -> None:
    import nibabel
    import numpy as np

    sg.update_bundle(old_bundle)
    done = run_with_monai(old_bundle, write_scan(tmp_path / "scan.nii.gz"), tmp_path / "out")
    assert "has moved" not in done.stderr and "is called" not in done.stderr
    (written,) = (tmp_path / "out").iterdir()
    assert facts(np.asarray(nibabel.load(written).dataobj)) == expected("preview")


def test_no_configuration_names_a_module_any_more(old_bundle: Path) -> None:
    sg.update_bundle(old_bundle)
    text = "".join(path.read_text() for path in (old_bundle / "configs").iterdir())
    paths = set(re.findall(r"monai_semgan\.[\w.]+|from monai_semgan[\w.]* import \w+", text))
    public = {f"monai_semgan.{name}" for name in sg.__all__}
    assert paths and all(path.replace("from monai_semgan import ", "monai_semgan.") in public for path in paths)
    assert '"frame"' not in text and "slices.frame" not in text


def test_only_configurations_and_the_needed_version_change(old_bundle: Path) -> None:
    before = content(old_bundle)
    changes = sg.update_bundle(old_bundle)
    after = content(old_bundle)
    changed = {name for name in before if before[name] != after[name]}
    assert set(before) == set(after) and changed == {f"configs/{change.file}" for change in changes}
    old, new = (json.loads(files["configs/metadata.json"]) for files in (before, after))
    assert new["required_packages_version"].pop("monai_semgan") == sg.__version__
    assert old["required_packages_version"].pop("monai_semgan") == "0.1.0"
    assert old == new


def test_unknown_content_and_the_layout_of_the_file_stay(old_bundle: Path) -> None:
    path = old_bundle / "configs" / "inference.json"
    own = {
        "note": "as in monai_semgan.data.preprocessing.Preprocessing, für später",
        "mine": {"frame": "body", "_target_": "my_package.Preprocess"},
        "expression": "$@mine#frame + my_package.monai_semgan.data.volume",
        "small": 1e-9,
    }
    path.write_text(json.dumps(config(old_bundle, "inference.json") | own, indent=2, ensure_ascii=False))
    sg.update_bundle(old_bundle)
    updated = config(old_bundle, "inference.json")
    assert {name: updated[name] for name in own} == own
    assert list(updated)[-4:] == list(own)
    text = path.read_text(encoding="utf-8")
    assert "für später" in text and text.startswith('{\n  "imports"') and not text.endswith("\n")


def test_expressions_aliases_and_overrides_are_understood(old_bundle: Path) -> None:
    path = old_bundle / "configs" / "overlay.json"
    overlay = {
        "imports": [
            "$from monai_semgan.data.volume import read_volume as load",
            "$from monai_semgan.segmentation import segment_volume",
            "$import monai_semgan.progress",
        ],
        "slices#frame": "image",
        "volume": "$monai_semgan.data.volume.read_volume(@dataset_dir)",
        "single": "$@slices#frame == 'image' or @slices::frame == 'body'",
        "quiet": "$monai_semgan.progress.NullProgress()",
    }
    path.write_text(json.dumps(overlay))
    sg.update_bundle(old_bundle)
    assert config(old_bundle, "overlay.json") == {
        "imports": [
            "$from monai_semgan import read_volume as load",
            "$from monai_semgan import segment as segment_volume",
            "$import monai_semgan.utils.progress",
            "$import monai_semgan.utils.progress_bar",
        ],
        "slices#field_of_view": "image",
        "volume": "$monai_semgan.read_volume(@dataset_dir)",
        "single": "$@slices#field_of_view == 'image' or @slices::field_of_view == 'body'",
        "quiet": "$monai_semgan.utils.progress.NullProgress()",
    }


def test_a_bundle_that_is_up_to_date_is_left_alone(old_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sg.update_bundle(old_bundle)
    before = content(old_bundle)
    assert main(["bundle", "update", str(old_bundle)]) == 0
    assert "is up to date" in capsys.readouterr().out
    assert content(old_bundle) == before
    assert sg.update_bundle(SHIPPED_BUNDLE, dry_run=True) == []


def test_a_dry_run_tells_every_change_and_makes_none(old_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = content(old_bundle)
    assert main(["bundle", "update", str(old_bundle), "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "inference.json inferer#_target_: monai_semgan.inferers.SliceInversionInferer -> " in told
    assert "inference.json slices: frame -> field_of_view" in told
    assert "metadata.json required_packages_version#monai_semgan: 0.1.0 -> " in told
    assert "would change 7 files" in told
    assert content(old_bundle) == before
    assert main(["bundle", "update", str(old_bundle)]) == 0
    assert capsys.readouterr().out.splitlines()[:-1] == told.splitlines()[:-1]


def test_a_broken_configuration_is_named_and_nothing_is_changed(
    old_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (old_bundle / "configs" / "train.json").write_text("{")
    before = content(old_bundle)
    assert main(["bundle", "update", str(old_bundle)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "train.json: is no JSON" in line
    assert content(old_bundle) == before


def test_a_full_disk_leaves_whole_files(
    old_bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import errno

    before = content(old_bundle)
    write_text = Path.write_text

    def full(path: Path, text: str, **options: str) -> int:
        if path.name.endswith("train.json"):
            write_text(path, text[:100], **options)
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_text(path, text, **options)

    monkeypatch.setattr(Path, "write_text", full)
    assert main(["bundle", "update", str(old_bundle)]) == 2
    assert "the disk is full" in capsys.readouterr().err
    after = content(old_bundle)
    assert set(after) == set(before) and after["configs/train.json"] == before["configs/train.json"]
    monkeypatch.undo()
    assert sg.update_bundle(old_bundle) and sg.update_bundle(old_bundle) == []  # the same command goes on


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("monai_semgan.networks.JointGenerator", "monai_semgan.JointGenerator"),
        ("monai_semgan.training.bundle_stage.StageTraining", "monai_semgan.StageTraining"),
        ("monai_semgan.training.stage.Surroundings", "monai_semgan.StageContext"),
        ("monai_semgan.data.volume.Volume.spacing", "monai_semgan.Volume.spacing"),
        ("monai_semgan.LoadVolumed", "monai_semgan.LoadVolumed"),
        ("monai_semgan.nowhere.Nothing", "monai_semgan.nowhere.Nothing"),
    ],
)
def test_the_path_of_today(old: str, new: str) -> None:
    assert path_today(old) == new
