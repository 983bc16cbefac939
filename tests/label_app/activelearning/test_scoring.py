"""Scores of unlabelled images: written one by one, kept, and made anew when the model is another."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.phantoms import grid, patient, save_nifti

pytest.importorskip("monailabel", reason="needs the environment of the extra label")

from monai_semgan.errors import SemganError
from monai_semgan.label_app.activelearning.scoring import SemganScores
from monai_semgan.label_app.activelearning.strategies import strategies

pytestmark = pytest.mark.label
WEIGHTS = "a" * 64


@pytest.fixture(scope="module")
def engine(tiny_bundle: Path) -> Any:
    from monai_semgan.label_app.infer import LocalEngine

    return LocalEngine(str(tiny_bundle), "cpu")


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two patients, one of them as MR, and a file that is no scan."""
    folder = tmp_path_factory.mktemp("scans")
    for name, modality in (("ct", "CT"), ("mr", "MR")):
        affine, shape = grid((8.0, 9.0, 12.0), codes="LPI" if name == "mr" else "PSR")
        save_nifti(folder / f"{name}.nii.gz", patient(affine, shape, modality, seed=1).array, affine)
    (folder / "broken.nii.gz").write_bytes(b"no scan")
    return folder


@pytest.fixture
def datastore(make_datastore: Callable[..., Any], scans: Path, tmp_path: Path) -> Any:
    for path in scans.iterdir():
        shutil.copy(path, tmp_path / path.name)
    return make_datastore()


@pytest.fixture
def method(engine: Any) -> SemganScores:
    return SemganScores(engine, lambda: WEIGHTS)


def scores(datastore: Any, image: str) -> Any:
    return datastore.get_image_info(image).get("semgan_scores")


def test_every_image_gets_both_scores_and_one_that_cannot_be_read_holds_nothing_up(
    method: SemganScores, datastore: Any
) -> None:
    found = method({"steps": 1}, datastore)
    assert (found["total"], found["skipped"], found["executed"], found["failed"]) == (3, 0, 2, 1)
    assert scores(datastore, "broken") is None
    for image in ("ct", "mr"):
        one = scores(datastore, image)
        assert 0 < one["out_of_domain"] < 1 and 0 <= one["disagreement"] <= 1
        assert one["model"] == WEIGHTS and one["steps"] == 1
    names = ("out_of_domain", "disagreement")  # one alone may be equal to the last digit that is kept
    assert [scores(datastore, "ct")[name] for name in names] != [scores(datastore, "mr")[name] for name in names]


def test_the_strategies_rank_by_what_it_writes_also_after_a_restart(
    method: SemganScores, datastore: Any, make_datastore: Callable[..., Any]
) -> None:
    method({"steps": 1}, datastore)
    again = make_datastore()
    for name in ("out_of_domain", "disagreement"):
        highest = max(("ct", "mr"), key=lambda image: scores(datastore, image)[name])
        assert strategies()[f"semgan_{name}"]({"strategy": name, "client_id": "ann"}, again)["id"] == highest


def test_scores_of_the_same_weights_and_steps_are_kept(method: SemganScores, datastore: Any, engine: Any) -> None:
    method({"steps": 1}, datastore)
    assert method({"steps": 1}, datastore) | {"latency": 0} == {
        **{"total": 3, "skipped": 2, "executed": 0, "failed": 1},
        "latency": 0,
    }
    assert method({"steps": 2}, datastore)["executed"] == 2
    assert method({"steps": 2, "again": True}, datastore)["executed"] == 2
    assert SemganScores(engine, lambda: "b" * 64)({"steps": 2}, datastore)["executed"] == 2
    assert scores(datastore, "ct")["model"] == "b" * 64


def test_scores_of_an_image_that_was_replaced_are_made_again(
    method: SemganScores, datastore: Any, scans: Path, tmp_path: Path
) -> None:
    """Even by one of the same size and time."""
    method({"steps": 1}, datastore)
    before, choose = scores(datastore, "ct"), strategies()["semgan_out_of_domain"]
    ct, times = tmp_path / "ct.nii.gz", (tmp_path / "ct.nii.gz").stat()
    content = bytearray((scans / "mr.nii.gz").read_bytes())
    ct.write_bytes(content)
    os.utime(ct, ns=(times.st_atime_ns, times.st_mtime_ns))
    for _ in range(3):
        chosen = choose({}, datastore)
        assert chosen["id"] == "mr" or chosen["score"] is None, "a score of the old image counts no more"
    found = method({"steps": 1}, datastore)
    assert (found["executed"], found["skipped"]) == (1, 1)
    assert scores(datastore, "ct")["out_of_domain"] == scores(datastore, "mr")["out_of_domain"]
    assert scores(datastore, "ct")["image_state"] != before["image_state"]


def test_scores_of_another_model_do_not_choose(method: SemganScores, datastore: Any) -> None:
    method({"steps": 1}, datastore)
    for model, known in ((WEIGHTS, True), ("b" * 64, False)):
        chosen = strategies(model=lambda model=model: model)["semgan_disagreement"]({}, datastore)
        assert (chosen["score"] is not None) == known


def test_labelled_images_are_not_scored(method: SemganScores, datastore: Any, scans: Path) -> None:
    datastore.save_label("mr", str(scans / "mr.nii.gz"), "final", {})
    assert method({"steps": 1}, datastore)["total"] == 2
    assert scores(datastore, "mr") is None


def test_progress_is_told_and_a_stop_keeps_what_was_scored(method: SemganScores, datastore: Any) -> None:
    told = []

    def report(done: int, failed: int, total: int) -> bool:
        told.append((done, failed, total))
        return done < 2

    assert method({"steps": 1}, datastore, report)["executed"] == 1
    assert sorted(set(told)) == [(0, 0, 3), (1, 1, 3), (2, 1, 3)] and told[-1] == (2, 1, 3)
    assert scores(datastore, "ct") is not None and scores(datastore, "mr") is None
    assert method({"steps": 1}, datastore)["skipped"] == 1


def test_an_image_whose_segmentation_is_cancelled_by_a_stop_has_not_failed(engine: Any, datastore: Any) -> None:
    stopped = []

    class Stopping:
        """As the engine of a server behaves when it is told to stop in the middle of an image."""

        labels = engine.labels

        def segment(self, image: str, request: Any) -> Any:
            stopped.append(True)
            raise SemganError("cancelled")

    found = SemganScores(Stopping(), lambda: WEIGHTS)({}, datastore, lambda *_: not stopped)
    assert (found["executed"], found["failed"], len(stopped)) == (0, 0, 1)


def test_no_file_is_left_behind(
    method: SemganScores, datastore: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    method({"steps": 1}, datastore)
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize("steps", [0, -1, "5", 1.5, True, 10**9])
def test_steps_that_make_no_sense_are_refused(steps: Any, method: SemganScores, datastore: Any) -> None:
    with pytest.raises(SemganError, match="steps"):
        method({"steps": steps}, datastore)
