"""How slices are cut and scaled, decided from what the scans of the training list are like."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from monai_semgan.modalities import CT_WINDOW, MR_PERCENTILES
from monai_semgan.slicing.model_settings import ModelSettings
from monai_semgan.slicing.planes import AXIAL, STORED, PlaneProposal, propose_plane
from monai_semgan.slicing.planes import slice_axis as stored_axis
from monai_semgan.training.planning.decision import Decision
from monai_semgan.training.planning.scan_look import LabelLook, ScanLook

SMALLEST, LARGEST = 32, 128
"""Pixels of a slice: a smaller one has no room for the networks' levels, a larger one takes four times the time for
each doubling and is for the user to choose."""

SPARE = 1.25
"""Pixels may be so much coarser than those of the scans before twice as many are taken."""

FITTING = 75
"""Percentile of the bodies that fit into the slices; pixels grow for wider ones."""

STEP_MM = 0.05
"""Pixels are rounded up to a multiple."""

STEP_HU = 25.0
"""Windows end at a multiple."""

WIDE_PERCENTILES = (0.1, 99.9)
OUTSIDE_SHARE = 0.5
"""A structure of which so much lies outside of the usual percentiles would be one grey value."""


def decide_slices(
    scans: Sequence[ScanLook],
    view: str,
    plane: str,
    like: ModelSettings | None = None,
    size: int | None = None,
    pixel_mm: float | None = None,
) -> list[Decision]:
    """Decide size, pixel, window and percentiles.

    Args:
        scans: of the training list.
        view: `body` or `image`, see `Preprocessing.field_of_view`.
        plane: `axial` or `stored`.
        like: settings of weights that the run begins with: they decide then.
        size: of the slices, where the user has chosen it: the pixel follows from it.
        pixel_mm: likewise: the size follows from it.
    """
    if like is not None:
        reason = "as the weights that the run begins with."
        same = ("size", "pixel_mm", "window", "percentiles")
        return [Decision(name, getattr(like.preprocessing, name), reason) for name in same]
    if view == "image":
        return [_image_size(scans), *_grey_values(scans, view)]
    return [*_size_and_pixel(scans, plane, size, pixel_mm), *_grey_values(scans, view)]


def decide_plane(scans: Sequence[ScanLook], view: str, like: ModelSettings | None = None) -> tuple[Decision, list[str]]:
    """Decide in which plane volumes are cut, and what to doubt about it; arguments as for `decide_slices`."""
    if like is not None:
        return Decision("plane", like.preprocessing.plane, "as the weights that the run begins with."), []
    if view == "image":
        return Decision("plane", AXIAL, "means nothing in single images.", usual=True), []
    found: PlaneProposal = propose_plane([np.asarray(scan.affine) for scan in scans], [scan.shape for scan in scans])
    return Decision("plane", found.plane, found.reason, usual=found.plane == AXIAL), list(found.doubts)


def slice_axis(scan: ScanLook, plane: str) -> int:
    """Voxel axis that slices follow one another along."""
    stored = stored_axis(np.asarray(scan.affine), scan.shape) if plane == STORED else None
    return scan.slice_axis if stored is None else stored


def field_mm(scan: ScanLook, plane: str) -> float:
    """Side of the square that the body needs in a slice."""
    across = slice_axis(scan, plane)
    return max(extent for axis, extent in enumerate(scan.body_mm) if axis != across)


def native_mm(scan: ScanLook, plane: str) -> float:
    """Finest pixel that the scan has in its slices."""
    across = slice_axis(scan, plane)
    return min(spacing for axis, spacing in enumerate(scan.spacing_mm) if axis != across)


def _size_and_pixel(
    scans: Sequence[ScanLook], plane: str, chosen_size: int | None, chosen_mm: float | None
) -> list[Decision]:
    field = float(np.percentile([field_mm(scan, plane) for scan in scans], FITTING))
    native = float(np.median([native_mm(scan, plane) for scan in scans]))
    wanted = field / (chosen_mm or native)
    size = power_of_two(wanted)
    cut = chosen_size or size
    pixel = math.ceil(field / cut / STEP_MM - 1e-6) * STEP_MM
    how = f"are scanned with pixels of {native:.2f} mm" if chosen_mm is None else f"your pixels have {chosen_mm:g} mm"
    facts = f"the bodies need {field:.0f} mm and {how}"
    fit = f"three quarters of the bodies fit into {cut * pixel:.0f} mm; the pixels grow for wider ones."
    return [
        Decision("size", size, f"{facts}, {wanted:.0f} pixels; {_limit(size, wanted)}."),
        Decision("pixel_mm", round(pixel, 2), fit),
    ]


def _image_size(scans: Sequence[ScanLook]) -> Decision:
    pixels = float(np.median([max(scan.shape) for scan in scans]))
    size = power_of_two(pixels)
    return Decision("size", size, f"the images have {pixels:.0f} pixels; {_limit(size, pixels)}.")


def power_of_two(pixels: float) -> int:
    """The smallest size that loses little of so many pixels, within what is trained in reasonable time."""
    wanted = 2 ** math.ceil(math.log2(max(1.0, pixels / SPARE)))
    return int(min(LARGEST, max(SMALLEST, wanted)))


def _limit(size: int, pixels: float) -> str:
    if size == LARGEST and pixels > SPARE * size:
        return f"more than {size} would take four times as long"
    return f"{size} is the power of two that keeps them" if size >= pixels / SPARE else f"{size} is enough"


def _grey_values(scans: Sequence[ScanLook], view: str) -> list[Decision]:
    window = (
        _window([scan for scan in scans if scan.modality == "CT"])
        if view == "body"
        else Decision("window", CT_WINDOW, "means nothing in single images.", usual=True)
    )
    return [window, _percentiles([scan for scan in scans if scan.modality != "CT"])]


def _window(scans: Sequence[ScanLook]) -> Decision:
    """The soft-tissue window, widened for structures that lie outside: fat and air around them tell where they are."""
    looks = [look for scan in scans for look in scan.labels.values()]
    if not looks:
        why = "no CT is labelled" if scans else "there is no CT"
        return Decision("window", CT_WINDOW, f"{why}: the usual one of soft tissue.", usual=True)
    darkest = min(float(look.grey[2]) for look in looks)
    brightest = max(float(look.grey[2]) for look in looks)
    low = _edge(min(CT_WINDOW[0], _lowest(looks, darkest)), math.floor)
    high = _edge(max(CT_WINDOW[1], _highest(looks, brightest)), math.ceil)
    span = f"the middle grey values of the structures lie between {darkest:.0f} and {brightest:.0f} HU"
    if (low, high) == CT_WINDOW:
        return Decision("window", CT_WINDOW, f"{span}, inside the usual window of soft tissue.", usual=True)
    return Decision("window", (low, high), f"{span}: the window of soft tissue is widened to hold them.")


def _lowest(looks: Sequence[LabelLook], darkest: float) -> float:
    """1st percentile of the structures whose middle lies below the window; the others may have air in them."""
    dark = [look.grey[1] for look in looks if look.grey[2] < CT_WINDOW[0]]
    return min(darkest, float(np.median(dark))) if dark else darkest


def _highest(looks: Sequence[LabelLook], brightest: float) -> float:
    bright = [look.grey[3] for look in looks if look.grey[2] > CT_WINDOW[1]]
    return max(brightest, float(np.median(bright))) if bright else brightest


def _edge(value: float, rounded: Callable[[float], int]) -> float:
    return float(rounded(value / STEP_HU)) * STEP_HU


def _percentiles(scans: Sequence[ScanLook]) -> Decision:
    low, high = MR_PERCENTILES
    if not scans:
        return Decision("percentiles", MR_PERCENTILES, "all scans are CT, which has a window.", usual=True)
    if any(scan.colour for scan in scans):
        return Decision(
            "percentiles", MR_PERCENTILES, "mean nothing in colours, which are taken as they are.", usual=True
        )
    beyond = [scan.name for scan in scans if any(not _inside(scan, look.grey[2]) for look in scan.labels.values())]
    if len(beyond) > OUTSIDE_SHARE * sum(bool(scan.labels) for scan in scans) and beyond:
        reason = f"half of a structure lies beyond the percentiles {low:g} and {high:g} in {len(beyond)} scans."
        return Decision("percentiles", WIDE_PERCENTILES, reason)
    reason = "the structures lie between them; what is darker or brighter is noise, or an implant."
    return Decision("percentiles", MR_PERCENTILES, reason, usual=True)


def _inside(scan: ScanLook, value: float) -> bool:
    """Whether a grey value lies between the usual percentiles of the body, as its histogram tells."""
    counts = np.cumsum(scan.histogram) / max(1, sum(scan.histogram))
    low, high = scan.histogram_range
    edges = np.linspace(low, high, len(scan.histogram) + 1)[1:]
    share = float(np.interp(value, edges, counts)) * 100
    return MR_PERCENTILES[0] <= share <= MR_PERCENTILES[1]
