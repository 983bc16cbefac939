"""`semgan learn --tune`: a version that is better, or none and a line that says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from monai_semgan.bundle.model_versions import VersionStore
from monai_semgan.bundle.version_record import VersionRecord
from monai_semgan.cli import main
from monai_semgan.data.datalist import Entry
from monai_semgan.errors import Cancelled
from monai_semgan.learning.tuning import TunedModel
from monai_semgan.learning.tuning_check import TuningFigures
from monai_semgan.learning.tuning_settings import TuneSettings
from tests.learning.quiet_bundle import quiet, teach


class FakeTuning:
    """Stands in for the training, whose results have tests of their own."""

    def __init__(self, refusal: str = "", cancelled: bool = False) -> None:
        self.refusal, self.cancelled = refusal, cancelled
        self.asked: list[TuneSettings] = []
        self.given: list[dict[str, Any]] = []

    def __call__(
        self, bundle: Path, entries: list[Entry], work: Path, settings: TuneSettings, **more: Any
    ) -> TunedModel:
        self.asked.append(settings)
        self.given.append({"entries": entries, **more})
        work.mkdir(parents=True, exist_ok=True)
        (work / "checkpoint").write_text("half-way")
        if self.cancelled:
            raise Cancelled("the training is kept; give the same command again to go on")
        record = VersionRecord(more["parent"], "tune", ("liver",), ("scan0",), (), {"liver": 0.9}, "a note")
        return TunedModel(bundle, record, TuningFigures(), self.refusal, 7)


@pytest.fixture(scope="module")
def old(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return quiet(tiny_bundle, tmp_path_factory.mktemp("old") / "bundle")


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return teach(tmp_path_factory.mktemp("taught") / "scans", 1)


def tuned_by(fake: FakeTuning, monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """Exit code of the command."""
    monkeypatch.setattr("monai_semgan.learning.tuning.tune", fake)
    return main(["learn", *map(str, words), "--tune", "--quiet", "--threads", "1"])


def test_a_better_version_is_in_use_afterwards(
    old: Path, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    models, fake = tmp_path / "models", FakeTuning()
    words = (scans, "--versions", models, "--bundle", old, "--replay", scans, "--structure", "liver", "--label-id", 4)
    assert tuned_by(fake, monkeypatch, *words) == 0
    told = capsys.readouterr().out
    assert "Dice 0.900" in told and "a note" in told and "version 1 is in use" in told
    assert VersionStore(models, old).current().kind == "tune"
    assert sorted(path.name for path in models.iterdir() if path.name[0] != ".") == ["1", "current.json"]
    assert not (models / ".learning.tune").exists()
    assert [one.name for one in fake.given[0]["replay"]] == ["scan0"]
    assert fake.asked[0].structures[0].label_id == 4


def test_a_worse_version_is_refused_and_leaves_nothing(
    old: Path, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    models = tmp_path / "models"
    fake = FakeTuning("old structures would lose 0.020 Dice on average")
    assert tuned_by(fake, monkeypatch, scans, "--versions", models, "--bundle", old) == 2
    told = capsys.readouterr().err
    assert "the new version is refused: old structures would lose 0.020 Dice" in told and told.count("\n") == 1
    assert VersionStore(models, old).current().number == 0
    assert len(VersionStore(models, old).versions()) == 1
    assert not (models / ".learning.tune").exists()


def test_a_training_that_is_stopped_is_kept_and_the_user_told_so(
    old: Path, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    models = tmp_path / "models"
    assert tuned_by(FakeTuning(cancelled=True), monkeypatch, scans, "--versions", models, "--bundle", old) == 130
    assert "same command again" in capsys.readouterr().err
    assert (models / ".learning.tune" / "checkpoint").exists()
    assert VersionStore(models, old).current().number == 0


def test_of_many_versions_the_oldest_go_and_are_named(
    old: Path, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = VersionStore(tmp_path / "models", old)
    for _ in range(10):
        store.add(old, VersionRecord())
    assert tuned_by(FakeTuning(), monkeypatch, scans, "--versions", store.root, "--bundle", old) == 0
    assert "removed version 1: 10 are kept" in capsys.readouterr().out
    assert [one.number for one in store.versions()] == [0, *range(2, 12)]


def test_scans_to_rehearse_on_belong_to_tuning(old: Path, scans: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["learn", str(scans), "--versions", "models", "--bundle", str(old), "--replay", str(scans)]
    assert main([*words, "--structure", "tumour"]) == 2
    assert "give --replay together with --tune" in capsys.readouterr().err


@pytest.mark.parametrize("damaged", ["1/models/model.pt", "current.json"])
def test_the_list_helps_where_the_version_in_use_is_damaged(
    old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damaged: str
) -> None:
    store = VersionStore(tmp_path / "models", old)
    store.use(store.add(old, VersionRecord()).number)
    (store.root / damaged).write_text("")
    words = ["learn", "--versions", str(store.root), "--bundle", str(old)]
    assert main([*words, "--list"]) == 0
    told = capsys.readouterr().out
    assert "damaged: models/model.pt has 0 bytes" in told or "does not tell which version is in use; choose one" in told
    assert main([*words, "--use", "0"]) == 0
    assert store.current().number == 0
