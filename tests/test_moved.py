"""Import paths of release 0.1 warn once, name the new path, and still give the same things."""

from __future__ import annotations

import subprocess
import sys
import warnings
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

import monai_semgan
from monai_semgan import _moved
from monai_semgan._moved import MOVED, OldNameWarning

DOCUMENTED = {
    "bundle": "Bundle bundle_folder load_bundle organ_labels weights_digest",
    "bundle_errors": "one_line_errors",
    "bundle_overrides": "check_overrides",
    "bundle_run": "check_agreement find_scans label_names load_network",
    "cohort.running": "CaseRunner",
    "cohort.settings": "CohortSettings case_key",
    "data": "DataList Entry PreparedVolume Preprocessing Segments SliceSet StepSampler Volume build_slice_set"
    " check_label_output load_datalist read_label read_volume write_label write_map write_volume",
    "data.preprocessing": "Preprocessing PreparedVolume",
    "data.slices": "SliceSet StepSampler build_slice_set",
    "data.volume": "Volume read_label read_volume write_label write_map write_volume",
    "domain": "DomainAssessment DomainModel assess_domain",
    "domain.features": "SIGNS",
    "evaluation.engine": "DiceReport evaluation_entries",
    "inferers": "SliceInversionInferer",
    "inversion.settings": "InversionSettings",
    "losses.reconstruction": "L1FeatureObjective",
    "maps": "write_maps",
    "networks.student": "build_student",
    "preview": "AIR PreviewSettings smooth_across",
    "progress": "NullProgress Progress",
    "report": "report_content write_report",
    "sampling": "sample_patient sample_slices",
    "segmentation": "Segmentation is_foreign segment_volume",
    "training.bundle_stage": "StageTraining VolumeDataset list_volumes",
    "training.datasets": "pack",
    "training.encoder": "EncoderSettings",
    "training.gan_settings": "GanSettings",
    "training.stage": "Surroundings",
    "training.student": "StudentSettings",
}
"""Modules and names that the documents, configurations and examples of 0.1 named, some of which have a new name."""

STAYED = {
    "cohort.cases": "Case find_cases",
    "cohort.records": "DONE load_record write_summary",
    "evaluation.study": "Study evaluate_bundle evaluate_predictions",
    "networks": "InversionSegmenter JointGenerator LatentEncoder build_student",
    "training.run": "train",
    "transforms.dictionary": "EncodeSlicesd ExtractLabelSlicesd ExtractSlicesd LoadLabeld LoadVolumed PlanSlicesd",
    "transforms.restoring": "RestoreLabeld RestoreMapsd",
}
"""The same for what is where it was."""


def pairs(table: dict[str, str]) -> list[tuple[str, str]]:
    return [(module, name) for module, names in table.items() for name in names.split()]


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has been warned of yet."""
    monkeypatch.setattr(_moved, "_told", set())


def used(module: str, name: str) -> tuple[object, list[warnings.WarningMessage]]:
    """What `from MODULE import NAME` gives, and its warnings of old names."""
    place: dict[str, object] = {}
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        exec(compile(f"from {module} import {name}", __file__, "exec"), place)
    return place[name], [warning for warning in found if issubclass(warning.category, OldNameWarning)]


@pytest.mark.parametrize(("module", "name"), pairs(DOCUMENTED))
def test_an_old_path_warns_with_a_new_one_that_gives_the_same(module: str, name: str) -> None:
    found, (warning,) = used(f"monai_semgan.{module}", name)
    text = str(warning.message)
    assert f"monai_semgan.{module}.{name} has moved" in text and "0.3" in text
    home, _, new = text.partition("write ")[2].partition(";")[0].rpartition(".")
    assert used(home, new) == (found, [])
    assert warning.filename == __file__  # the line that used it


@pytest.mark.parametrize(("module", "name"), pairs(STAYED))
def test_what_has_not_moved_does_not_warn(module: str, name: str) -> None:
    _, found = used(f"monai_semgan.{module}", name)
    assert not found


def test_a_name_is_warned_of_once() -> None:
    assert [len(used("monai_semgan.segmentation", "segment_volume")[1]) for _ in range(3)] == [1, 0, 0]
    assert len(used("monai_semgan.segmentation", "Segmentation")[1]) == 1


def test_a_public_name_is_recommended_where_there_is_one() -> None:
    _, (warning,) = used("monai_semgan.segmentation", "segment_volume")
    assert "write monai_semgan.segment;" in str(warning.message)


@pytest.mark.parametrize("old", sorted(MOVED))
def test_every_module_of_the_table_is_there_under_its_old_name_and_its_new_ones(old: str) -> None:
    assert find_spec(f"monai_semgan.{old}") is not None
    for new in MOVED[old].split():
        assert new == old or new not in MOVED, "a module leads to where nothing has moved"
        spec = find_spec(f"monai_semgan.{new}")
        assert spec is not None and spec.origin is not None


def test_importing_an_old_module_loads_nothing() -> None:
    code = (
        "import sys, monai_semgan.segmentation, monai_semgan.domain.features, monai_semgan.label_app.jobs.service\n"
        "assert not {'torch', 'numpy', 'fastapi', 'monai_semgan.inference'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_submodules_of_a_package_that_is_gone_are_its_attributes() -> None:
    domain = import_module("monai_semgan.domain")
    assert domain.features.OrganPrior is import_module("monai_semgan.quality.features").OrganPrior


def test_a_name_that_never_was_is_missing_as_in_any_module() -> None:
    with pytest.raises(ImportError, match="nonsense"):
        used("monai_semgan.segmentation", "nonsense")
    with pytest.raises(ImportError, match="nonsense"):
        used("monai_semgan.data", "nonsense")
    with pytest.raises(ImportError, match="nonsense"):
        used("monai_semgan.training.datasets", "nonsense")
    with pytest.raises(ModuleNotFoundError, match=r"monai_semgan\.nonsense"):
        import_module("monai_semgan.nonsense")


def test_the_command_line_can_be_called_after_its_old_module_was_imported(capsys: pytest.CaptureFixture[str]) -> None:
    from monai_semgan.cli import main

    old = import_module("monai_semgan.cli.main")
    assert old.main is main
    try:
        assert import_module("monai_semgan.cli").main(["--version"]) == 0  # the module has taken its name
    finally:
        import_module("monai_semgan.cli").main = main  # type: ignore[attr-defined]
    assert capsys.readouterr().out.startswith("semgan ")


def test_an_old_program_runs_and_names_its_new_module(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "monai_semgan.atomic"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "monai_semgan.atomic has moved" in done.stderr and "write monai_semgan.utils.files" in done.stderr


def test_a_class_that_was_pickled_by_an_old_path_is_found() -> None:
    import pickle

    stored = b"cmonai_semgan.inversion.settings\nInversionSettings\n."
    with pytest.warns(OldNameWarning, match=r"write monai_semgan\.InversionSettings"):
        assert pickle.loads(stored) is monai_semgan.InversionSettings
