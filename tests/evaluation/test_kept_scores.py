"""A score of an earlier run counts again only while it would come out the same."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monai_semgan.bundle.load import load_bundle
from monai_semgan.data.datalist import Entry, load_datalist
from monai_semgan.evaluation.scores import PatientScore
from monai_semgan.evaluation.study import evaluate_bundle
from monai_semgan.evaluation.tables import from_json, to_json
from tests.phantoms import save_datalist, save_patient

SPACING = (12.0, 12.0, 24.0)


@pytest.fixture
def entries(tmp_path: Path) -> tuple[Entry, ...]:
    """Two scans of one file name and one patient."""
    listed = []
    for name in ("case_0", "case_1"):
        (tmp_path / name).mkdir()
        item = save_patient(tmp_path / name, "imaging", spacing=SPACING)
        listed.append({"image": f"{name}/imaging.nii.gz", "label": f"{name}/{item['label']}", "patient": "p"})
    return load_datalist(save_datalist(tmp_path, test=listed)).test


def run(bundle: Any, entries: Any, known: Any = (), **options: Any) -> tuple[tuple[PatientScore, ...], list[str]]:
    told: list[str] = []
    study = evaluate_bundle(bundle, entries, known=known, tell=told.append, with_distance=False, **options)
    assert not study.missing
    return from_json(json.loads(json.dumps(to_json(study)))).patients, told


def test_scans_of_one_name_and_patient_are_scored_each_for_itself_and_kept(tiny_bundle: Path, entries: Any) -> None:
    bundle = load_bundle(tiny_bundle, "cpu")
    first, told = run(bundle, entries)
    assert told == [] and [score.key for score in first] == ["case_0__imaging", "case_1__imaging"]
    marked = [replace(score, seconds=number) for number, score in enumerate(first)]
    again, told = run(bundle, entries[::-1], marked)
    assert told == ["2 scans are scored already"]
    assert [(score.key, score.seconds) for score in again] == [("case_1__imaging", 1), ("case_0__imaging", 0)]


def test_a_kept_score_has_the_patient_of_the_list_as_it_is_now(tiny_bundle: Path, entries: Any) -> None:
    bundle = load_bundle(tiny_bundle, "cpu")
    first, _ = run(bundle, entries)
    again, told = run(bundle, [replace(entry, patient=f"of {entry.name}") for entry in entries], first)
    assert told == ["2 scans are scored already"]
    assert [score.patient for score in again] == ["of case_0__imaging", "of case_1__imaging"]


CHANGES: dict[str, tuple[Callable[[Entry], Entry], str]] = {
    "label": (lambda e: (os.utime(e.label or "", ns=(5, 5)), e)[1], "label changed"),
    "image": (lambda e: (os.utime(e.image, ns=(5, 5)), e)[1], "image changed"),
    "names": (lambda e: replace(e, names=((1, "liver"), (2, "spleen"))), "modality or names in the list changed"),
    "modality": (lambda e: replace(e, modality="CT"), "modality or names in the list changed"),
    "labelled": (lambda e: replace(e, labelled=("liver",)), "modality or names in the list changed"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_score_whose_files_or_entry_changed_is_made_anew_with_the_reason(
    tiny_bundle: Path, entries: Any, what: str
) -> None:
    bundle = load_bundle(tiny_bundle, "cpu")
    first, _ = run(bundle, entries)
    marked = [replace(score, seconds=-1) for score in first]
    change, reason = CHANGES[what]
    again, told = run(bundle, (change(entries[0]), entries[1]), marked)
    assert [score.seconds == -1 for score in again] == [False, True]
    assert told == ["1 scan is scored already", f"scored anew, since {reason}: case_0__imaging"]


def test_another_configuration_or_other_settings_ask_for_all_scores_anew(tiny_bundle: Path, entries: Any) -> None:
    first, _ = run(load_bundle(tiny_bundle, "cpu"), entries)
    _, told = run(load_bundle(tiny_bundle, "cpu"), entries, first, cleanup=False)
    assert told == ["scored anew, since settings changed: case_0__imaging, case_1__imaging"]
    config = tiny_bundle / "configs" / "inference.json"
    content = json.loads(config.read_text())
    config.write_text(json.dumps({**content, "note": "changed"}))
    try:
        _, told = run(load_bundle(tiny_bundle, "cpu"), entries, first)
    finally:
        config.write_text(json.dumps(content))
    assert told == ["scored anew, since model or version changed: case_0__imaging, case_1__imaging"]


def test_scores_of_an_earlier_version_are_not_trusted_in_silence(tiny_bundle: Path, entries: Any) -> None:
    bundle = load_bundle(tiny_bundle, "cpu")
    earlier = [PatientScore("p", "CT", {}, 1.0), PatientScore("p", "CT", {}, 1.0)]
    scores, told = run(bundle, entries, earlier)
    assert all(score.organs for score in scores)
    assert told == ["scored anew, since an earlier version did not tell what they were made from: "
                    "case_0__imaging, case_1__imaging"]  # fmt: skip


def test_what_is_kept_stays_in_the_file_while_others_are_made_anew(tiny_bundle: Path, entries: Any) -> None:
    bundle = load_bundle(tiny_bundle, "cpu")
    first, _ = run(bundle, entries)
    os.utime(entries[0].image, ns=(5, 5))
    saved: list[int] = []
    run(bundle, entries, first, after=lambda study: saved.append(len(study.patients)))
    assert saved == [2, 2]
