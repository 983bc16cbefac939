"""`semgan segment --report`, read as its readers do."""

from __future__ import annotations

import base64
import csv
import io
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from monai_semgan.bundle.load import load_bundle
from monai_semgan.cli import main
from monai_semgan.inference.segmentation import segment
from monai_semgan.outputs.report import write_report
from monai_semgan.slicing.geometry import SliceGeometry
from tests.dicom_phantoms import datasets, write_series
from tests.phantoms import grid, patient, save_nifti


class Page(HTMLParser):
    """Pictures, tags and words of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.pictures: list[dict[str, str | None]] = []
        self.words, self.tags = "", []
        self.feed(text)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        if tag == "img":
            self.pictures.append(dict(attrs))

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.fixture
def report(tmp_path: Path, ct_scan: Path, tiny_bundle: Path) -> Path:
    folder = tmp_path / "report"
    arguments = ["--bundle", str(tiny_bundle), "--report", str(folder), "--no-cleanup", "--quiet"]
    assert main(["segment", str(ct_scan), "-o", str(tmp_path / "o.nii.gz"), *arguments]) == 0
    return folder


def test_the_page_shows_every_organ_and_needs_no_network(report: Path) -> None:
    text = (report / "report.html").read_text()
    page = Page(text)
    assert "not for clinical use" in page.words and "script" not in page.tags and "http" not in text
    found = [organ for organ in json.loads((report / "report.json").read_text())["organs"] if organ["found"]]
    assert found and len(page.pictures) == 3 * len(found)
    for picture in page.pictures:
        data = str(picture["src"]).removeprefix("data:image/png;base64,")
        assert Image.open(io.BytesIO(base64.b64decode(data))).size[0] == 300 and picture["alt"]


def test_the_json_says_the_same_in_numbers(report: Path, tmp_path: Path) -> None:
    from monai_semgan.io.reading import read_volume

    content = json.loads((report / "report.json").read_text())
    label = read_volume(tmp_path / "o.nii.gz", integer=True)
    for organ in content["organs"]:
        ml = float((label.array == organ["label"]).sum()) * label.voxel_ml
        assert organ["volume_ml"] == pytest.approx(ml, abs=0.01)
        assert organ["diameter_mm"] >= organ["axial_diameter_mm"] and organ["found"] == (ml > 0)
    assert len(content["doubt"]["values"]) == content["scan"]["slices"]
    assert content["curve"]["name"] == "residual" and len(content["model"]["weights_sha256"]) == 64
    assert content["schema_version"] == 2 and content["settings"]["mode"] == "preview"


def test_a_scan_of_a_few_slices_is_reported_as_one_of_which_nothing_can_be_told(
    tmp_path: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    affine, shape = grid((4.0, 4.0, 5.0), field=(330.0, 240.0, 15.0))
    scan = save_nifti(tmp_path / "low.nii.gz", patient(affine, shape, seed=1).array, affine)
    config = tiny_bundle / "configs" / "inference.json"
    weights = {"preview": {"intercept": 2.0, "doubt": 1.0}}
    config.write_text(json.dumps(json.loads(config.read_text()) | {"domain": {"weights": weights}}))
    arguments = ["-o", str(tmp_path / "o.nii.gz"), "--bundle", str(tiny_bundle), "--report", str(tmp_path / "r")]
    assert main(["segment", str(scan), *arguments, "--anatomy-check", "--quiet"]) == 0
    printed = capsys.readouterr()
    assert "Out-of-domain score: cannot tell. Not checked: 3 slices only, 15 mm high" in printed.out + printed.err
    assert "not checked" in printed.out
    content = json.loads((tmp_path / "r" / "report.json").read_text())
    assert content["domain"]["score"] is None and content["domain"]["verdict"] == "cannot tell"
    assert not any(organ["expected_dice"] for organ in content["organs"])
    page = Page((tmp_path / "r" / "report.html").read_text())
    assert "Out-of-domain score: cannot tell." in page.words and "in domain" not in page.words


@pytest.mark.parametrize(
    "weights", [{"preview": {"intercept": 2.0, "doubt": 1.0}}, {"rendered": {"intercept": 1.0}}, {}]
)
def test_a_cohort_says_that_it_cannot_tell_of_parts_and_without_calibration(
    tmp_path: Path, tiny_bundle: Path, weights: dict[str, dict[str, float]]
) -> None:
    affine, shape = grid((4.0, 4.0, 5.0), field=(330.0, 240.0, 15.0))
    (tmp_path / "in").mkdir()
    save_nifti(tmp_path / "in" / "low.nii.gz", patient(affine, shape, seed=1).array, affine)
    (tmp_path / "in" / "broken.nii.gz").write_bytes(b"no scan")
    config = tiny_bundle / "configs" / "inference.json"
    settings = json.loads(config.read_text())
    settings.pop("domain", None)
    config.write_text(json.dumps(settings | ({"domain": {"weights": weights}} if weights else {})))
    out = tmp_path / "out"
    assert main(["segment", str(tmp_path / "in"), "-o", str(out), "--bundle", str(tiny_bundle), "--quiet"]) == 3
    broken, low = csv.DictReader((out / "cohort.csv").read_text().splitlines())
    assert low["domain score"] == "" and low["domain verdict"] == "cannot tell"
    assert broken["status"] == "failed" and broken["domain verdict"] == "", "of what was not segmented nothing is said"


def test_an_inversion_reports_its_residual(tmp_path: Path, ct_scan: Path, tiny_bundle: Path) -> None:
    arguments = ["--bundle", str(tiny_bundle), "--report", str(tmp_path / "r"), "--mode", "invert", "--quiet"]
    assert main(["segment", str(ct_scan), "-o", str(tmp_path / "o.nii.gz"), *arguments]) == 0
    content = json.loads((tmp_path / "r" / "report.json").read_text())
    assert content["curve"]["name"] == "residual" and max(content["curve"]["values"]) > 0
    assert content["curve"]["slices"] == list(range(content["scan"]["slices"]))
    assert content["settings"]["steps"] >= 1


def test_a_preview_is_rendered_at_some_slices(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from monai_semgan.bundle.load import load_bundle
    from monai_semgan.inference.segmentation import segment
    from monai_semgan.outputs.report.content import residual_curve

    bundle, scan = load_bundle(tiny_bundle), patient(*grid((8.0, 8.0, 6.0)))
    monkeypatch.setattr("monai_semgan.outputs.report.rendered_residual.RENDERED", 9)
    some = residual_curve(segment(scan, bundle), bundle)
    every = residual_curve(segment(scan, bundle, "encoder"), bundle)
    assert some is not None and every is not None and len(some.slices) == 9 < len(every.slices)
    assert some.values == pytest.approx([every.values[i] for i in some.slices], abs=2e-3)


def test_the_label_is_laid_on_the_slices_once_for_all_organs(
    tmp_path: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, scan = load_bundle(tiny_bundle, "cpu"), patient(*grid((8.0, 8.0, 12.0)))
    result, asked = segment(scan, bundle, cleanup=False), []
    extract = SliceGeometry.extract

    def counted(geometry: SliceGeometry, array: Any, *arguments: Any) -> Any:
        asked.append(array is result.label)
        return extract(geometry, array, *arguments)

    monkeypatch.setattr(SliceGeometry, "extract", counted)
    written = write_report(result, scan, bundle, tmp_path / "report")
    organs = [organ for organ in json.loads(written.json.read_text())["organs"] if organ["found"]]
    assert len(organs) > 1 and all(organ["slices"] for organ in organs)
    assert asked == [True, True], "for the text, and for the pictures"


def test_nobody_is_named_unless_asked_for(tmp_path: Path, tiny_bundle: Path) -> None:
    affine, shape = grid((8.0, 8.0, 12.0), codes="LPS")
    slices = datasets(
        patient(affine, shape, seed=0).array, affine, PatientName="Hildegard^Quastenflosser", PatientID="secret-4711"
    )
    series = write_series(tmp_path / "doe_jane_1970", slices)
    arguments = ["segment", str(series), "--bundle", str(tiny_bundle), "--quiet", "--report"]
    assert main([*arguments, str(tmp_path / "r"), "-o", str(tmp_path / "o.nii.gz")]) == 0
    both = "".join((tmp_path / "r" / name).read_text() for name in ("report.html", "report.json"))
    assert not [
        word for word in ("Hildegard", "Quastenflosser", "secret-4711", "doe_jane", str(tmp_path)) if word in both
    ]
    assert main([*arguments, str(tmp_path / "named"), "-o", str(tmp_path / "p.nii.gz"), "--identifiers"]) == 0
    assert json.loads((tmp_path / "named" / "report.json").read_text())["identifiers"]["PatientID"] == "secret-4711"


def test_notes_on_series_stay_in_reports_without_names(tmp_path: Path, tiny_bundle: Path) -> None:
    affine, shape = grid((8.0, 8.0, 12.0), codes="LPS")
    array = patient(affine, shape, seed=0).array
    other = datasets(array[..., :3], affine, SeriesInstanceUID="1.2.987654", SeriesNumber="")
    series = write_series(tmp_path / "scan", [*datasets(array, affine), *other])
    (series / "jane_doe.dcm").touch()
    arguments = ["segment", str(series), "--bundle", str(tiny_bundle), "--quiet"]
    assert main([*arguments, "-o", str(tmp_path / "o.nii.gz"), "--report", str(tmp_path / "r")]) == 0
    notes = json.loads((tmp_path / "r" / "report.json").read_text())["notes"]
    assert "Not used beside the series: 1 is empty." in notes
    assert "One of 2 series is taken, the largest CT or MR." in notes
    assert not [note for note in notes if "jane" in note or "987654" in note or "the the" in note]


def test_a_private_note_keeps_both_texts_in_other_processes() -> None:
    import copy
    import pickle

    from monai_semgan.io.private_note import PrivateNote, public_notes

    note = PrivateNote("IM0003 is empty.", "One is empty.")
    for again in (note, pickle.loads(pickle.dumps(note)), copy.deepcopy(note)):
        assert again == "IM0003 is empty." and public_notes([again, "x"]) == ["One is empty.", "x"]


def test_a_report_folder_that_is_a_file_is_one_line(
    tmp_path: Path, ct_scan: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r").write_text("x")
    output = tmp_path / "o.nii.gz"
    arguments = [
        "segment",
        str(ct_scan),
        "-o",
        str(output),
        "--bundle",
        str(tiny_bundle),
        "--report",
        str(tmp_path / "r"),
    ]
    assert main(arguments) == 2
    error = capsys.readouterr().err.strip()
    assert "a folder is needed" in error and "\n" not in error and not output.exists()


def test_the_anatomy_check_prints_its_lines(
    tmp_path: Path, ct_scan: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["segment", str(ct_scan), "-o", str(tmp_path / "o.nii.gz"), "--bundle", str(tiny_bundle), "--quiet"]
    assert main([*arguments, "--anatomy-check"]) == 0
    assert " ml" in capsys.readouterr().out


def test_the_anatomy_is_examined_once_for_check_and_report(
    tmp_path: Path,
    ct_scan: Path,
    tiny_bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from monai_semgan.inference import examination

    calls, check = [], examination.check_anatomy
    monkeypatch.setattr(examination, "check_anatomy", lambda *given: calls.append(1) or check(*given))
    arguments = ["segment", str(ct_scan), "-o", str(tmp_path / "o.nii.gz"), "--bundle", str(tiny_bundle), "--quiet"]
    assert main([*arguments, "--anatomy-check", "--report", str(tmp_path / "r")]) == 0
    told = json.loads((tmp_path / "r" / "report.json").read_text())["anatomy"]
    printed = capsys.readouterr().out
    assert len(calls) == 1 and told and all(check["finding"] in printed for check in told)
