"""A reader sees in OHIF what was segmented: the names, the colours, and every organ where it is in the patient."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from scipy import ndimage

from monai_semgan import read_volume
from monai_semgan.io.dicom.seg_writing import write_dicom_seg
from monai_semgan.io.volume import Volume
from monai_semgan.organs import Segments, find_organ
from tests.dicomweb.nginx import needs_nginx
from tests.dicomweb.ohif import PUSH, reading_place
from tests.dicomweb.orthanc import needs_orthanc
from tests.dicomweb.phantom_series import write_ct
from tests.dicomweb.viewer_browser import OhifPage
from tests.phantoms import body_at, labels_at, points_of

pytestmark = [needs_orthanc, needs_nginx, pytest.mark.slow]

NAMES = {1: "liver", 2: "right kidney", 3: "left kidney", 4: "spleen", 5: "киста, groß"}
ORGANS = {index: NAMES[index] for index in range(1, 5)}
WINDOW = {"WindowCenter": "40", "WindowWidth": "400"}


@dataclass(frozen=True)
class Slice:
    """A slice as OHIF shows it.

    Attributes:
        number: `InstanceNumber`.
        picture: (H, W, 3).
    """

    number: int
    picture: np.ndarray

    def outline(self, name: str) -> np.ndarray:
        """Find what is drawn of an organ, as (n, 2) row and column."""
        return outline(self.picture, name)

    def place(self, mask: np.ndarray, body: np.ndarray) -> tuple[np.ndarray, float]:
        """Tell where the picture shall show a part of the patient, going by where it shows the body.

        Args:
            mask: (I, J, K) of the scan.
            body: likewise.

        Returns:
            Edges as of `bounds`, and how many pixels of the picture a pixel of the scan takes.
        """
        shown = bounds(body_shown(self.picture))
        whole, part = bounds(body[..., self.number - 1].T), bounds(mask[..., self.number - 1].T)
        scale = (shown[2:] - shown[:2]) / (whole[2:] - whole[:2])
        return (part - np.tile(whole[:2], 2)) * np.tile(scale, 2) + np.tile(shown[:2], 2), float(scale.max())


@dataclass(frozen=True)
class Reading:
    """What the reader got to see.

    Attributes:
        series: modalities in the list.
        segments: names and colours in the list.
        slices: those that OHIF jumps to, by name of the segment.
        measured: what OHIF measures, likewise.
        scan: what was segmented.
        labels: (I, J, K).
        body: likewise.
    """

    series: list[str]
    segments: dict[str, tuple[int, ...]]
    slices: dict[str, Slice]
    measured: dict[str, dict[str, str]]
    scan: Volume
    labels: np.ndarray
    body: np.ndarray


def outline(picture: np.ndarray, name: str) -> np.ndarray:
    """Find pixels (n, 2) of an organ's colour."""
    return np.argwhere((np.abs(picture - np.array(find_organ(name, 0).colour)) <= 3).all(axis=-1))


def body_shown(picture: np.ndarray) -> np.ndarray:
    """Find where the picture shows the patient, as (H, W): the largest thing that is not black."""
    found, _ = ndimage.label(picture.max(axis=-1) > 60)
    return np.asarray(found == np.bincount(found[found > 0]).argmax())


def bounds(mask: np.ndarray) -> np.ndarray:
    """Top, left, bottom and right edge of what is true in (H, W)."""
    places = np.argwhere(mask)
    return np.concatenate([places.min(axis=0), places.max(axis=0) + 1]).astype(float)


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Reading:
    """A CT and our segmentation of it go into the archive; OHIF opens the study and loads the segmentation."""
    folder = tmp_path_factory.mktemp("reading")
    scan = read_volume(write_ct(folder / "scan", spacing=(3.0, 3.0, 8.0), SeriesDescription="Abdomen", **WINDOW))
    points = points_of(scan.affine, scan.array.shape)
    labels = labels_at(points)
    labels[(np.abs(points - (-20.0, 20.0, 90.0)) < 12.0).all(axis=-1)] = 5
    write_dicom_seg(labels, scan, folder / "scan" / "seg.dcm", Segments(NAMES))
    study = dcmread(folder / "scan" / "seg.dcm", stop_before_pixels=True).StudyInstanceUID
    with reading_place(folder) as place:
        place.give(PUSH)
        with OhifPage(folder / "profile", f"{place.viewer}/viewer?StudyInstanceUIDs={study}") as page:
            page.load_segmentation()
            measured = {name: page.measured(name) for name in NAMES.values()}
            slices = {name: jump(page, name, folder) for name in ORGANS.values()}
            return Reading(page.series(), page.segments(), slices, measured, scan, labels, body_at(points))


def jump(page: OhifPage, name: str, folder: Path) -> Slice:
    """Go to the middle of an organ, and wait until it and the whole patient are shown; the screenshot is kept."""

    def shown(picture: np.ndarray) -> bool:
        body = body_shown(picture)[2:-2, 2:-2]  # a frame of two pixels is around the picture
        edges = (body[0], body[-1], body[:, 0], body[:, -1])
        return len(outline(picture, name)) > 100 and not any(edge.any() for edge in edges)

    picture = page.picture(name, folder / f"{name}.png", shown)
    return Slice(page.instance(), picture)


def test_the_lists_have_the_series_and_the_segments_by_our_names_and_colours(reading: Reading) -> None:
    assert sorted(reading.series) == ["CT", "SEG"]
    assert reading.segments == {name: find_organ(name, index).colour for index, name in NAMES.items()}


def test_the_liver_is_on_the_left_of_the_picture_and_the_spleen_on_the_right(reading: Reading) -> None:
    shown = reading.slices["liver"]
    middle = shown.picture.shape[1] / 2
    assert (shown.outline("liver")[:, 1] < middle).all()
    assert len(shown.outline("spleen")) > 100 and (shown.outline("spleen")[:, 1] > middle).all()


@pytest.mark.parametrize(("index", "name"), ORGANS.items())
def test_an_organ_is_drawn_where_it_is_to_a_pixel(reading: Reading, index: int, name: str) -> None:
    shown = reading.slices[name]
    expected, pixel = shown.place(reading.labels == index, reading.body)
    drawn = shown.outline(name)
    np.testing.assert_allclose([*drawn.min(axis=0), *(drawn.max(axis=0) + 1)], expected, atol=pixel)


@pytest.mark.parametrize(("index", "name"), NAMES.items())
def test_a_segment_has_our_number_of_voxels_and_our_centre(reading: Reading, index: int, name: str) -> None:
    measured, mask = reading.measured[name], reading.labels == index
    centre = np.append(np.argwhere(mask).mean(axis=0), 1.0) @ reading.scan.affine.T
    assert float(measured["Voxel Count"]) == mask.sum()
    told = [float(number) for number in measured["Center"].split(",")]
    np.testing.assert_allclose(told, centre[:3] * (-1, -1, 1), atol=0.51)  # LPS mm, of three digits
