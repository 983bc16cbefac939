"""Final labels go to the archive as DICOM segmentations, each version once, beside what is there."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("monailabel", reason="needs the environment of the extra label")

import nrrd
from pydicom import Dataset, dcmread

from monai_semgan.io.reading import read_label, read_volume
from tests.dicomweb.orthanc import Orthanc, needs_orthanc
from tests.io.test_segments import errors_in, needs_dciodvfy
from tests.label_app.archive_store.serving import (
    NAMES,
    READER,
    ask,
    download,
    ids,
    images,
    label_file,
    organs,
    related,
    results,
    save_label,
    saved,
    segments,
    send_again,
    unsent,
    wait_for,
)
from tests.label_app.servers import Server
from tests.phantoms import save_nifti

pytestmark = [pytest.mark.label, needs_orthanc]
SHA256 = "0123456789abcdef" * 4


def series_of(archive: Orthanc, told: dict[str, Any], folder: Path) -> Path:
    """The segmentation that the server tells of."""
    assert told["state"] == "sent" and told["reason"] == "", told
    return results(archive, folder)[told["series"]]


def algorithm(result: Dataset) -> Dataset:
    """What a segmentation says of the model."""
    found: Dataset = result.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0]
    return found


def numbers_in(content: Dataset) -> Iterator[float]:
    """Values of a structured report."""
    for item in content.get("ContentSequence", ()):
        yield from (float(one.NumericValue) for one in item.get("MeasuredValueSequence", ()))
        yield from numbers_in(item)


def is_successor(contours: Dataset) -> bool:
    """Whether a structure set takes the place of another."""
    return "PredecessorStructureSetSequence" in contours


@pytest.fixture(scope="module")
def sent(server: Server, archive: Orthanc, scans: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A label of the oblique CT that was sent: image, label, answer, and the file that the archive has."""
    folder = tmp_path_factory.mktemp("sent")
    (image,) = ids(scans, "ct")
    volume = download(server, image, folder)
    file = label_file(organs(volume), volume, folder / "label.nii.gz")
    told = saved(server, image, file, {**READER, "model": "semgan_preview", "edited": True})
    return {"image": image, "file": file, "told": told, "object": series_of(archive, told, folder)}


def test_a_final_label_is_in_the_archive_voxel_by_voxel(sent: dict[str, Any], scans: Path) -> None:
    volume, result = read_volume(scans / "ct"), dcmread(sent["object"])
    masks, wanted = segments(result, scans / "ct"), organs(volume)
    assert set(masks) == {NAMES[index] for index in np.unique(wanted) if index}
    for index, name in NAMES.items():
        if name in masks:
            np.testing.assert_array_equal(masks[name], wanted == index, err_msg=name)
    assert result.StudyInstanceUID == dcmread(next((scans / "ct").iterdir())).StudyInstanceUID


def test_the_right_side_of_the_body_stays_the_right_one(sent: dict[str, Any], scans: Path) -> None:
    liver = segments(dcmread(sent["object"]), scans / "ct")["liver"]
    volume = read_volume(scans / "ct")
    centre = volume.affine @ [*np.argwhere(liver).mean(axis=0), 1]
    assert centre[0] > 12  # RAS: the patient's right of the phantom's centre, as the phantom has it


def test_readers_of_dicom_find_the_same_label(sent: dict[str, Any], scans: Path) -> None:
    import highdicom

    own = read_label(sent["object"], like=read_volume(scans / "ct"), names=NAMES)
    np.testing.assert_array_equal(own.array, organs(read_volume(scans / "ct")))
    segmentation = highdicom.seg.segread(sent["object"])
    codes = {
        one.segment_label: one.segmented_property_type.value
        for one in map(segmentation.get_segment_description, segmentation.segment_numbers)
    }
    assert codes["liver"] == "10200004" and codes["spleen"] == "78961009"


def test_it_tells_who_made_it_and_from_what(sent: dict[str, Any]) -> None:
    result = dcmread(sent["object"])
    (first, *_) = result.SegmentSequence
    assert result.ContentCreatorName == "Ada Lovelace^" and first.SegmentAlgorithmType == "SEMIAUTOMATIC"
    assert algorithm(result).AlgorithmParameters.startswith("weights_sha256=")


@needs_dciodvfy
def test_neither_it_nor_its_contours_have_an_error(sent: dict[str, Any], archive: Orthanc, tmp_path: Path) -> None:
    (contours,) = results(archive, tmp_path, "RTSTRUCT").values()
    assert not errors_in(sent["object"]) and not errors_in(contours)
    names = {str(one.ROIName) for one in dcmread(contours).StructureSetROISequence}
    assert names == {str(one.SegmentLabel) for one in dcmread(sent["object"]).SegmentSequence}


@needs_dciodvfy
def test_the_volumes_are_in_a_report_of_it(sent: dict[str, Any], archive: Orthanc, scans: Path, tmp_path: Path) -> None:
    (path,) = results(archive, tmp_path, "SR").values()
    report, volume = dcmread(path), read_volume(scans / "ct")
    values = sorted(numbers_in(report))
    masks = segments(dcmread(sent["object"]), scans / "ct").values()
    np.testing.assert_allclose(values, sorted(mask.sum() * volume.voxel_ml for mask in masks), rtol=1e-3)
    assert str(dcmread(sent["object"]).SOPInstanceUID) in str(report) and not errors_in(path)


def test_the_same_label_is_sent_once(sent: dict[str, Any], server: Server, archive: Orthanc, tmp_path: Path) -> None:
    before = results(archive, tmp_path)
    again = saved(server, sent["image"], sent["file"], {**READER, "model": "semgan_preview", "edited": True})
    assert again == sent["told"] == send_again(server, sent["image"])
    assert results(archive, tmp_path).keys() == before.keys() and sent["image"] not in unsent(server)


def test_a_changed_label_is_a_new_series_that_replaces_the_one_before(
    sent: dict[str, Any], server: Server, archive: Orthanc, scans: Path, tmp_path: Path
) -> None:
    volume = read_volume(scans / "ct")
    changed = np.where(organs(volume) == 4, 0, organs(volume))
    told = saved(server, sent["image"], label_file(changed, volume, tmp_path / "label.nii.gz"))
    result = dcmread(series_of(archive, told, tmp_path))
    contours = sorted(map(dcmread, results(archive, tmp_path, "RTSTRUCT").values()), key=is_successor)
    (replaced,) = contours[-1].PredecessorStructureSetSequence
    assert replaced.ReferencedSOPInstanceUID == contours[0].SOPInstanceUID and len(contours) == 2
    assert len(results(archive, tmp_path, "SR")) == 2
    assert sent["told"]["series"] in related(result) and "spleen" not in segments(result, scans / "ct")
    assert result.SegmentSequence[0].SegmentAlgorithmType == "MANUAL"  # nobody told of a model
    assert results(archive, tmp_path)[sent["told"]["series"]].read_bytes() == sent["object"].read_bytes()


def test_two_readers_at_once_send_no_label_twice_and_none_under_the_name_of_the_other(
    server: Server, archive: Orthanc, scans: Path, tmp_path: Path
) -> None:
    (image,) = ids(scans, "packed")
    volume = download(server, image, tmp_path)
    answers: list[dict[str, Any]] = []

    def read(name: str, organ: int) -> None:
        file = label_file((organs(volume) == organ) * organ, volume, tmp_path / f"{organ}.nii.gz")
        answers.append(saved(server, image, file, {**READER, "annotator": name}))

    readers = [threading.Thread(target=read, args=one) for one in (("Ada", 1), ("Bea", 4), ("Bea", 4))]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(120)
    assert len(answers) == 3 and all(one["state"] == "sent" for one in answers)
    there = {uid: dcmread(path) for uid, path in results(archive, tmp_path / "results").items()}
    uids = {one["series"] for one in answers}
    study = dcmread(next((scans / "packed").iterdir())).StudyInstanceUID
    assert {uid for uid, one in there.items() if one.StudyInstanceUID == study} == uids
    told = {str(there[uid].ContentCreatorName): [s.SegmentLabel for s in there[uid].SegmentSequence] for uid in uids}
    assert told.items() <= {"Ada^": ["liver"], "Bea^": ["spleen"]}.items() and len(told) == len(uids)


def test_segments_of_several_layers_keep_their_names_and_own_structures_are_sent(
    server: Server, archive: Orthanc, scans: Path, tmp_path: Path
) -> None:
    (image,) = ids(scans, "mr")
    volume = download(server, image, tmp_path)
    wanted = organs(volume)
    layers = np.stack([wanted == 4, (wanted == 1) * 1], axis=0).astype(np.uint8)
    directions = volume.affine[:3, :3].T * (-1, -1, 1)
    header: dict[str, Any] = {"space": "left-posterior-superior", "kinds": ["list", "domain", "domain", "domain"]}
    header |= {"space directions": np.vstack([np.full(3, np.nan), directions])}
    header |= {"space origin": volume.affine[:3, 3] * (-1, -1, 1)}
    for number, (name, layer) in enumerate((("spleen", 0), ("my own lesion", 1))):
        header |= {f"Segment{number}_ID": f"s{number}", f"Segment{number}_Name": name}
        header |= {f"Segment{number}_Layer": str(layer), f"Segment{number}_LabelValue": "1"}
    path = tmp_path / "label.seg.nrrd"
    nrrd.write(str(path), layers, header)
    told = saved(server, image, path, {"annotator": "Ada", "model": "another model", "edited": False})
    result = dcmread(series_of(archive, told, tmp_path))
    masks = segments(result, scans / "mr")
    np.testing.assert_array_equal(masks["spleen"], wanted == 4)
    np.testing.assert_array_equal(masks["my own lesion"], wanted == 1)
    assert algorithm(result).AlgorithmName == "another model"
    assert "AlgorithmParameters" not in algorithm(result)  # its weights are not of this server
    assert not errors_in(results(archive, tmp_path)[told["series"]])


def test_a_label_of_one_volume_of_a_series_refers_to_its_images_alone(
    server: Server, archive: Orthanc, scans: Path, tmp_path: Path
) -> None:
    whole = [image for image in images(server) if image.startswith("mr_12_")]
    _, second = ids(scans, "echoes")
    if second not in whole:
        ask(server, "GET", f"/datastore/image?image={whole[0]}")
    volume = download(server, second, tmp_path)
    told = saved(
        server,
        second,
        label_file(organs(volume), volume, tmp_path / "label.nrrd"),
        {**READER, "model": "SemGAN", "model_version": "7", "model_sha256": SHA256},
    )
    result = dcmread(series_of(archive, told, tmp_path))
    files = [dcmread(path) for path in (scans / "echoes").iterdir()]
    own = {str(file.SOPInstanceUID) for file in files if str(file.EchoNumbers) == "2"}
    (series,) = result.ReferencedSeriesSequence
    assert {str(one.ReferencedSOPInstanceUID) for one in series.ReferencedInstanceSequence} <= own
    assert algorithm(result).AlgorithmParameters == f"weights_sha256={SHA256}"


def test_an_empty_label_is_kept_here_and_the_reader_is_told(server: Server, scans: Path, tmp_path: Path) -> None:
    (image,) = ids(scans, "mr")
    volume = download(server, image, tmp_path)
    empty = label_file(np.zeros(volume.array.shape), volume, tmp_path / "label.nii.gz")
    told = saved(server, image, empty, {"annotator": "Ada", "allow_empty": True})
    assert told["state"] == "refused" and "empty" in told["reason"] and str(server.studies) not in told["reason"]
    assert unsent(server)[image]["reason"] == told["reason"]
    assert ask(server, "DELETE", f"/datastore/label?id={image}&tag=final").ok and image not in unsent(server)


def test_what_no_reader_has_called_final_is_not_sent(
    sent: dict[str, Any], server: Server, archive: Orthanc, tmp_path: Path
) -> None:
    before = results(archive, tmp_path).keys()
    image, file = sent["image"], sent["file"]
    assert "archive" not in save_label(server, image, file, tag="preliminary").json()
    params = {"params": json.dumps({"save_label": True, "label_tag": "original"})}
    ask(server, "POST", f"/infer/semgan_preview?image={image}", data=params)
    assert ask(server, "POST", f"/semgan/archive/submissions/{image}/original").status_code in (404, 409)
    affine = np.diag([9.0, 9, 9, 1])
    scan = save_nifti(tmp_path / "scan.nii.gz", np.random.default_rng(0).random((9, 9, 9)), affine)
    with scan.open("rb") as content:
        assert ask(server, "PUT", "/datastore/image?image=uploaded", files={"file": content}).ok
    label = save_nifti(tmp_path / "label.nii.gz", np.ones((9, 9, 9), np.uint8), affine)
    assert "archive" not in save_label(server, "uploaded", label).json()
    answer = ask(server, "POST", "/semgan/archive/submissions/uploaded/final")
    assert answer.status_code == 409 and "archive" in answer.json()["detail"]
    assert results(archive, tmp_path).keys() == before and "uploaded" not in unsent(server)


def test_while_the_archive_is_away_the_server_goes_on_and_keeps_labels_for_it(
    sent: dict[str, Any], server: Server, archive: Orthanc, scans: Path, tmp_path: Path
) -> None:
    volume, image, known = read_volume(scans / "ct"), sent["image"], images(server).keys()
    before = results(archive, tmp_path).keys()
    archive.stop()
    try:
        told = saved(
            server, image, label_file(organs(volume) == 4, volume, tmp_path / "label.nii.gz"), {"annotator": "Ada"}
        )
        assert told["state"] == "waiting" and "cannot be reached" in told["reason"]
        wait_for(lambda: "cannot be reached" in ask(server, "GET", "/semgan/archive").json()["trouble"], "the trouble")
        assert unsent(server)[image]["state"] == "waiting" and images(server).keys() == known
        assert ask(server, "GET", f"/datastore/image?image={image}").ok  # fetched before
        never = [one for one in known if one.startswith("ct_44_")]
        answer = ask(server, "GET", f"/datastore/image?image={never[0]}")
        assert answer.status_code == 504 and "cannot be reached" in answer.json()["detail"]
        assert send_again(server, image)["state"] == "waiting"
    finally:
        archive.start()
    (kept,) = server.studies.glob(f".semgan/outgoing/{image}/final/*/segmentation.dcm")
    uid = dcmread(kept).SOPInstanceUID
    assert send_again(server, image)["state"] == "sent" and image not in unsent(server)
    new = results(archive, tmp_path).keys() - before
    assert len(new) == 1 and dcmread(results(archive, tmp_path)[new.pop()]).SOPInstanceUID == uid
    assert not kept.exists()  # the archive has it now
