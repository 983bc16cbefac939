"""Which scans make up a cohort, who takes which, and the table that several processes write."""

from __future__ import annotations

import csv
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monai_semgan.cohort.cases import Case, find_cases
from monai_semgan.cohort.cohort_settings import CohortSettings, case_key
from monai_semgan.cohort.parts import Part, choose_part, parse_part
from monai_semgan.cohort.records import Record, load_record, save_record, summary, write_summary, written_state
from monai_semgan.errors import SemganError
from monai_semgan.io.reading import read_volume
from tests.dicom_phantoms import datasets, radiograph, save, write_series
from tests.phantoms import save_datalist, save_nifti


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def names(folder: Path, output: Path | None = None) -> list[str]:
    return [case.name for case in find_cases(folder, output or folder / "out").cases]


def test_files_and_dicom_folders_at_any_depth_are_scans(tmp_path: Path) -> None:
    for name in ("b.nii.gz", "a.nrrd", "deep/er/c.mha", "d.zip", "notes.txt", "picture.png"):
        touch(tmp_path / name)
    stack = datasets(np.zeros((4, 4, 3)), np.eye(4))
    write_series(tmp_path / "patient" / "series", stack)
    assert names(tmp_path) == ["a", "b", "d", "c", "series"]


def test_where_radiographs_are_wanted_every_picture_and_dicom_file_is_one(tmp_path: Path) -> None:
    for name in ("chest.png", "deep/other.jpg", "ct.nii.gz"):
        touch(tmp_path / name)
    for name in ("a.dcm", "deep/IM1"):
        save(radiograph(np.eye(4, dtype=np.uint16)), tmp_path / name)
    found = find_cases(tmp_path, tmp_path / "out", pictures=True).cases
    assert [case.name for case in found] == ["a", "chest", "IM1", "other"]
    assert all(read_volume(case.path).projection for case in found if case.name in ("a", "IM1"))


def test_labels_outputs_and_hidden_files_are_no_scans(tmp_path: Path) -> None:
    for name in ("ct.nii.gz", "ct_label.nii.gz", "ct_seg.nrrd", "ct.seg.nrrd", "labelsTr/ct2.nii.gz", ".x.nii.gz"):
        touch(tmp_path / name)
    touch(tmp_path / "results" / "ct9.nii.gz")
    touch(tmp_path / "earlier" / "ct8.nii.gz")
    (tmp_path / "earlier" / ".cohort").mkdir()
    listing = find_cases(tmp_path, tmp_path / "results")
    assert [case.name for case in listing.cases] == ["ct"]
    assert {path.name for path in listing.ignored} == {"ct_label.nii.gz", "ct_seg.nrrd", "ct.seg.nrrd", "labelsTr"}


def test_equal_names_are_told_apart_by_their_folders_and_then_by_their_endings(tmp_path: Path) -> None:
    touch(tmp_path / "anna" / "ct.nii.gz")
    touch(tmp_path / "bert" / "CT.nii.gz")
    assert names(tmp_path) == ["anna__ct", "bert__CT"]
    touch(tmp_path / "bert" / "CT.nrrd")
    assert names(tmp_path) == ["anna__ct", "bert__CT_nii_gz", "bert__CT_nrrd"]


def test_a_section_does_not_change_the_names_of_a_list(tmp_path: Path) -> None:
    for name in ("ann", "bea"):
        (tmp_path / name).mkdir()
        save_nifti(tmp_path / name / "ct.nii.gz", np.zeros((2, 2, 2)))
    path = save_datalist(tmp_path, training=[{"image": "ann/ct.nii.gz", "patient": "a"}], test=["bea/ct.nii.gz"])
    assert [case.name for case in find_cases(path, tmp_path / "o").cases] == ["ann__ct", "bea__ct"]
    assert [case.name for case in find_cases(path, tmp_path / "o", "test").cases] == ["bea__ct"]


def test_a_link_that_leaves_the_folder_is_a_failure_not_a_scan(tmp_path: Path) -> None:
    secret = touch(tmp_path / "elsewhere" / "s.nii.gz")
    touch(tmp_path / "data" / "a.nii.gz")
    (tmp_path / "data" / "b.nii.gz").symlink_to(secret)
    first, second = find_cases(tmp_path / "data", tmp_path / "out").cases
    assert not first.problem and "leaves the folder" in second.problem


def test_a_data_list_names_scans_and_modalities_by_section(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_nifti(tmp_path / f"{name}.nii.gz", np.zeros((2, 2, 2)))
    path = save_datalist(
        tmp_path, training=[{"image": "a.nii.gz"}], test=[{"image": "b.nii.gz", "modality": "MR", "patient": "p"}]
    )
    assert [(c.name, c.modality) for c in find_cases(path, tmp_path / "o").cases] == [("a", None), ("b", "MR")]
    assert [c.name for c in find_cases(path, tmp_path / "o", "test").cases] == ["b"]
    for wrong in ("tset", "validation"):
        with pytest.raises(SemganError):
            find_cases(path, tmp_path / "o", wrong)


def test_parts_take_every_scan_once() -> None:
    items = list(range(17))
    taken = [parse_part(f"{i}/5").of(items) for i in range(1, 6)]
    assert sorted(sum(taken, [])) == items
    for wrong in ("0/2", "3/2", "1", "a/b", "-1/2", "1/0"):
        with pytest.raises(SemganError):
            parse_part(wrong)


def test_torchrun_says_which_part() -> None:
    environment = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4", "LOCAL_RANK": "1"}
    assert choose_part(None, environment) == Part(6, 8, 4, 1)
    assert choose_part("2/3", {}) == Part(2, 3)
    assert choose_part(None, {"RANK": "0", "WORLD_SIZE": "1"}) == Part()
    with pytest.raises(SemganError, match="one of the two"):
        choose_part("2/3", environment)


def test_changed_settings_model_or_input_ask_for_a_new_result(tmp_path: Path) -> None:
    scan = touch(tmp_path / "a.nii.gz")
    case = Case("a", scan)
    keys = {CohortSettings(**change).key() for change in ({}, {"mode": "encoder"}, {"labels": ("liver",)})}
    assert len(keys) == 3
    assert CohortSettings(batch_size=3, device="cpu").key() == CohortSettings().key()
    before = case_key("k", case)
    os.utime(scan, ns=(1, 1))
    assert case_key("k", case) != before


@pytest.mark.parametrize("file", ["models/model.pt", "configs/inference.json", "configs/metadata.json"])
def test_any_file_of_a_model_that_changes_results_asks_for_new_ones(
    file: str, tiny_bundle: Path, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    before = CohortSettings(bundle=bundle).key()
    assert before == CohortSettings(bundle=tiny_bundle).key()
    with (bundle / file).open("ab") as stream:
        stream.write(b" ")
    assert CohortSettings(bundle=bundle).key() != before


def test_what_a_list_tells_of_a_scan_and_detached_voxels_belong_to_its_key(tmp_path: Path) -> None:
    (tmp_path / "a.mhd").write_text("DimSize = 1 1 1\nElementDataFile = a.raw\n")
    voxels = touch(tmp_path / "a.raw")
    case = Case("a", tmp_path / "a.mhd")
    keys = {case_key("k", one) for one in (case, replace(case, modality="MR"), replace(case, modality="CT"))}
    voxels.write_bytes(b"y")
    assert len(keys | {case_key("k", case)}) == 4


def finished(folder: Path, name: str, content: bytes, key: str) -> Record:
    """A record of a scan with one result."""
    (folder / f"{name}.nii.gz").write_bytes(content)
    outputs = {f"{name}.nii.gz": written_state(folder / f"{name}.nii.gz")}
    record = Record(name, "in", "done", key, outputs, {"liver": 398.0})
    save_record(folder, record)
    return record


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(min_size=1, max_size=50), st.data())
def test_a_result_counts_until_any_byte_of_it_is_another(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("out")
    path, record = folder / "a.nii.gz", finished(folder, "a", content, "k")
    assert record.finished("k", folder) and not record.finished("other", folder)
    os.utime(path, ns=(1, 1))
    assert record.finished("k", folder), "a copy without its times is the same result"
    kind = data.draw(st.sampled_from(["changed", "cut off", "longer", "gone"]))
    damaged = bytearray(content)
    damaged[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes({"changed": bytes(damaged), "cut off": content[:-1], "longer": content + b"x"}.get(kind, b""))
    os.utime(path, ns=(2, 2))
    if kind == "gone":
        path.unlink()
    assert not record.finished("k", folder)
    assert load_record(folder, "a") == record


def test_a_record_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    (tmp_path / ".cohort").mkdir()
    (tmp_path / "a.nii").write_bytes(b"four")
    old = '{"case": "a", "input": "in", "status": "done", "key": "k", "outputs": {"a.nii": 4}}'
    (tmp_path / ".cohort" / "a.json").write_text(old)
    record = load_record(tmp_path, "a")
    assert record is not None and record.finished("k", tmp_path)
    (tmp_path / "a.nii").write_bytes(b"three")
    assert not record.finished("k", tmp_path)


def test_the_table_shows_no_numbers_of_another_input(tmp_path: Path) -> None:
    """A scan that was replaced, or has taken the name of another, is open until it is segmented."""
    cases = [Case(name, Path(f"{name}.nii")) for name in ("same", "replaced", "new")]
    for name in ("same", "replaced", "new"):
        finished(tmp_path, name, b"x", "k")
    keys = {"same": "k", "replaced": "other"}
    rows = list(csv.DictReader(summary(tmp_path, cases, ["liver"], keys).splitlines()))
    assert [(row["status"], row["liver ml"]) for row in rows] == [("done", "398.00"), ("open", ""), ("done", "398.00")]
    assert [row["input"] for row in rows] == ["same.nii", "replaced.nii", "new.nii"]


def test_a_score_that_is_no_number_is_null_in_a_record(tmp_path: Path) -> None:
    save_record(tmp_path, Record("a", "in", "done", domain_score=float("nan"), volumes_ml={"liver": float("inf")}))
    assert "NaN" not in (text := (tmp_path / ".cohort" / "a.json").read_text()) and "Infinity" not in text


@pytest.mark.parametrize("wrong", [{"format": "txt"}, {"maps": "/etc"}, {"overlay": "../o.png"}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(SemganError):
        CohortSettings(**wrong)  # type: ignore[arg-type]


def test_the_table_is_complete_when_several_write_it_at_once(tmp_path: Path) -> None:
    cases = [Case(f"c{i:02d}", Path(f"c{i:02d}.nii")) for i in range(24)]
    (tmp_path / ".cohort").mkdir()

    def work(part: int) -> None:
        for case in cases[part::4]:
            save_record(tmp_path, Record(case.name, str(case.path), "done", volumes_ml={"liver": 1.0}))
            write_summary(tmp_path, cases, ["liver"])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    with open(tmp_path / "cohort.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["case"] for row in rows] == [case.name for case in cases]
    assert {row["status"] for row in rows} == {"done"} and rows[0]["liver ml"] == "1.00"
    assert {path.name for path in tmp_path.iterdir()} == {".cohort", "cohort.csv"}
