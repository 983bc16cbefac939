"""`semgan serve` on an archive, labels of its images, and what the archive has of them."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import requests
from pydicom import Dataset, dcmread
from pydicom.uid import UID, generate_uid

from monai_semgan.io.reading import read_volume
from monai_semgan.io.volume import Volume
from monai_semgan.io.writing import write_volume
from monai_semgan.label_app.studies.study_scan import Group
from monai_semgan.label_app.studies.study_series import SeriesIndex
from tests.dicom_phantoms import datasets, write_series
from tests.dicomweb.orthanc import Orthanc
from tests.label_app.holes import ask as ask_without_key
from tests.label_app.servers import Server, start_semgan
from tests.phantoms import grid, labels_at, patient, points_of

T = TypeVar("T")
SEG = "1.2.840.10008.5.1.4.1.1.66.4"
NAMES = {1: "liver", 2: "right kidney", 3: "left kidney", 4: "spleen"}
READER = {"annotator": "Ada Lovelace", "label_info": [{"name": name, "idx": index} for index, name in NAMES.items()]}


USER, PASSWORD, KEY = "reader", "pass:word-of-a-test", "correct-horse-battery-staple"


def ask(server: Server, method: str, path: str, **options: Any) -> requests.Response:
    """An answer of the server, which is given its key."""
    return ask_without_key(server, method, path, headers={"X-API-Key": KEY}, **options)


@contextlib.contextmanager
def serving(
    url: str,
    home: Path,
    bundle: Path,
    *options: object,
    variables: Mapping[str, str] | None = None,
    kept: Path | None = None,
) -> Iterator[Server]:
    """The server; its labels lie in `home/labels`, or in the folder `kept` of an earlier one."""
    kept = kept or home / "labels"
    chosen = ("--labels", kept, "--bundle", bundle, *options)
    with start_semgan(url, home, *chosen, variables=variables, kept=kept) as server:
        yield server


def write_scan(
    folder: Path,
    modality: str = "CT",
    *,
    spacing: tuple[float, float, float] = (12.0, 12.0, 14.0),
    degrees: tuple[float, float, float] = (0.0, 0.0, 0.0),
    syntax: UID | None = None,
    **tags: Any,
) -> Path:
    """Write a series of the phantom in a study of its own, oblique or compressed if wanted."""
    affine, shape = grid(spacing, codes="LPS", degrees=degrees)
    array = np.rint(patient(affine, shape, modality, seed=1).array)
    scale = (1.0, -1024.0) if modality == "CT" else (1.0, 0.0)
    slices = datasets(array, affine, modality, scale, **{**new_uids(), **tags})
    write_series(folder, slices)
    if syntax is not None:
        for path in folder.iterdir():
            one = dcmread(path)
            one.compress(syntax, generate_instance_uid=False)
            one.save_as(path)
    return folder


def new_uids() -> dict[str, str]:
    """UIDs of a series in a study of its own."""
    return {name: generate_uid() for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")}


def ids(scans: Path, name: str) -> list[str]:
    """Ids that a server of the folder gives."""
    files = tuple(f"{name}/{path.name}" for path in (scans / name).iterdir())
    return [one.id for one in SeriesIndex(scans, scans / "unused.json").look(Group(name, files)).series]


def images(server: Server) -> dict[str, Any]:
    """Images of the server by id, with their labels."""
    return dict(ask(server, "GET", "/datastore/?output=all").json()["objects"])


def wait_for(look: Callable[[], T | None], what: str, seconds: float = 60.0) -> T:
    """What `look` returns as soon as that is something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.3)
    raise AssertionError(f"{what} did not happen within {seconds:.0f} s")


def download(server: Server, image: str, folder: Path) -> Volume:
    """The file of an image."""
    answer = ask(server, "GET", f"/datastore/image?image={image}")
    assert answer.status_code == 200, answer.text
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{image}.nrrd"
    path.write_bytes(answer.content)
    return read_volume(path)


def organs(volume: Volume) -> np.ndarray:
    """The phantom's organs on the grid of a scan."""
    return labels_at(points_of(volume.affine, volume.array.shape))


def label_file(array: np.ndarray, like: Volume, path: Path) -> Path:
    """A label as clients send it."""
    return write_volume(array.astype(np.uint8), like, path)


def save_label(server: Server, image: str, file: Path, params: Any = READER, tag: str = "final") -> requests.Response:
    """The answer to a label that is saved."""
    data, files = {"params": json.dumps(params)}, {"label": (file.name, file.read_bytes())}
    return ask(server, "PUT", f"/datastore/label?image={image}&tag={tag}", data=data, files=files)


def saved(server: Server, image: str, file: Path, params: Any = READER) -> dict[str, Any]:
    """What the server tells of sending a label that it has saved."""
    answer = save_label(server, image, file, params)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["archive"])


def send_again(server: Server, image: str) -> dict[str, Any]:
    """What the server tells of sending a label once more."""
    answer = ask(server, "POST", f"/semgan/archive/submissions/{image}/final")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def unsent(server: Server) -> dict[str, dict[str, Any]]:
    """Labels that the archive does not have, by image."""
    return {one["image"]: one for one in ask(server, "GET", "/semgan/archive").json()["unsent"]}


def results(orthanc: Orthanc, folder: Path, modality: str = "SEG") -> dict[str, Path]:
    """Files of results that Orthanc has, by the UID of their series."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {"Level": "Instance", "Query": {"Modality": modality}}
    found = {}
    for name in orthanc.rest("/tools/find", json.dumps(wanted).encode()):
        path = folder / f"{name}.dcm"
        path.write_bytes(orthanc.get(f"/instances/{name}/file"))
        found[str(dcmread(path, specific_tags=["SeriesInstanceUID"]).SeriesInstanceUID)] = path
    return found


def segments(dataset: Dataset, scan: Path) -> dict[str, np.ndarray]:
    """Masks of the segments of a DICOM segmentation by name, on the grid of the scan, by nothing but its own header."""
    volume = read_volume(scan)
    to_voxel = np.linalg.inv(volume.affine)
    shared, masks = dataset.SharedFunctionalGroupsSequence[0], dict[str, np.ndarray]()
    names = {segment.SegmentNumber: segment.SegmentLabel for segment in dataset.SegmentSequence}
    frames = np.atleast_3d(dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns))
    for group, frame in zip(dataset.PerFrameFunctionalGroupsSequence, frames, strict=True):
        direction = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float).reshape(2, 3)
        rows, columns = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
        place = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
        at = np.argwhere(frame)
        points = place + at[:, 1:] * columns * direction[0] + at[:, :1] * rows * direction[1]
        ijk = np.rint(np.c_[points * (-1, -1, 1), np.ones(len(points))] @ to_voxel.T)[:, :3].astype(int)
        name = names[group.SegmentIdentificationSequence[0].ReferencedSegmentNumber]
        masks.setdefault(name, np.zeros(volume.array.shape, bool))[tuple(ijk.T)] = True
    return masks


def related(dataset: Dataset) -> Sequence[str]:
    """UIDs of the series that a result replaces."""
    return [str(one.SeriesInstanceUID) for one in dataset.get("RelatedSeriesSequence", ())]
