"""Pictures of a plan's page: slices as the networks will see them, and histograms; addresses that need no file."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from PIL import Image

from monai_semgan.data.slice_set import SliceSet
from monai_semgan.losses.label_losses import UNLABELLED
from monai_semgan.slicing.preprocessing import COLOUR_RANGE
from monai_semgan.training.planning.scan_look import ScanLook
from monai_semgan.utils.html_pages import png_address

SLICES_A_SCAN = 4
OPACITY = 0.4
LEAST_WIDTH = 192
"""Small slices are drawn larger."""

WIDTH, HEIGHT = 640, 120
"""Of a histogram."""

MOST_CURVES = 40


def data_uri(rgb: np.ndarray) -> str:
    """A picture (H, W, 3) uint8 as an address that holds it."""
    picture = Image.fromarray(rgb)
    if rgb.shape[1] < LEAST_WIDTH:
        factor = -(-LEAST_WIDTH // rgb.shape[1])
        picture = picture.resize((rgb.shape[1] * factor, rgb.shape[0] * factor), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return png_address(buffer.getvalue())


def slice_pictures(
    slices: SliceSet, volume: int, colours: Mapping[int, Sequence[int]], count: int = SLICES_A_SCAN
) -> list[str]:
    """Some slices of a scan with its label tinted in, as the networks see them.

    Args:
        slices: of a run.
        volume: number of the scan among them.
        colours: red, green, blue by class.
        count: of pictures.
    """
    numbers = slices.volume_slices(volume)
    labels = slices.labels[numbers]
    shown = ((labels > 0) & (labels != UNLABELLED)).flatten(1).any(1)
    chosen = numbers[shown] if bool(shown.any()) else numbers
    places = np.unique(np.linspace(0, len(chosen) - 1, min(count, len(chosen)) + 2).round().astype(int)[1:-1])
    picked = chosen[torch.from_numpy(places)]
    return [data_uri(tinted(slices.images[i], slices.labels[i], colours)) for i in picked.tolist()]


def tinted(image: torch.Tensor, label: torch.Tensor, colours: Mapping[int, Sequence[int]]) -> np.ndarray:
    """A slice as RGB, front up and the patient's right on the left.

    Args:
        image: (C, H, W) uint8, grey or red, green and blue.
        label: (H, W) uint8 classes.
        colours: red, green, blue by class.

    Returns:
        (W, H, 3) uint8.
    """
    rgb = image.numpy().astype(np.float32)
    rgb = np.repeat(rgb, 3, axis=0) if len(rgb) == 1 else rgb
    rgb = rgb.transpose(1, 2, 0).copy()
    ids = label.numpy()
    for index, colour in colours.items():
        inside = ids == index
        rgb[inside] = (1 - OPACITY) * rgb[inside] + OPACITY * np.asarray(colour, dtype=np.float32)
    turned = rgb.round().astype(np.uint8).transpose(1, 0, 2)[::-1]
    return np.ascontiguousarray(turned)


def histogram_svg(scans: Sequence[ScanLook], window: tuple[float, float], percentiles: tuple[float, float]) -> str:
    """Histograms of the grey values of scans of one modality, one curve each, with what becomes -1 to 1 marked.

    Args:
        scans: of one modality.
        window: in HU, for CT.
        percentiles: for others, whose grey values mean something within a scan alone.
    """
    curves = []
    for scan in scans[:: max(1, -(-len(scans) // MOST_CURVES))]:
        low, high = scan.histogram_range
        places = np.linspace(low, high, len(scan.histogram))
        ends = _ends(scan, window, percentiles)
        curves.append(
            ((places - ends[0]) / (ends[1] - ends[0]), np.sqrt(scan.histogram) / np.sqrt(max(scan.histogram)))
        )
    left, right = min(-0.1, *(c[0].min() for c in curves)), max(1.1, *(c[0].max() for c in curves))

    def x(place: float) -> float:
        return float((place - left) / (right - left) * WIDTH)

    lines = [
        "<polyline points='"
        + " ".join(f"{x(p):.1f},{(1 - h) * (HEIGHT - 20):.1f}" for p, h in zip(*curve, strict=True))
        + "'/>"
        for curve in curves
    ]
    names = _names(scans[0], window, percentiles)
    marks = "".join(
        f"<text x='{x(place):.1f}' y='{HEIGHT - 5}'>{name}</text>" for place, name in zip((0, 1), names, strict=True)
    )
    band = f"<rect x='{x(0):.1f}' y='0' width='{x(1) - x(0):.1f}' height='{HEIGHT - 20}'/>"
    return f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role='img'>{band}{''.join(lines)}{marks}</svg>"


def _ends(scan: ScanLook, window: tuple[float, float], percentiles: tuple[float, float]) -> tuple[float, float]:
    """Grey values that become -1 and 1."""
    if scan.colour:
        return COLOUR_RANGE
    return window if scan.modality == "CT" else _percentile_values(scan, percentiles)


def _names(scan: ScanLook, window: tuple[float, float], percentiles: tuple[float, float]) -> list[str]:
    if scan.colour:
        return [f"{value:g}" for value in COLOUR_RANGE]
    values, unit = (window, "HU") if scan.modality == "CT" else (percentiles, "%")
    return [f"{value:g} {unit}" for value in values]


def _percentile_values(scan: ScanLook, percentiles: tuple[float, float]) -> tuple[float, float]:
    """Grey values at percentiles, as the histogram tells them."""
    counts = np.cumsum(scan.histogram) / max(1, sum(scan.histogram)) * 100
    places = np.linspace(*scan.histogram_range, len(scan.histogram))
    low, high = (float(np.interp(value, counts, places)) for value in percentiles)
    return (low, high) if high > low else (low, low + 1.0)
